"""The recurrent state-space model, and the RNN as its case without noise."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from planet_jax.networks.cells.parts import Cell, Gaussian, Gru
from planet_jax.networks.heads import Dense, product_dtype
from planet_jax.types import Latent


class Rssm(Cell):
    """A deterministic path through a GRU, and a stochastic path; without noise it is the RNN."""

    def setup(self):
        """Makes the layer before the GRU, the GRU, and the two Gaussians on its state."""
        dtype = product_dtype(self.config)
        self.before = Dense(self.config.hidden, dtype)
        self.gru = Gru(self.config.deterministic, self.config.gru == 'reset_before', dtype)
        self.gaussian = Gaussian(self.config, self.config.deterministic)
        self.filtered = Gaussian(self.config, self.config.deterministic, self.encoded)

    def prior(self, key: jax.Array, latent: Latent, action: jax.Array) -> Latent:
        """p(s_t | h_t) with h_t = f(h_{t-1}, s_{t-1}, a_{t-1}) (equation 4)."""
        x = nn.relu(self.before(jnp.concatenate([latent.stochastic, action])))
        deterministic = self.gru(latent.deterministic, x)
        mean, std, stochastic = self.gaussian(key, deterministic)
        return Latent(mean, std, stochastic, deterministic)

    def posterior(self, key: jax.Array, prior: Latent, embedding: jax.Array) -> Latent:
        """q(s_t | h_t, o_t)."""
        mean, std, stochastic = self.filtered(key, prior.deterministic, embedding)
        return Latent(mean, std, stochastic, prior.deterministic)
