"""Targets for predictions of what is to come."""

import jax
import jax.numpy as jnp


def lambda_returns(reward: jax.Array, value: jax.Array, discount: float, trace: float, length: jax.Array,
                   terminated: jax.Array | bool = False) -> jax.Array:
    """TD(lambda) targets for the value of each row of a chunk (Sutton and Barto, 2018, equation 12.20).

    Row t's is reward[t+1] + discount ((1 - trace) value[t+1] + trace target[t+1]). The last valid row has nothing after
    it to learn from: its target is its own value, or 0 where the task ended there.

    Args:
        reward: [L], received on arriving at a row.
        value: [L], predicted sum of the discounted rewards after a row.
        discount: of a reward one row later.
        trace: lambda, 0 to 1: 0 looks one row ahead, 1 to the chunk's end.
        length: [], valid rows.
        terminated: [], whether nothing follows the last valid row.

    Returns:
        targets [L]; those of the rows after the valid ones mean nothing.
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
