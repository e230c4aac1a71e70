"""Scores from several rollouts of a stochastic model: returns [S, J] -> returns [J], for `rollouts`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Risk = Callable[[jax.Array], jax.Array]
"""returns [S, J] of S rollouts of each candidate -> scores [J]."""


def mean(returns: jax.Array) -> jax.Array:
    """The expected return: risk-neutral."""
    return returns.mean(0)


def worst_share(share: float) -> Risk:
    """The mean of the worst rollouts (conditional value at risk, Rockafellar and Uryasev, 2000).

    Args:
        share: share of the S rollouts, above 0 and at most 1; their number is rounded up.

    Example:
        >>> worst_share(0.5)(jnp.array([[1.0], [3.0], [5.0], [9.0]])).tolist()
        [2.0]

    Raises:
        ValueError: the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f'The share is {share}, but must be above 0 and at most 1.')

    def measure(returns):
        count = max(1, -int(-share * len(returns) // 1))
        # Sorting puts NaN at the end, among the best.
        return jnp.sort(jnp.where(jnp.isnan(returns), -jnp.inf, returns), 0)[:count].mean(0)

    return measure


def less_variance(weight: float) -> Risk:
    """The mean minus a multiple of the variance of the rollouts.

    Args:
        weight: in one over the unit of the returns; a negative weight seeks uncertainty.

    Example:
        >>> less_variance(0.5)(jnp.array([[1.0], [3.0]])).tolist()
        [1.5]
    """
    return lambda returns: returns.mean(0) - weight * returns.var(0)
