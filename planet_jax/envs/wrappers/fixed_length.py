"""Episodes of equal length, so that a vector of environments begins and ends together."""

import gymnasium


class FixedLength(gymnasium.Wrapper):
    """Makes every episode last exactly `steps` agent steps.

    After the environment's own end, terminated or truncated, the last observation is repeated with reward 0 and nothing
    is simulated. `info['length']`, at the reset and at every step, is the number of agent steps simulated so far in
    this episode: the number of valid steps. `terminated` is never true; `truncated` is true at step `steps`. For tasks
    that can terminate, `info['terminated']` says whether the environment has.
    """

    def __init__(self, env: gymnasium.Env, steps: int, ends: bool = False):
        """Wrap `env`.

        Args:
            env: the environment.
            steps: T, agent steps in an episode.
            ends: whether episodes can terminate.

        Raises:
            ValueError: `steps` is below 1.
        """
        if steps < 1:
            raise ValueError(f'An episode has {steps} steps, but must have at least 1.')
        super().__init__(env)
        self.steps = steps
        self._left = 0
        self._length = 0
        self._ended = True
        self._ends, self._terminated = ends, False
        self._observation = None

    def reset(self, *, seed=None, options=None):
        """Begin an episode: (observation, info)."""
        self._observation, info = self.env.reset(seed=seed, options=options)
        self._left, self._length, self._ended, self._terminated = self.steps, 0, False, False
        return self._seen(), {**info, **self._told()}

    def step(self, action):
        """One agent step: (observation, reward, False, whether this was step `steps`, info).

        Raises:
            RuntimeError: the episode is over or has not begun.
        """
        if not self._left:
            raise RuntimeError('The episode is over or has not begun: call reset before step.')
        left, self._left = self._left - 1, 0  # An error on the way ends the episode.
        reward, info = 0.0, {}
        if not self._ended:
            self._observation, reward, terminated, truncated, info = self.env.step(action)
            self._length += 1
            self._ended, self._terminated = terminated or truncated, terminated
        self._left = left
        return self._seen(), reward, False, left == 0, {**info, **self._told()}

    def _seen(self):
        """A copy of the last observation, which may be returned again."""
        if isinstance(self._observation, dict):
            return {name: part.copy() for name, part in self._observation.items()}
        return self._observation.copy()

    def _told(self):
        return {'length': self._length} | ({'terminated': self._terminated} if self._ends else {})
