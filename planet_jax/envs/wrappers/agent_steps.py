"""Agent steps of an environment: the action repeat, the sum of rewards and the scale of actions, for every family."""

import contextlib

import gymnasium
import numpy as np

from planet_jax.config import Env
from planet_jax.envs import spaces
from planet_jax.envs.family import Make, Task
from planet_jax.envs.wrappers import opengl

_LARGEST = float(np.finfo(np.float32).max)


class AgentSteps(gymnasium.Wrapper):
    """An environment in agent steps: an action [A] is repeated for R environment steps and followed by one observation.

    Actions are real numbers in [-1, 1], or choices: concatenated one-hot vectors, whose largest entry is taken.

    It draws in its own OpenGL context, apart from other renderers in this process (`opengl.Context`).

    Attributes:
        task: which task
        action_repeat: R, environment steps per agent step
        steps: T, agent steps in an episode
        metadata: the environment's own, with `render_fps`, agent steps per second
        choices: categories of each choice; empty where actions are real numbers
    """

    def __init__(self, task: Task, config: Env, make: Make, blind: bool = False):
        """Make the environment.

        Args:
            task: which task.
            config: what is observed; the action repeat and the length of an episode, if not the task's own.
            make: makes environments of the task's family.
            blind: make observations empty, float32 [0].

        Raises:
            ValueError: as `make`, or the action repeat or the length is more than an episode has.
            RuntimeError: as `make`.
        """
        self.task = task
        self._context, self._closed = opengl.Context(), False
        with self._context:
            super().__init__(make(task, config, blind))
        self.action_repeat = config.action_repeat or task.action_repeat
        self.steps = spaces.episode_steps(self.env.steps, self.action_repeat, config.steps)
        self.metadata = {**self.env.metadata, 'render_fps': self.env.metadata['render_fps'] / self.action_repeat}
        own = self.env.action_space
        self.choices = spaces.choices(own)
        if self.choices:
            self.action_space = spaces.one_hot(self.choices)
        else:
            self._low, self._high = own.low.ravel().astype(np.float64), own.high.ravel().astype(np.float64)
            self.action_space = spaces.actions(self._low.size)
        self._blind = blind
        if blind:
            self.observation_space = spaces.vectors(0)
        self._done = 0

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        """Begin an episode: (observation, {}).

        Args:
            seed: 0 to 2**32 - 1; it decides the episode. None: the environment's generator continues.
            options: handed to the environment.

        Raises:
            ValueError: the seed is out of range.
            RuntimeError: images cannot be rendered here, or an observation is not finite.
        """
        with self._context:
            raw, _ = self.env.reset(seed=None if seed is None else int(seed), options=options)
            self._done = 0
            return self._observe(raw), {}

    def step(self, action):
        """One agent step, R environment steps: (observation, summed reward, terminated, truncated, {}).

        The repeat stops early if the environment ends the episode. The episode is truncated at step T.

        Raises:
            ValueError: the action is not [A] within [-1, 1].
            RuntimeError: the reward or the observation is not finite.
            dm_control.rl.control.PhysicsError: a simulation of the suite diverged; a reset repairs it.
        """
        action = spaces.check_action(action, self.action_space.shape[0])
        control = spaces.chosen(action, self.choices) if self.choices else spaces.rescale(action, self._low, self._high)
        reward = 0.0
        with self._context:
            for _ in range(self.action_repeat):
                raw, gained, terminated, truncated, _ = self.env.step(control)
                reward += gained
                if terminated or truncated:
                    break
            # Rewards are stored and learned as float32.
            if not abs(reward) <= _LARGEST:
                raise RuntimeError(f'The reward of {self.task.name} is {reward}, but must be a finite number of '
                                   f'float32, of {_LARGEST:.1e} at most.')
            self._done += 1
            truncated = not terminated and (truncated or self._done >= self.steps)
            return self._observe(raw), reward, bool(terminated), bool(truncated), {}

    def render(self):
        """The image that the environment renders, unchanged."""
        with self._context:
            return self.env.render()

    def close(self):
        """Free the renderer and the simulator. A second call does nothing."""
        if not self._closed:
            self._closed = True
            with self._context:
                self.env.close()

    def __del__(self):
        # The garbage collector would free a renderer's objects in another context, the one current at that time.
        with contextlib.suppress(Exception):
            self.close()

    def _observe(self, raw):
        return np.zeros(0, np.float32) if self._blind else self.env.observe(raw)
