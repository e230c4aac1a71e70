"""Actions of any space as one flat vector: real numbers, or choices among categories."""

import math
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from planet_jax.config.checks import LARGEST_BOUND

_MOST_CATEGORIES = 1024
"""Of all choices together: each category is an entry of the model's action."""


class Flat:
    """A space of actions, flattened in the order of its parts.

    Attributes:
        space: a Box, float64 [A] with finite bounds, or a MultiDiscrete of the choices
    """

    def __init__(self, name: str, space: gymnasium.Space):
        """Flatten the space.

        Args:
            name: of the task, for messages.
            space: Box, Discrete, MultiDiscrete or MultiBinary, or a Dict or Tuple of these.

        Raises:
            ValueError: a part has actions that cannot be planned, or some are real numbers and others choices.
        """
        self._space = space
        has = f'{name} has the action space {space}, but'
        parts = list(_parts(space))
        if unknown := [part for part in parts if not isinstance(part, (Box, Discrete, MultiDiscrete, MultiBinary))]:
            raise ValueError(f'{has} actions must be Box, Discrete, MultiDiscrete or MultiBinary, or a Dict or Tuple '
                             f'of these: convert {unknown[0]} by gymnasium.wrappers.TransformAction.')
        parts = [part for part in parts if math.prod(part.shape)]
        if not parts:
            raise ValueError(f'{has} an action needs at least one number.')
        real = {isinstance(part, Box) and np.issubdtype(part.dtype, np.floating) for part in parts}
        if len(real) > 1:
            raise ValueError(f'{has} real numbers and choices cannot be planned together: make all of them real '
                             f'numbers, or all of them choices, by gymnasium.wrappers.TransformAction.')
        self.space: Box | MultiDiscrete = _box(has, parts) if real.pop() else _choices(has, parts)

    def native(self, action: np.ndarray) -> Any:
        """The action of the task's own space for an action of the flat space.

        Args:
            action: float64 [A] within the bounds, or one int for each choice.
        """
        return _native(self._space, iter(action))


def _parts(space: gymnasium.Space) -> Iterator[gymnasium.Space]:
    """The space itself, or all parts of a Dict or Tuple."""
    if isinstance(space, (Dict, Tuple)):
        for part in space.spaces.values() if isinstance(space, Dict) else space.spaces:
            yield from _parts(part)
    else:
        yield space


def _native(space: gymnasium.Space, entries: Iterator[Any]) -> Any:
    """An action of a space, made from the next entries."""
    if isinstance(space, Dict):
        return {name: _native(part, entries) for name, part in space.spaces.items()}
    if isinstance(space, Tuple):
        return tuple(_native(part, entries) for part in space.spaces)
    own = np.array([next(entries) for _ in range(math.prod(space.shape))])
    if isinstance(space, Box) and np.issubdtype(space.dtype, np.floating):
        return own.reshape(space.shape).astype(space.dtype)
    moved = own.reshape(space.shape).astype(np.int64) + np.reshape(_range(space)[0], space.shape)
    return space.dtype.type(moved) if isinstance(space, Discrete) else moved.astype(space.dtype)


def _range(space: gymnasium.Space) -> tuple[np.ndarray, np.ndarray]:
    """The first value of each choice, and the number of its categories."""
    if isinstance(space, MultiBinary):
        return np.zeros(math.prod(space.shape), np.int64), np.full(math.prod(space.shape), 2)
    if isinstance(space, Box):
        low, high = (bound.ravel().astype(object) for bound in (space.low, space.high))
        return low.astype(np.int64), np.array([int(top) - int(bottom) + 1 for bottom, top in zip(low, high)], object)
    sizes = space.n if isinstance(space, Discrete) else space.nvec
    return np.ravel(space.start), np.ravel(sizes)


def _box(has: str, parts: list[gymnasium.Space]) -> Box:
    low, high = (np.concatenate([np.ravel(getattr(part, name)).astype(np.float64) for part in parts])
                 for name in ('low', 'high'))
    if not all((np.abs(bound) <= LARGEST_BOUND).all() for bound in (low, high)):
        raise ValueError(f'{has} the planner needs finite bounds, {LARGEST_BOUND:.0e} at most: set them by '
                         f'gymnasium.wrappers.RescaleAction or TransformAction.')
    return Box(low, high, dtype=np.float64)


def _choices(has: str, parts: list[gymnasium.Space]) -> MultiDiscrete:
    sizes = [int(size) for part in parts for size in _range(part)[1]]
    if sum(sizes) > _MOST_CATEGORIES:
        raise ValueError(f'{has} its choices have {sum(sizes)} categories in all, more than {_MOST_CATEGORIES}: use '
                         f'fewer, or real numbers, by gymnasium.wrappers.TransformAction.')
    return MultiDiscrete(sizes)
