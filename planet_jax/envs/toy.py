"""A tiny built-in task with images: it needs neither a simulator nor OpenGL, and is learned quickly."""

import math

import gymnasium
import numpy as np

from planet_jax.config import Env
from planet_jax.envs import spaces
from planet_jax.envs.family import Family, Task

TASK = Task('toy_point', 'toy', 'point', 1)
"""The built-in task, which needs no simulator."""

STEPS = 25
"""Environment steps in an episode."""

_SPEED = 0.2
_VIEW = 1.3
_BACKGROUND = np.array([20, 20, 20])
_DOT = np.array([255, 220, 80])
_TARGET = np.array([30, 60, 200])


class ToyPoint(gymnasium.Env):
    """Move a bright dot to the blue target in the middle of the image.

    The dot starts anywhere in the square [-1, 1]^2 and moves by 0.2 times the action (A = 2), inside the square.
    At distance d from the middle, the reward of an environment step is (1 - d / sqrt(2))^2, which lies in [0, 1]. An
    episode has 25 environment steps; R is 1 unless the configuration sets it; T = 25 // R.

    Mean returns of 200 episodes, seeds 0 to 199, R = 1: the zero policy 6.3, the uniform policy 5.5, the best possible,
    which goes straight at the target, 23.8.

    Observations: uint8 [size, size, 3], drawn with arithmetic that is the same on every machine (`supersample`,
    `camera` and `quality` have no effect); or the position of the dot, float32 [2].

    It is a `family.Simulator`.

    Attributes:
        steps: 25, environment steps in an episode
        metadata: with `render_fps`, environment steps per second
    """

    steps = STEPS
    metadata = {'render_fps': 5}

    def __init__(self, task: Task, config: Env, blind: bool = False):
        """Make the task.

        Args:
            task: the only one.
            config: settings of the observations.
            blind: whether nothing is observed.
        """
        self.action_space = spaces.actions(2)
        self._pixels = config.observation == 'pixels'
        self.observation_space = spaces.images(config.size) if self._pixels else spaces.vectors(2)
        self._grid = ((np.arange(config.size) + 0.5) / config.size * 2 - 1) * _VIEW
        self._background = _blend(_BACKGROUND, _TARGET, self._blob(np.zeros(2), 0.25))
        self._position = np.zeros(2)

    def reset(self, *, seed=None, options=None):
        """Begin an episode, which depends on the seed only: (position [2], {})."""
        super().reset(seed=seed)
        self._position = self.np_random.uniform(-1, 1, 2)
        return self._position, {}

    def step(self, action):
        """One environment step: (position [2], reward, False, False, {})."""
        self._position = np.clip(self._position + _SPEED * action, -1, 1)
        return self._position, (1 - math.sqrt(self._position @ self._position / 2)) ** 2, False, False, {}

    def observe(self, raw):
        """The image, or the position as float32 [2]."""
        if not self._pixels:
            return raw.astype(np.float32)
        image = _blend(self._background, _DOT, self._blob(raw, 0.4))
        return np.round(image).astype(np.uint8)

    def _blob(self, centre, radius):
        """[size, size, 1]: 1 in the centre, falling to 0 at the radius; x is to the right, y upwards."""
        right, up = self._grid - centre[0], self._grid[::-1] - centre[1]
        return np.clip(1 - (right**2 + up[:, None]**2) / radius**2, 0, 1)[..., None]


def _blend(below, above, weight):
    return below + weight * (above - below)


FAMILY = Family(lambda name: TASK if name == TASK.name else None, lambda: (TASK.name,), ToyPoint)
"""The built-in task alone."""
