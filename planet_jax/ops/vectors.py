"""Vectors of any scale as the model sees them."""

import jax
import jax.numpy as jnp


def symlog(x: jax.Array) -> jax.Array:
    """sign(x) log(1 + |x|): almost x for small values, a logarithm of large ones (Hafner et al., 2023, DreamerV3).

    Joint velocities of 30 and cosines of 1 then have errors of similar size.
    """
    return jnp.sign(x) * jnp.log1p(jnp.abs(x))


def symexp(x: jax.Array) -> jax.Array:
    """The inverse of `symlog`."""
    return jnp.sign(x) * jnp.expm1(jnp.abs(x))
