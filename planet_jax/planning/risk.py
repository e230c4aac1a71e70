"""What several rollouts of a stochastic model are worth together: returns [S, J] -> returns [J], for `rollouts`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Risk = Callable[[jax.Array], jax.Array]
"""returns [S, J] -> returns [J]: of S rollouts of each candidate, what counts."""


def mean(returns: jax.Array) -> jax.Array:
    """The expected return: neither fear nor hope."""
    return returns.mean(0)


def worst_share(share: float) -> Risk:
    """The mean of the worst rollouts (conditional value at risk, Rockafellar and Uryasev, 2000).

    Args:
        share: of the S rollouts, above 0 and up to 1, rounded up.

    Example:
        >>> worst_share(0.5)(jnp.array([[1.0], [3.0], [5.0], [9.0]])).tolist()
        [2.0]

    Raises:
        ValueError: the share is out of its range.
    """
    if not 0 < share <= 1:
        raise ValueError(f'The share is {share}, but must be above 0 and at most 1.')

    def measure(returns):
        count = max(1, -int(-share * len(returns) // 1))
        # Sorting puts what is not a number at the end, where the best are.
        return jnp.sort(jnp.where(jnp.isnan(returns), -jnp.inf, returns), 0)[:count].mean(0)

    return measure


def less_variance(weight: float) -> Risk:
    """The mean, less a multiple of the variance of the rollouts.

    Args:
        weight: in one over the unit of the returns; below 0 the uncertain is sought.

    Example:
        >>> less_variance(0.5)(jnp.array([[1.0], [3.0]])).tolist()
        [1.5]
    """
    return lambda returns: returns.mean(0) - weight * returns.var(0)
