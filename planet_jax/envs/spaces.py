"""The spaces of observations and actions, and the check of every action."""

from collections.abc import Sequence

import gymnasium
import numpy as np


def images(size: int | tuple[int, int, int]) -> gymnasium.spaces.Box:
    """Images, uint8 [size, size, 3] or of the given shape."""
    return gymnasium.spaces.Box(0, 255, (size, size, 3) if isinstance(size, int) else size, np.uint8)


def vectors(size: int) -> gymnasium.spaces.Box:
    """Vectors, float32 [size], unbounded."""
    return gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)


def parts(spaces: dict[str, gymnasium.Space]) -> gymnasium.spaces.Dict:
    """Observations in several parts, in the order of the names as they are given."""
    return gymnasium.spaces.Dict(list(spaces.items()))  # Of a dict, gymnasium would sort the names.


def actions(size: int) -> gymnasium.spaces.Box:
    """Actions, float32 [A] in [-1, 1]."""
    return gymnasium.spaces.Box(-1.0, 1.0, (size,), np.float32)


def one_hot(choices: Sequence[int]) -> gymnasium.spaces.Box:
    """Choices as concatenated one-hot vectors, float32 [A]."""
    return gymnasium.spaces.Box(0.0, 1.0, (sum(choices),), np.float32)


def choices(space: gymnasium.Space) -> tuple[int, ...]:
    """The categories of each choice of a MultiDiscrete; empty for a Box."""
    return tuple(map(int, space.nvec)) if isinstance(space, gymnasium.spaces.MultiDiscrete) else ()


def chosen(action: np.ndarray, choices: Sequence[int]) -> np.ndarray:
    """The index of the largest entry of each choice, int64 [choices], of an action [A]; of equal entries the first."""
    return np.array([part.argmax() for part in np.split(action, np.cumsum(choices)[:-1])])


def check_action(action, size: int) -> np.ndarray:
    """The action as float64 [A].

    Args:
        action: array-like [A]
        size: A

    Raises:
        ValueError: the shape is wrong, or a number is NaN or not within [-1, 1], which simulators accept silently.
    """
    action = np.asarray(action, np.float64)
    if action.shape != (size,):
        raise ValueError(f'The action has shape {action.shape}, but this task takes shape ({size},).')
    if not np.all(np.abs(action) <= 1):
        raise ValueError(f'The action is {action.tolist()}, but every number must be within [-1, 1].')
    return action


def rescale(action: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Actions [..., A] in [-1, 1] as float64 [..., A] from `low` [A] to `high` [A]."""
    # Exact at -1 and 1. Elsewhere rounding may exceed the bounds, hence the clip.
    return np.clip((high + low) / 2 + action * (high - low) / 2, low, high)


def episode_steps(steps: int, repeat: int, asked: int | None = None) -> int:
    """T = steps // R, agent steps in an episode.

    Args:
        steps: environment steps in an episode of the task.
        repeat: R.
        asked: environment steps that replace `steps`, if the configuration has any; not more than these.

    Raises:
        ValueError: R is larger than the episode, or `asked` is larger than `steps`.
    """
    if asked is not None and asked > steps:
        raise ValueError(f'env.steps is {asked}, but an episode of this task has {steps} environment steps: the '
                         f'nearest valid value is {steps}.')
    steps = asked or steps
    if repeat > steps:
        raise ValueError(f'env.action_repeat is {repeat}, but an episode of this task has {steps} environment steps: '
                         f'the nearest valid value is {steps}.')
    return steps // repeat
