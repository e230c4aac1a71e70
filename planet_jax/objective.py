"""The training objective: a variational bound on the likelihood of images and rewards (equation 3 of the paper)."""

import distrax
import jax
import jax.numpy as jnp

from planet_jax import world_model
from planet_jax.config import Objective
from planet_jax.types import Latent, Metrics, Params, Trajectory, WorldModel


def _distribution(latent: Latent) -> distrax.MultivariateNormalDiag:
    return distrax.MultivariateNormalDiag(latent.mean, latent.std)


def loss(model: WorldModel, params: Params, key: jax.Array, chunk: Trajectory, config: Objective,
         ) -> tuple[jax.Array, Metrics]:
    """The negative bound for one chunk, without the constants of the Gaussian likelihoods.

    The sum over the valid rows of
    1/2 |x - x^|^2 + reward_scale / 2 (r - r^)^2 + divergence_scale max(0, KL(q || p) - free_nats), divided by L.
    The latent state before the first row is zero, as before an episode, and the first row is trained like the others
    (released code). The noisy image is the encoder's input and the decoder's target.

    Args:
        model: the world model.
        params: its parameters.
        key: a random key.
        chunk: L rows.
        config: scales and free nats.

    Returns:
        the loss [], and what it is made of: `image_loss`, `reward_loss` (scaled), `divergence` (unscaled and unclipped,
        in nats), `prior_entropy` and `posterior_entropy`, each summed over valid rows and divided by L.
    """
    prepare_key, observe_key = jax.random.split(key)
    target = model.prepare(prepare_key, chunk.observation)
    embeddings = jax.vmap(model.encode, (None, 0))(params, target)
    priors, posteriors = world_model.observe(model, params, observe_key, embeddings, chunk.action, model.initial())
    features = posteriors.features
    image = jax.vmap(model.decode, (None, 0))(params, features)
    reward = jax.vmap(model.reward, (None, 0))(params, features)
    prior, posterior = _distribution(priors), _distribution(posteriors)
    divergence = posterior.kl_divergence(prior)

    length = len(chunk.reward)
    valid = jnp.arange(length) < chunk.length

    def mean(rows):
        return jnp.where(valid, rows, 0).sum() / length

    image_loss = mean(0.5 * jnp.square(target - image).sum(range(1, image.ndim)))
    reward_loss = mean(0.5 * config.reward_scale * jnp.square(chunk.reward - reward))
    clipped = mean(jnp.maximum(divergence - config.free_nats, 0))
    total = image_loss + reward_loss + config.divergence_scale * clipped
    return total, {
        'loss': total,
        'image_loss': image_loss,
        'reward_loss': reward_loss,
        'divergence': mean(divergence),
        'prior_entropy': mean(prior.entropy()),
        'posterior_entropy': mean(posterior.entropy()),
    }
