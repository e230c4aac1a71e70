"""A tiny task of pixels, built in: it needs neither a simulator nor OpenGL, and was made to be learned quickly."""

import math

import gymnasium
import numpy as np

from planet_jax.config import Env
from planet_jax.envs import spaces
from planet_jax.envs.tasks import Task

STEPS = 25
"""Environment steps in an episode."""

_SECOND = 5
_SPEED = 0.2
_VIEW = 1.3
_BACKGROUND = np.array([20, 20, 20])
_DOT = np.array([255, 220, 80])
_TARGET = np.array([30, 60, 200])


class ToyPoint(gymnasium.Env):
    """Bring a bright dot to the blue target in the middle of the picture.

    The dot starts anywhere in the square [-1, 1]^2 and moves by 0.2 times the action (A = 2), not past the square's
    edge. At distance d from the middle, an environment step is worth (1 - d / sqrt(2))^2, which lies in [0, 1]. An
    episode has 25 environment steps, R is 1 unless the configuration says otherwise, T = 25 // R.

    Mean returns of 200 episodes, seeds 0 to 199, R = 1: the zero policy 6.3, the uniform policy 5.5, the best possible,
    which goes straight at the target, 23.8.

    Observations: uint8 [size, size, 3], drawn with arithmetic that is the same on every machine (`supersample`,
    `camera` and `quality` have no meaning here); or the position of the dot, float32 [2].

    Attributes:
        steps: T
        metadata: with `render_fps`, agent steps in a second, where one has 5 environment steps
    """

    def __init__(self, task: Task, config: Env):
        """Make the task.

        Args:
            task: for its action repeat.
            config: what is observed, and the action repeat if there is one.

        Raises:
            ValueError: the action repeat is longer than an episode.
        """
        self._repeat = config.action_repeat or task.action_repeat
        self.steps = spaces.episode_steps(STEPS, self._repeat, config.steps)
        self.metadata = {'render_fps': _SECOND / self._repeat}
        self.action_space = spaces.actions(2)
        self._pixels = config.observation == 'pixels'
        self.observation_space = spaces.images(config.size) if self._pixels else spaces.vectors(2)
        self._grid = ((np.arange(config.size) + 0.5) / config.size * 2 - 1) * _VIEW
        self._background = _blend(_BACKGROUND, _TARGET, self._blob(np.zeros(2), 0.25))
        self._position = np.zeros(2)
        self._left = 0

    def reset(self, *, seed=None, options=None):
        """Begin an episode, which depends on the seed only: (observation, {})."""
        super().reset(seed=None if seed is None else int(seed))
        self._position = self.np_random.uniform(-1, 1, 2)
        self._left = self.steps
        return self._observe(), {}

    def step(self, action):
        """One agent step, R environment steps: (observation, summed reward, False, whether it was step T, {}).

        Raises:
            ValueError: the action is not [2] within [-1, 1].
            RuntimeError: the episode is over or has not begun.
        """
        action = spaces.check_action(action, 2)
        if not self._left:
            raise RuntimeError('The episode is over or has not begun: call reset before step.')
        reward = 0.0
        for _ in range(self._repeat):
            self._position = np.clip(self._position + _SPEED * action, -1, 1)
            reward += (1 - math.sqrt(self._position @ self._position / 2)) ** 2
        self._left -= 1
        return self._observe(), reward, False, self._left == 0, {}

    def _observe(self):
        if not self._pixels:
            return self._position.astype(np.float32)
        image = _blend(self._background, _DOT, self._blob(self._position, 0.4))
        return np.round(image).astype(np.uint8)

    def _blob(self, centre, radius):
        """[size, size, 1]: 1 in the centre, falling to 0 at the radius; x is to the right, y upwards."""
        right, up = self._grid - centre[0], self._grid[::-1] - centre[1]
        return np.clip(1 - (right**2 + up[:, None]**2) / radius**2, 0, 1)[..., None]


def _blend(below, above, weight):
    return below + weight * (above - below)
