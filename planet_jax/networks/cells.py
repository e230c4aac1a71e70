"""The recurrent cells: how a latent state follows from the one before, with and without an observation (section 3).

Every cell has the same three methods, and only this folder knows which one it is:

- embed: encoder's output -> embedding [M], already multiplied by its part of the posterior's first layer, so that this
  product is made for a whole chunk at once, outside of every scan.
- prior: (key, latent, action [A]) -> Latent.
- posterior: (key, prior, embedding [M]) -> Latent.
"""

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
    """A draw from Normal(mean, std) [Z]; an RNN's is the mean."""
    if config.cell in ('rnn', 'rnn_official'):
        return mean
    return mean + std * jax.random.normal(key, mean.shape)


class Gaussian(nn.Module):
    """A hidden layer, then mean and standard deviation, and a sample.

    The sample of an RNN is the mean. Its std is 1; as released it is predicted, though nothing comes of it.

    Attributes:
        config: the model's.
        inputs: size of x.
        encoded: size of the encoder's output, which enters the same hidden layer; 0 for a prior.
    """

    config: Model
    inputs: int
    encoded: int = 0

    def setup(self):
        """One matrix for both inputs, so that its initial scale is that of the whole layer."""
        self.kernel = self.param('kernel', INITIALIZER, (self.inputs + self.encoded, self.config.hidden))
        self.bias = self.param('bias', nn.initializers.zeros, (self.config.hidden,))
        self.mean = Dense(self.config.stochastic)
        self.std = None if self.config.cell == 'rnn' else Dense(self.config.stochastic)

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
    """What the cells share.

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
        """All methods once, to make the parameters."""
        return self.posterior(key, self.prior(key, latent, action), self.embed(encoded))


class Rssm(Cell):
    """A deterministic path through a GRU and a stochastic one beside it; without noise it is the RNN."""

    def setup(self):
        """The layer before the GRU, the GRU, and the two Gaussians on its state."""
        dtype = product_dtype(self.config)
        self.before = Dense(self.config.hidden, dtype)
        self.gru = Gru(self.config.deterministic, self.config.gru == 'reset_before', dtype)
        self.gaussian = Gaussian(self.config, self.config.deterministic)
        self.filtered = Gaussian(self.config, self.config.deterministic, self.encoded)

    def prior(self, key: jax.Array, latent: Latent, action: jax.Array) -> Latent:
        """p(s_t | h_t) with h_t = f(h_{t-1}, s_{t-1}, a_{t-1}) (equation 4)."""
        x = nn.relu(self.before(jnp.concatenate([latent.stochastic, action])))
        deterministic = self.gru(latent.deterministic, x)
        return Latent(*self.gaussian(key, deterministic), deterministic)

    def posterior(self, key: jax.Array, prior: Latent, embedding: jax.Array) -> Latent:
        """q(s_t | h_t, o_t)."""
        return Latent(*self.filtered(key, prior.deterministic, embedding), prior.deterministic)


class Ssm(Cell):
    """Only a stochastic path (equation 2)."""

    def setup(self):
        """The two Gaussians."""
        self.gaussian = Gaussian(self.config, self.config.stochastic + self.action_size)
        self.filtered = Gaussian(self.config, 2 * self.config.stochastic, self.encoded)

    def prior(self, key: jax.Array, latent: Latent, action: jax.Array) -> Latent:
        """p(s_t | s_{t-1}, a_{t-1})."""
        x = jnp.concatenate([latent.stochastic, action])
        return Latent(*self.gaussian(key, x), latent.deterministic)

    def posterior(self, key: jax.Array, prior: Latent, embedding: jax.Array) -> Latent:
        """q(s_t | s_{t-1}, a_{t-1}, o_t), which sees the past through the prior's mean and std."""
        x = jnp.concatenate([prior.mean, prior.std])
        return Latent(*self.filtered(key, x, embedding), prior.deterministic)


CELLS = {'rssm': Rssm, 'ssm': Ssm, 'rnn': Rssm, 'rnn_official': Rssm}
"""By the name that `Model.cell` gives."""
