"""Tasks of dm_control's suite, seen through a camera or as vectors."""

import logging
import math
from contextlib import contextmanager

import gymnasium
import numpy as np

from planet_jax.config import Env
from planet_jax.envs import rendering, spaces
from planet_jax.envs.tasks import Task

STEPS = 1000
"""Environment steps in an episode of every task of the suite."""


@contextmanager
def _without_advice():
    """MuJoCo's compiler advises the authors of the suite's models on every loading."""
    logger = logging.getLogger('absl')
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


class Suite(gymnasium.Env):
    """A task of `dm_control.suite` with actions in [-1, 1] and action repeat.

    Observations are uint8 [size, size, 3], rendered natively at `size * supersample` pixels and averaged (see
    `rendering.average`), or float32 [n]: the task's own observations, flattened and joined in their order. Vectors need
    no OpenGL, but for quadruped_escape, which hands its random terrain to the renderer at every reset.

    Quality 'suite' renders as shipped, 'fast' without shadows and multisampling and into a buffer no larger than the
    image.

    Attributes:
        task: which task
        action_repeat: R, environment steps per agent step
        steps: T = 1000 // R, agent steps in an episode
        metadata: with `render_fps`, agent steps in a second of the simulated time
        simulator: the `dm_control.rl.control.Environment`; it is read, and never stepped, from outside
    """

    def __init__(self, task: Task, config: Env):
        """Load the task and, for images, open its camera.

        Args:
            task: which task.
            config: what is observed, and the action repeat if not the task's own.

        Raises:
            ValueError: the model has no such camera, or the action repeat is longer than an episode.
            RuntimeError: images cannot be rendered here; the message says what to do.
        """
        self.task = task
        self.action_repeat = config.action_repeat or task.action_repeat
        self.steps = spaces.episode_steps(STEPS, self.action_repeat, config.steps)
        suite, _ = rendering.library()
        with _without_advice():
            self.simulator = suite.load(task.domain, task.task)
        self.metadata = {'render_fps': 1 / (self.simulator.control_timestep() * self.action_repeat)}
        bounds = self.simulator.action_spec()
        self._low, self._high = bounds.minimum, bounds.maximum
        self.action_space = spaces.actions(bounds.shape[0])
        self._supersample = config.supersample
        self._camera = None
        self._left = 0
        if config.observation == 'pixels':
            self.observation_space = spaces.images(config.size)
            self._camera = rendering.open_camera(task.name, self.simulator.physics, config)
        else:
            shapes = [entry.shape for entry in self.simulator.observation_spec().values()]
            self.observation_space = spaces.vectors(sum(math.prod(shape) for shape in shapes))

    def reset(self, *, seed=None, options=None):
        """Begin an episode: (observation, {}).

        With a seed, in 0 .. 2**32 - 1, the episode is that of `suite.load(..., task_kwargs={'random': seed})`, whatever
        came before; without one, it goes on drawing from the last.

        Raises:
            ValueError: the seed is out of range.
            RuntimeError: this task needs OpenGL at every reset, and there is none; the message says what to do.
        """
        if seed is not None:
            self.simulator.task.random.seed(int(seed))
        if self.simulator.physics.model.nhfield:
            rendering.open_context(self.task.name, self.simulator.physics)
        timestep = self.simulator.reset()
        self._left = self.steps
        return self._observe(timestep), {}

    def step(self, action):
        """One agent step, R environment steps: (observation, summed reward, terminated, truncated, {}).

        The repeat stops early where the task ends. The episode is truncated by the task's limit or at step T.

        Raises:
            ValueError: the action is not [A] within [-1, 1].
            RuntimeError: the episode is over or has not begun, or the reward is not finite.
            dm_control.rl.control.PhysicsError: the simulation diverged; a reset repairs it.
        """
        action = spaces.check_action(action, self.action_space.shape[0])
        if not self._left:
            raise RuntimeError('The episode is over or has not begun: call reset before step.')
        left, self._left = self._left - 1, 0  # an error on the way ends the episode
        control = self.control(action)
        reward = 0.0
        for _ in range(self.action_repeat):
            timestep = self.simulator.step(control)
            reward += float(timestep.reward)
            if timestep.last():
                break
        if not math.isfinite(reward):
            raise RuntimeError(f'The reward of {self.task.name} is {reward}: the simulation diverged; a reset repairs '
                               f'it.')
        self._left = 0 if timestep.last() else left
        terminated = timestep.last() and timestep.discount == 0
        return self._observe(timestep), reward, terminated, self._left == 0 and not terminated, {}

    def control(self, action: np.ndarray) -> np.ndarray:
        """Actions [..., A] in [-1, 1] as float64 [..., A] within the bounds of the simulator."""
        return spaces.rescale(action, self._low, self._high)

    def close(self):
        """Free the renderer and the simulator. A second call does nothing; any other call afterwards fails."""
        if self.simulator is not None:
            self.simulator.physics.free()
        self.simulator = self._camera = None

    def _observe(self, timestep):
        if self._camera is not None:
            return rendering.average(self._camera.render(), self._supersample)
        return np.concatenate([np.ravel(entry) for entry in timestep.observation.values()]).astype(np.float32)
