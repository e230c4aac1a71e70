"""The bounds of the actions, and the first proposal."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


class Box:
    """The bounds of the actions, and the first proposal.

    Attributes:
        low, high: float32, [] or [A]
        half: half of the width, [] or [A]
        mean, std: of the first proposal, float32 [H, A]
    """

    def __init__(self, action_size: int, horizon: int, low: Any, high: Any, mean: Any = None, std: Any = None,
                 narrow: float = 1.0):
        """Checks the bounds as far as they are known at construction.

        Args:
            action_size: A.
            horizon: H.
            low: smallest action, a scalar or [A].
            high: largest action, a scalar or [A].
            mean: a scalar or [H, A]; by default the middle of the bounds.
            std: a scalar or [H, A]; by default a share of half of their width.
            narrow: that share.

        Raises:
            ValueError: a size is below one, a shape does not fit, or no action is inside the bounds.
        """
        if horizon < 1 or action_size < 1:
            raise ValueError(f'The horizon and the action size must be at least 1, not {horizon} and {action_size}.')
        self.low, self.high = (_float32(bound, (action_size,), name) for bound, name in ((low, 'low'), (high, 'high')))
        with np.errstate(over='ignore'):
            self.half = (self.high - self.low) / 2
        if not isinstance(self.half, jax.core.Tracer):
            self._check(low, high, finite=mean is None or std is None)
        shape = horizon, action_size
        self.mean, self.std = (jnp.broadcast_to(_float32(value, shape, name), shape) for value, name in (
            ((self.low + self.high) / 2 if mean is None else mean, 'mean'),
            (narrow * self.half if std is None else std, 'std')))

    def _check(self, low, high, finite):
        if not np.all(self.half >= 0):
            raise ValueError(f'low is {low} and high is {high}, but low must not be above high.')
        if finite and not np.all(np.isfinite(self.half)):
            raise ValueError(f'low is {low} and high is {high}, but without finite bounds of a finite width nothing '
                             f'says where to search: give mean and std too.')


def _float32(value, shape, name):
    """A scalar or an array as float32; a NumPy array if the value is known, so that it is a constant."""
    array = jnp.asarray(value, jnp.float32) if isinstance(value, jax.Array) else np.asarray(value, np.float32)
    try:
        np.broadcast_shapes(array.shape, shape)
        fits = len(array.shape) <= len(shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f'{name} must be a scalar or of the shape {list(shape)}, but its shape is '
                         f'{list(array.shape)}.')
    return array
