"""The purely stochastic state-space model."""

import jax
import jax.numpy as jnp

from planet_jax.networks.cells.parts import Cell, Gaussian
from planet_jax.types import Latent


class Ssm(Cell):
    """Only a stochastic path (equation 2)."""

    def setup(self):
        """Makes the two Gaussians."""
        self.gaussian = Gaussian(self.config, self.config.stochastic + self.action_size)
        self.filtered = Gaussian(self.config, 2 * self.config.stochastic, self.encoded)

    def prior(self, key: jax.Array, latent: Latent, action: jax.Array) -> Latent:
        """p(s_t | s_{t-1}, a_{t-1})."""
        x = jnp.concatenate([latent.stochastic, action])
        mean, std, stochastic = self.gaussian(key, x)
        return Latent(mean, std, stochastic, latent.deterministic)

    def posterior(self, key: jax.Array, prior: Latent, embedding: jax.Array) -> Latent:
        """q(s_t | s_{t-1}, a_{t-1}, o_t), which sees the past through the prior's mean and std."""
        x = jnp.concatenate([prior.mean, prior.std])
        mean, std, stochastic = self.filtered(key, x, embedding)
        return Latent(mean, std, stochastic, prior.deterministic)
