"""Episodes of a trained agent as frames: the simulator, larger than the agent sees it, and the decoded belief."""

from collections.abc import Callable, Iterator

import gymnasium
import numpy as np

from planet_jax.pictures import video
from planet_jax.runs.trained.agent import Policy, Trained, first_image
from planet_jax.scores.numbers import significant


class View:
    """The same episode in a second environment that draws larger pictures.

    If that environment cannot be made, or diverges from the first, the agent's own observation is shown instead.
    """

    def __init__(self, task: str, trained: Trained, size: int, say: Callable[[str], None]):
        """Makes both environments.

        Args:
            task: its name.
            trained: whose run says what is observed.
            size: of a picture, in pixels.
            say: called with a sentence if larger pictures are not possible.

        Raises:
            RuntimeError: images cannot be rendered here; the message says what to do.
        """
        self.env, self._say = trained.make_env(task), say
        try:
            self._larger: gymnasium.Env | None = trained.make_env(
                task, observation='pixels', image='square', keys=(), size=size, supersample=1, quality='suite')
        except ValueError as error:
            self._give_up(str(error))

    def reset(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Begins an episode: (observation, picture)."""
        observation, _ = self.env.reset(seed=seed)
        picture = self._larger.reset(seed=seed)[0] if self._larger else first_image(observation)
        return observation, picture

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """One agent step: (observation, picture, reward)."""
        observation, reward, *_ = self.env.step(action)
        if self._larger:
            picture, other, *_ = self._larger.step(action)
            if reward == other:
                return observation, picture, reward
            self._give_up('a second environment with the same seed and actions diverges')
        return observation, first_image(observation), reward

    def close(self) -> None:
        """Frees both environments."""
        self.env.close()
        if self._larger:
            self._larger.close()

    def _give_up(self, why):
        self._larger = None
        space = self.env.observation_space
        spaces = space.spaces.values() if isinstance(space, gymnasium.spaces.Dict) else [space]
        if not any(len(part.shape) == 3 for part in spaces):
            raise ValueError(f'There is nothing to draw: {why}.')
        self._say(f'The observation of the agent is shown enlarged: {why}.')


def frames(trained: Trained, view: View, task: str, episodes: int, size: int, say: Callable[[str], None],
           advance: Callable[[int], None]) -> Iterator[np.ndarray]:
    """Evaluation episodes of an agent as frames of a video.

    Args:
        trained: whose agent acts.
        view: of the task.
        task: its name.
        episodes: one after the other, from the first evaluation episode on.
        size: of a picture, in pixels.
        say: called with the return of each episode.
        advance: called with the agent steps done, over all episodes.

    Yields:
        T + 1 frames of each episode, uint8 [height, width, 3].
    """
    agent, steps, speed = Policy(trained), trained.steps_of(task), view.env.metadata['render_fps']
    for episode in range(episodes):
        agent.reset(seed=episode)
        observation, picture = view.reset(agent.environment_seed)
        reward = earned = 0.0
        for step in range(steps + 1):
            action = agent.act(observation)  # After the last step only the belief is used.
            pictures = {'simulator': picture}
            if first_image(observation).ndim == 3:
                pictures['decoded from the belief'] = agent.decoded()
            yield video.panels(pictures, (
                f'step {step} of {steps}, {step / speed:.1f} s    reward {significant(reward, 3)}    '
                f'return {significant(earned)}',
                f'{task}, episode {episode + 1} of {episodes}, {trained.progress}'), size)
            advance(episode * steps + step)
            if step < steps:
                observation, picture, reward = view.step(action)
                earned += reward
        say(f'episode {episode + 1}: {significant(earned)}')
