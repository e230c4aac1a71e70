"""Actions of one size, so that one agent can act in several tasks."""

import itertools
from collections.abc import Sequence

import gymnasium
import numpy as np

from planet_jax.envs import spaces


def shared_choices(several: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Choices that hold those of every task: as many as the most, each with the most categories.

    Args:
        several: the choices of each task.
    """
    return tuple(map(max, itertools.zip_longest(*several, fillvalue=0)))


class PaddedActions(gymnasium.ActionWrapper):
    """Takes actions [A] of all tasks; the environment reads its own part.

    That is the first entries of real numbers, and of each choice the first categories: where another task's is chosen,
    none of its own is larger than the others, so it takes the first.
    """

    def __init__(self, env: gymnasium.Env, action_size: int, choices: Sequence[int] = ()):
        """Wrap `env`.

        Args:
            env: the environment.
            action_size: A, at least the environment's own.
            choices: of all tasks, see `shared_choices`; empty where actions are real numbers.

        Raises:
            ValueError: `action_size` is smaller than the environment's own.
        """
        super().__init__(env)
        own = env.action_space.shape[0]
        if action_size < own:
            raise ValueError(f'The padded action has size {action_size}, but this task needs at least {own}.')
        self._own = np.arange(own)
        self.action_space = spaces.actions(action_size)
        if choices:
            starts = np.cumsum([0, *choices[:-1]])
            self._own = np.concatenate([start + np.arange(size) for start, size in zip(starts, env.choices)])
            self.action_space = spaces.one_hot(choices)

    def action(self, action):
        """The environment's own part of the action.

        Raises:
            ValueError: the action has another shape, or a number is not within [-1, 1].
        """
        return spaces.check_action(action, self.action_space.shape[0])[self._own]
