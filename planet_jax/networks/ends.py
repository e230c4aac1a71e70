"""The head that predicts whether an episode goes on."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from planet_jax.networks.heads import Mlp
from planet_jax.types import Params

CERTAIN = 1e4
"""Logit of a certain prediction: its probability is exactly 1 in float32, and its gradient 0."""


class GoesOn(nn.Module):
    """A Bernoulli head that is certain that episodes go on until an update has learned from a termination.

    The parameters have an entry `seen` that says whether one has, so checkpoints and exported agents have it too. It
    has no gradient; `mark` sets it.

    Attributes:
        layers: number of hidden layers.
        units: of each hidden layer.
        dtype: of the hidden layers' products, see `heads.product_dtype`.
    """

    layers: int
    units: int
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """[..., F] -> logits [...] of the probability that the episode goes on."""
        seen = self.param('seen', nn.initializers.zeros, ())
        return jnp.where(seen > 0, Mlp(self.layers, self.units, dtype=self.dtype)(features), CERTAIN)


def mark(params: Params, terminated: jax.Array) -> Params:
    """The parameters of a model with this head, once it has seen a batch.

    Args:
        params: of the model.
        terminated: [B], of the chunks.
    """
    seen = jnp.maximum(params['goes_on']['seen'], terminated.any().astype(jnp.float32))
    return params | {'goes_on': params['goes_on'] | {'seen': seen}}
