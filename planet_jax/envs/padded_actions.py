"""Actions of one size, so that one agent can act in several tasks."""

import gymnasium

from planet_jax.envs import spaces


class PaddedActions(gymnasium.ActionWrapper):
    """Takes actions [A] of the largest task; the environment reads its own, first part."""

    def __init__(self, env: gymnasium.Env, action_size: int):
        """Wrap `env`.

        Args:
            env: the environment.
            action_size: A, at least the environment's own.

        Raises:
            ValueError: `action_size` is smaller than the environment's own.
        """
        super().__init__(env)
        self._own = env.action_space.shape[0]
        if action_size < self._own:
            raise ValueError(f'The padded action has size {action_size}, but this task needs at least {self._own}.')
        self.action_space = spaces.actions(action_size)

    def action(self, action):
        """The environment's own part of the action.

        Raises:
            ValueError: the action has another shape, or a number is not within [-1, 1].
        """
        return spaces.check_action(action, self.action_space.shape[0])[:self._own]
