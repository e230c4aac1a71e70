"""Targets for predicted values."""

import jax
import jax.numpy as jnp


def lambda_returns(reward: jax.Array, value: jax.Array, discount: float, trace: float, length: jax.Array,
                   terminated: jax.Array | bool = False) -> jax.Array:
    """TD(lambda) targets for the value of each row of a chunk (Sutton and Barto, 2018, equation 12.20).

    The target of row t is reward[t+1] + discount ((1 - trace) value[t+1] + trace target[t+1]). The target of the last
    valid row is its own value, or 0 if the episode terminated there.

    Args:
        reward: [L], received on arriving at a row.
        value: [L], predicted sum of the discounted rewards after a row.
        discount: per row.
        trace: lambda, 0 to 1: 0 looks one row ahead, 1 to the chunk's end.
        length: [], valid rows.
        terminated: [], whether the episode terminated at the last valid row.

    Returns:
        targets [L]; those after the valid rows are arbitrary.
    """
    last = jnp.arange(len(reward)) == length - 1
    value = jnp.where(last & terminated, 0.0, value)

    def before(later, row):
        reward, value, last = row
        target, bootstrap, arriving = later
        target = jnp.where(last, value, arriving + discount * ((1 - trace) * bootstrap + trace * target))
        return (target, value, reward), target

    zero = jnp.zeros((), value.dtype)
    _, targets = jax.lax.scan(before, (zero, zero, zero), (reward, value, last), reverse=True)
    return targets
