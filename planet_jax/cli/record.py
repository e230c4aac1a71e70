"""`planet-jax record`: a video of the trained agent, drawn larger than it sees, beside what it believes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import gymnasium
import jax
import numpy as np
from rich.console import Console

from planet_jax import envs
from planet_jax.cli.progress import Display
from planet_jax.ops import images
from planet_jax.pictures import video
from planet_jax.runs.trained import Agent, Trained
from planet_jax.scores.numbers import significant


def decoder(trained: Trained) -> Callable[[Agent], np.ndarray]:
    """What an agent believes to see: agent -> decoded belief, uint8 [size, size, 3]."""
    model = trained.run.model
    decode = trained.run.compiled(lambda params, latent: images.restore(model.decode(params, latent.features)))

    def decoded(agent):
        latent = jax.tree.map(lambda leaf: leaf[0], agent.belief.latent)
        return np.asarray(decode(*jax.tree.map(lambda leaf: leaf[0], (agent.trained.params, latent))))

    return decoded


class View:
    """The same episode in a second environment, which draws it larger.

    Where there is no such environment, or it goes another way, the agent's own observation is shown instead.
    """

    def __init__(self, task: str, trained: Trained, size: int, say: Callable[[str], None]):
        """Make both environments.

        Args:
            task: its name.
            trained: whose run says what is observed.
            size: of a picture, in pixels.
            say: called with a sentence if there is no larger picture.

        Raises:
            RuntimeError: images cannot be rendered here; the message says what to do.
        """
        self.env, self._say = trained.make_env(task), say
        try:
            self._larger: gymnasium.Env | None = trained.make_env(
                task, observation='pixels', size=size, supersample=1, quality='suite')
        except ValueError as error:
            self._give_up(str(error))

    def reset(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Begins an episode: (observation, picture)."""
        observation, _ = self.env.reset(seed=seed)
        picture = self._larger.reset(seed=seed)[0] if self._larger else observation
        return observation, picture

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """One agent step: (observation, picture, reward)."""
        observation, reward, *_ = self.env.step(action)
        if self._larger:
            picture, other, *_ = self._larger.step(action)
            if reward == other:
                return observation, picture, reward
            self._give_up('a second environment with the same seed and actions goes another way')
        return observation, observation, reward

    def close(self) -> None:
        """Frees both environments."""
        self.env.close()
        if self._larger:
            self._larger.close()

    def _give_up(self, why):
        self._larger = None
        if len(self.env.observation_space.shape) != 3:
            raise ValueError(f'There is nothing to draw: {why}.')
        self._say(f'What the agent sees is shown enlarged: {why}.')


def record_run(directory: Path, episodes: int, out: Path | None, size: int, console: Console,
               trust_task: bool = False) -> list[Path]:
    """Records evaluation episodes of a run's agent, one after the other, a video for each task.

    Args:
        directory: of the run; nothing in it is changed.
        episodes: of each task.
        out: the file; with several tasks, their names are added. None: named by task and progress, in this folder.
        size: of a picture, in pixels.
        console: where to.
        trust_task: see `read_config`.

    Returns:
        the videos.

    Raises:
        FolderError: it is no run folder, or has no checkpoint that verifies.
        FileExistsError: there is such a file already.
        RuntimeError: images cannot be rendered here, or there is no ffmpeg.
    """
    trained = Trained.read(directory, trust_task)
    run = trained.run
    tasks = [*map(envs.file_name, run.tasks)]
    names = [out or Path(f'{task}-{trained.episodes:06d}.mp4') for task in tasks]
    if out and len(names) > 1:
        names = [out.with_stem(f'{out.stem}-{task}') for task in tasks]
    paths = [new_file(name, '.mp4') for name in names]
    agent, decoded = Agent(trained), decoder(trained)
    for task, steps, path in zip(run.tasks, run.task_steps, paths):
        with Display(console, episodes) as display:
            view = View(task, trained, size, display.say)
            display.phase(f'recording {task}', episodes * steps, 'steps')
            speed = view.env.metadata['render_fps']
            try:
                frames = _frames(agent, decoded, view, task, steps, episodes, size, speed, display)
                video.write_video(path, frames, speed)
            finally:
                view.close()
            display.say(f'{path}: {episodes * (steps + 1)} frames, {speed:.3g} a second')
    return paths


def new_file(path: Path, ending: str) -> Path:
    """The path, if something may be written there.

    Raises:
        ValueError: its name ends otherwise.
        FileExistsError: there is such a file already.
    """
    if path.suffix != ending:
        raise ValueError(f'The file is to be called {path}, but its name must end in {ending}.')
    if path.exists():
        raise FileExistsError(f'{path} is there already: remove it, or name another file by --out.')
    return path


def _frames(agent: Agent, decoded: Callable[[Agent], np.ndarray], view: View, task: str, steps: int, episodes: int,
            size: int, speed: float, display: Display) -> Iterator[np.ndarray]:
    for episode in range(episodes):
        agent.reset(seed=episode)
        observation, picture = view.reset(agent.environment_seed)
        reward = earned = 0.0
        for step in range(steps + 1):
            action = agent.act(observation)  # After the last step only what is believed is of use.
            pictures = {'simulator': picture}
            if observation.ndim == 3:
                pictures['decoded from the belief'] = decoded(agent)
            yield video.panels(pictures, (
                f'step {step} of {steps}, {step / speed:.1f} s    reward {significant(reward, 3)}    '
                f'return {significant(earned)}',
                f'{task}, episode {episode + 1} of {episodes}, {agent.trained.progress}'), size)
            display.advance(episode * steps + step)
            if step < steps:
                observation, picture, reward = view.step(action)
                earned += reward
        display.say(f'episode {episode + 1}: {significant(earned)}')
