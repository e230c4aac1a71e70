"""The parts of the cells."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from planet_jax.config import Model
from planet_jax.networks.heads import INITIALIZER, Dense, product, product_dtype
from planet_jax.types import Latent


class Gru(nn.Module):
    """A gated recurrent unit whose gates have bias 1 at the start.

    Attributes:
        units: D.
        reset_before: whether the reset gate acts on the state before the candidate's matrix product (Cho et al., 2014;
            TensorFlow's GRUCell) or on the product (cuDNN).
        dtype: of the products, see `heads.product_dtype`.
    """

    units: int
    reset_before: bool
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, state: jax.Array, x: jax.Array) -> jax.Array:
        """state [D], x [units of the layer before] -> state [D]."""
        gates = Dense(2 * self.units, self.dtype, nn.initializers.ones, name='gates')(jnp.concatenate([x, state]))
        reset, update = jnp.split(nn.sigmoid(gates), 2)
        if self.reset_before:
            candidate = Dense(self.units, self.dtype, name='candidate')(jnp.concatenate([x, reset * state]))
        else:
            candidate = (Dense(self.units, self.dtype, name='candidate')(x)
                         + reset * Dense(self.units, self.dtype, name='candidate_state')(state))
        return update * state + (1 - update) * nn.tanh(candidate)


def sample(config: Model, key: jax.Array, mean: jax.Array, std: jax.Array) -> jax.Array:
    """A sample of Normal(mean, std) [Z]; the mean for an RNN."""
    return mean + std * jax.random.normal(key, mean.shape) if config.traits.samples else mean


class Gaussian(nn.Module):
    """A hidden layer, then mean and standard deviation, and a sample.

    The sample of an RNN is the mean. Its std is 1; the released code predicts a std that is not used.

    Attributes:
        config: the model's.
        inputs: size of x.
        encoded: size of the encoder's output, which enters the same hidden layer; 0 for a prior.
    """

    config: Model
    inputs: int
    encoded: int = 0

    def setup(self):
        """Makes one matrix for both inputs, so that its initial scale is that of the whole layer."""
        self.kernel = self.param('kernel', INITIALIZER, (self.inputs + self.encoded, self.config.hidden))
        self.bias = self.param('bias', nn.initializers.zeros, (self.config.hidden,))
        self.mean = Dense(self.config.stochastic)
        first, least = self.config.first_std, self.config.min_std
        bias = 0.0 if first is None else math.log(math.expm1(first - least))
        self.std = (Dense(self.config.stochastic, bias_init=nn.initializers.constant(bias))
                    if self.config.traits.predicts_std else None)

    def embed(self, encoded: jax.Array) -> jax.Array:
        """[encoded] -> [M]: the encoder's share of the hidden layer, before bias and activation."""
        return product(encoded, self.kernel[self.inputs:], product_dtype(self.config))

    def __call__(self, key: jax.Array, x: jax.Array, embedding: jax.Array | float = 0.0,
                 ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """x [inputs], embedding [M] -> mean [Z], std [Z], sample [Z]."""
        hidden = product(x, self.kernel[:self.inputs], product_dtype(self.config))
        hidden = nn.relu(hidden + self.bias + embedding)
        mean = self.mean(hidden)
        std = jnp.ones_like(mean) if self.std is None else nn.softplus(self.std(hidden)) + self.config.min_std
        return mean, std, sample(self.config, key, mean, std)


class Cell(nn.Module):
    """The common part of the cells.

    Attributes:
        config: the model's.
        action_size: A.
        encoded: size of the encoder's output.
    """

    config: Model
    action_size: int
    encoded: int

    def embed(self, encoded: jax.Array) -> jax.Array:
        """[encoded] -> [M]."""
        return self.filtered.embed(encoded)

    def __call__(self, key: jax.Array, latent: Latent, action: jax.Array, encoded: jax.Array) -> Latent:
        """Calls every method once, to make the parameters."""
        return self.posterior(key, self.prior(key, latent, action), self.embed(encoded))
