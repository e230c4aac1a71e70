"""Tasks of dm_control's suite, with images or vectors as observations."""

import logging
import math
from contextlib import contextmanager

import gymnasium
import numpy as np

from planet_jax.config import Env
from planet_jax.envs import spaces
from planet_jax.envs.family import Family, Task
from planet_jax.envs.suite import rendering, tasks

STEPS = 1000
"""Environment steps in an episode of every task of the suite."""


@contextmanager
def _without_advice():
    """Hides the warnings of MuJoCo's compiler about the suite's own models."""
    logger = logging.getLogger('absl')
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


class Suite(gymnasium.Env):
    """A task of `dm_control.suite`, a `family.Simulator`.

    Observations are uint8 [size, size, 3], rendered natively at `size * supersample` pixels and averaged (see
    `rendering.average`), or float32 [n]: the task's own observations, flattened and joined in their order. Vectors need
    no OpenGL, but for quadruped_escape, which hands its random terrain to the renderer at every reset.

    Quality 'suite' renders as dm_control ships it; 'fast' without shadows and multisampling and into a buffer no larger
    than the image; 'coarse' also with fewer facets of round shapes and slack strings (`rendering.COARSE`).

    Attributes:
        task: the task
        steps: 1000, environment steps in an episode
        metadata: with `render_fps`, environment steps per second of simulated time
        simulator: the `dm_control.rl.control.Environment`; others may read it, but not step it
    """

    steps = STEPS

    def __init__(self, task: Task, config: Env, blind: bool = False):
        """Load the task and, for images, open its camera.

        Args:
            task: the task.
            config: settings of the observations.
            blind: whether nothing is observed.

        Raises:
            ValueError: the model has no such camera.
            RuntimeError: images cannot be rendered here. The message says what to do.
        """
        self.task = task
        suite, _ = rendering.library()
        with _without_advice():
            self.simulator = suite.load(task.domain, task.task)
        self.metadata = {'render_fps': 1 / self.simulator.control_timestep()}
        bounds = self.simulator.action_spec()
        self.action_space = gymnasium.spaces.Box(bounds.minimum, bounds.maximum, dtype=np.float64)
        self._supersample = config.supersample
        self._camera = None
        if config.observation == 'pixels' and not blind:
            self.observation_space = spaces.images(config.size)
            self._camera = rendering.open_camera(task.name, self.simulator.physics, config)
        else:
            shapes = [entry.shape for entry in self.simulator.observation_spec().values()]
            self.observation_space = spaces.vectors(sum(math.prod(shape) for shape in shapes))

    def reset(self, *, seed=None, options=None):
        """Begin an episode: (dm_control's observations, {}).

        With a seed, 0 to 2**32 - 1, the episode is that of `suite.load(..., task_kwargs={'random': seed})`; without
        one, the generator continues.

        Raises:
            ValueError: the seed is out of range.
            RuntimeError: this task needs OpenGL at every reset, and OpenGL is missing. The message says what to do.
        """
        if seed is not None:
            self.simulator.task.random.seed(seed)
        if self.simulator.physics.model.nhfield:
            rendering.open_context(self.task.name, self.simulator.physics)
        return self.simulator.reset().observation, {}

    def step(self, action):
        """One environment step: (dm_control's observations, reward, terminated, truncated, {}).

        Raises:
            dm_control.rl.control.PhysicsError: the simulation diverged; a reset repairs it.
        """
        timestep = self.simulator.step(action)
        terminated = timestep.last() and timestep.discount == 0
        return timestep.observation, float(timestep.reward), terminated, timestep.last() and not terminated, {}

    def observe(self, raw):
        """The camera's image, or the observations of the last reset or step as one vector."""
        if self._camera is not None:
            return rendering.average(self._camera.render(), self._supersample)
        return np.concatenate([np.ravel(entry) for entry in raw.values()]).astype(np.float32)

    def close(self):
        """Free the renderer and the simulator. A second call does nothing; any other call afterwards fails."""
        if self.simulator is not None:
            self.simulator.physics.free()
        self.simulator = self._camera = None


FAMILY = Family(tasks.resolve, tasks.names, Suite)
"""dm_control's suite."""
