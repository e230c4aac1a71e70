"""Actions of one size, so that one agent can act in several tasks."""

import itertools
from collections.abc import Sequence

import gymnasium
import numpy as np

from planet_jax.envs import spaces


def shared_choices(several: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Choices for several tasks: the largest number of choices, and for each the largest number of categories.

    Args:
        several: the categories of each choice, for each task.
    """
    return tuple(map(max, itertools.zip_longest(*several, fillvalue=0)))


class PaddedActions(gymnasium.ActionWrapper):
    """Takes actions [A] of the size that several tasks share, and gives the environment its part.

    The part is the first entries of real numbers, and the first categories of each choice. If a category is chosen that
    the task does not have, all entries of the part are zero, so the task takes its first category.
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
            ValueError: the shape is not [A], or a number is not within [-1, 1].
        """
        return spaces.check_action(action, self.action_space.shape[0])[self._own]
