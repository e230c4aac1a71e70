"""Dense networks: the reward head, and the encoder and decoder of vector observations."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype

from planet_jax.config import Model

INITIALIZER = nn.initializers.glorot_uniform()
"""Initialiser of every matrix and kernel, as in the released code; biases start at zero."""


def product_dtype(config: Model) -> jnp.dtype | None:
    """The dtype of the inputs of matrix products and convolutions; None for float32 at the device's precision."""
    return jnp.bfloat16 if config.precision == 'bfloat16' else None


def product(x: jax.Array, kernel: jax.Array, dtype: jnp.dtype | None) -> jax.Array:
    """x [..., inputs] and kernel [inputs, units] -> float32 [..., units]."""
    x, kernel = promote_dtype(x, kernel, dtype=dtype)
    return (x @ kernel).astype(jnp.float32)


class Dense(nn.Module):
    """A dense layer with the initialisers of this package.

    Attributes:
        units: of the output.
        dtype: of the product, see `product_dtype`. The bias is added in float32: its gradient is a sum of many numbers.
        bias_init: initialiser of the bias.
    """

    units: int
    dtype: jnp.dtype | None = None
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., inputs] -> [..., units]."""
        kernel = self.param('kernel', INITIALIZER, (x.shape[-1], self.units))
        return product(x, kernel, self.dtype) + self.param('bias', self.bias_init, (self.units,))


class Mlp(nn.Module):
    """Dense layers with ReLU, then a linear layer.

    Attributes:
        layers: number of hidden layers.
        units: of each hidden layer.
        shape: of the output; () for one number.
        dtype: of the hidden layers' products, see `product_dtype`.
    """

    layers: int
    units: int
    shape: Sequence[int] = ()
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., size] -> [..., *shape]."""
        for _ in range(self.layers):
            x = nn.relu(Dense(self.units, self.dtype)(x))
        return Dense(math.prod(self.shape))(x).reshape(*x.shape[:-1], *self.shape)
