"""Dense networks: the reward head, and the encoder and decoder of vector observations."""

import math
from collections.abc import Sequence

import jax
from flax import linen as nn

INITIALIZER = nn.initializers.glorot_uniform()
"""Of every matrix and kernel, as in the released code; biases start at zero."""


def dense(units: int, **options) -> nn.Dense:
    """A dense layer with the initialisers of this package."""
    return nn.Dense(units, kernel_init=INITIALIZER, **options)


class Mlp(nn.Module):
    """Dense layers with ReLU, and a linear one at the end.

    Attributes:
        layers: number of hidden layers.
        units: of each hidden layer.
        shape: of the output; () is one number.
    """

    layers: int
    units: int
    shape: Sequence[int] = ()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., size] -> [..., *shape]."""
        for _ in range(self.layers):
            x = nn.relu(dense(self.units)(x))
        return dense(math.prod(self.shape))(x).reshape(*x.shape[:-1], *self.shape)
