"""The training objective: a variational bound on the likelihood of images and rewards (equation 3 of the paper)."""

import math
from functools import partial
from typing import Any

import chex
import distrax
import jax
import jax.numpy as jnp

from planet_jax import keys, world_model
from planet_jax.config import Objective
from planet_jax.networks.images import LATER_LAYER
from planet_jax.ops import slices
from planet_jax.ops.returns import lambda_returns
from planet_jax.types import Latent, Metrics, Params, Trajectory, WorldModel

TRACE = 0.95
"""Lambda of the targets of values (Hafner et al., 2020)."""
_OBSERVATION_BYTES = 2.5e6
"""Bytes of observations that a CPU decodes at a time: 50 images of 64 x 64."""
_ENCODED_BYTES = 5e7
"""Bytes of a batch's observations beyond which a CPU encodes one chunk at a time: 1000 images of 64 x 64."""


def _distribution(latent: Latent) -> distrax.MultivariateNormalDiag:
    return distrax.MultivariateNormalDiag(latent.mean, latent.std)


def loss(model: WorldModel, params: Params, key: jax.Array, chunk: Trajectory, config: Objective,
         ) -> tuple[jax.Array, Metrics]:
    """The negative bound for one chunk, without the constants of the Gaussian likelihoods.

    It is the sum over the valid rows of
    image_scale / 2 |x - x^|^2 + reward_scale / 2 (r - r^)^2 + kl_scale max(0, KL(q || p) - free_nats), divided by L.

    - With `kl_balance` b the KL has the same value and another gradient: b of it goes to the prior and 1 - b to the
      posterior (Hafner et al., 2021, algorithm 2), each only beyond the free nats.
    - With `open_loop_steps` D, the chunk is also predicted without its observations (`world_model.segments`), D rows at
      a time. The errors of these observations and rewards are added with the same factors. Their gradient flows
      through all steps of the prior, and into the posterior from which a segment starts.
    - If the model predicts whether the episode goes on, end_scale times the negative log-likelihood of this is added.
      The label is false at the last row of a chunk that ends with a termination, and true at all other rows.
    - If the model learns values, reward_scale / 2 (g - v)^2 is added, with g the TD(lambda) target of the value v. Both
      are discounted returns times 1 - discount, on the scale of a reward. This term trains the value head alone.

    The latent state before the first row is zero, as before an episode, and the first row is trained like the others
    (released code). The noisy image is the encoder's input and the decoder's target.

    Args:
        model: the world model.
        params: its parameters.
        key: a random key.
        chunk: L rows.
        config: scales and free nats.

    Returns:
        the loss [] and metrics. `image_loss` and `reward_loss` (scaled), `kl` (unscaled and unclipped, in nats),
        `prior_entropy`, `posterior_entropy`, and with these heads `end_loss` and `value_loss` (scaled), are sums over
        the valid rows divided by L. `free_rows` is the share of the valid rows whose KL is below the free nats. If
        asked for, `overshooting_kl` is the mean over distances 2 to O, and `global_kl` the KL to a standard normal.
    """
    terms, metrics, images = _without_images(model, params, key, chunk, config.resolve(),
                                             *_encode(model, params, key, chunk.observation))
    return _with_images(sum(terms.values()), metrics, _total_image_loss(model, params, *images, most=math.inf))


def batch_loss(model: WorldModel, params: Params, key: jax.Array, batch: Trajectory, config: Objective,
               apart: bool = False) -> tuple[jax.Array, Metrics]:
    """The means of `loss` and of its metrics over the chunks of a batch, with little memory for the images.

    The images of all chunks are decoded together. A CPU decodes them in slices, each with its gradient, so that the
    decoder's intermediates exist for one slice at a time. Only first derivatives in reverse mode are supported.

    Args:
        model: the world model.
        params: its parameters.
        key: a random key, split among the chunks.
        batch: chunks with leading [B].
        config: scales and free nats.
        apart: encode one chunk after the other. The encoder's first layer is computed again for the gradient, so that
            its output, most of what the encoder makes, exists for one chunk at a time.
    """
    terms, metrics, image_loss = _batch_terms(model, params, key, batch, config, apart)
    return _with_images(sum(terms.values()).mean(), metrics, image_loss)


def batch_gradient(model: WorldModel, params: Params, key: jax.Array, batch: Trajectory, config: Objective,
                   ) -> tuple[Params, Metrics]:
    """The gradient of `batch_loss` by the parameters, and its metrics. A CPU encodes large batches one chunk at a time.

    Args:
        model: the world model.
        params: its parameters.
        key: a random key, split among the chunks.
        batch: chunks with leading [B].
        config: scales and free nats.
    """
    def gradient(apart, params, key, batch):
        return jax.grad(lambda params: batch_loss(model, params, key, batch, config, apart), has_aux=True)(params)

    return _by_size(gradient, params, key, batch)


def _by_size(function, params, key, batch):
    """Calls (apart, params, key, batch), with `apart` for a large batch on a CPU."""
    if sum(4 * math.prod(rows.shape) for rows in jax.tree.leaves(batch.observation)) <= _ENCODED_BYTES:
        return function(False, params, key, batch)
    return jax.lax.platform_dependent(
        params, key, batch, cpu=partial(function, True), default=partial(function, False))


def term_gradients(model: WorldModel, params: Params, key: jax.Array, batch: Trajectory, config: Objective,
                   ) -> dict[str, Params]:
    """The gradient of each term of `batch_loss`, to see which term dominates.

    Args:
        model: the world model.
        params: its parameters.
        key: a random key, split among the chunks.
        batch: chunks with leading [B].
        config: scales and free nats.

    Returns:
        pytrees like the parameters, named `image`, `reward` and `kl`, and with these heads `end` and `value`. They are
        scaled and add up to the gradient of the loss. `kl` includes overshooting and the global prior.
    """

    def gradients(apart, params, key, batch):
        def terms(params):
            terms, _, image_loss = _batch_terms(model, params, key, batch, config, apart)
            return {'image': image_loss} | {name: term.mean() for name, term in terms.items()}

        return jax.jacrev(terms)(params)

    return _by_size(gradients, params, key, batch)


def _batch_terms(model: WorldModel, params: Params, key: jax.Array, batch: Trajectory, config: Objective, apart: bool,
                 ) -> tuple[dict[str, jax.Array], Metrics, jax.Array]:
    """The terms of each chunk [B] as in `_without_images`, and the batch's means of the metrics and the image term."""
    config = config.resolve()
    roots = jax.random.split(key, len(batch.length))
    if apart:
        encoded = _encode_apart(model, params, roots, batch.observation)
    else:
        encoded = jax.vmap(partial(_encode, model, params))(roots, batch.observation)
    terms, metrics, images = jax.vmap(
        lambda key, chunk, encoded: _without_images(model, params, key, chunk, config, *encoded))(roots, batch, encoded)
    features, target, weights = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), images)
    weights = jax.tree.map(lambda leaf: leaf / len(batch.length), weights)
    image_loss = _total_image_loss(model, params, features, target, weights, most=_OBSERVATION_BYTES)
    return terms, jax.tree.map(jnp.mean, metrics), image_loss


def _with_images(total: jax.Array, metrics: Metrics, image_loss: jax.Array) -> tuple[jax.Array, Metrics]:
    return total + image_loss, metrics | {'loss': total + image_loss, 'image_loss': image_loss}


def _total_image_loss(model: WorldModel, params: Params, features: jax.Array, target: Any, weights: Any, *, most: float,
                      ) -> jax.Array:
    """The sum over the parts of an observation, each decoded separately, in slices of at most `most` bytes."""
    losses = []
    for name in target if isinstance(target, dict) else (None,):
        data = (target, weights) if name is None else (target[name], weights[name])
        function = partial(_image_loss, model, name)
        losses.append(function(params, features, *data) if most == math.inf else slices.total(
            function, most / (4 * math.prod(data[0].shape[1:])), params, features, data))
    return sum(losses[1:], losses[0])


def _image_loss(model: WorldModel, part: str | None, params: Params, features: jax.Array, target: jax.Array,
                weights: jax.Array) -> jax.Array:
    """Features [n, F], observations [n, ...] and weights [n] -> the weighted sum of 1/2 |x - x^|^2."""
    image = jax.vmap(model.decode, (None, 0))(params, features)
    image = image if part is None else image[part]
    chex.assert_equal_shape((target, image))
    # No dot product, which an accelerator computes at the reduced precision of matrix products.
    return (weights * 0.5 * jnp.square(target - image).sum(range(1, image.ndim))).sum()


def _encode(model: WorldModel, params: Params, key: jax.Array, observations: Any) -> tuple[Any, jax.Array]:
    """The prepared observations of a chunk, and their embeddings [L, M]."""
    target = model.prepare(jax.random.split(key)[0], observations)
    return target, jax.vmap(model.encode, (None, 0))(params, target)


def _encode_apart(model: WorldModel, params: Params, keys: jax.Array, observations: Any) -> tuple[Any, jax.Array]:
    """The same for chunks with leading [B], one after the other."""
    targets = jax.vmap(lambda key, rows: model.prepare(jax.random.split(key)[0], rows))(keys, observations)
    encode = jax.checkpoint(jax.vmap(model.encode, (None, 0)),
                            policy=jax.checkpoint_policies.save_only_these_names(LATER_LAYER))
    return targets, jax.lax.map(lambda target: encode(params, target), targets)


def _without_images(model: WorldModel, params: Params, key: jax.Array, chunk: Trajectory, config: Objective,
                    target: Any, embeddings: jax.Array,
                    ) -> tuple[dict[str, jax.Array], Metrics, tuple[jax.Array, Any, Any]]:
    """The terms by name and metrics of a chunk without its images, and the arguments of `_total_image_loss`.

    Takes what `_encode` returns for the same key.
    """
    observe_key = jax.random.split(key)[1]
    priors, posteriors = world_model.observe(model, params, observe_key, embeddings, chunk.action, model.initial())
    features = posteriors.features
    reward = jax.vmap(model.reward, (None, 0))(params, features)
    prior, posterior = _distribution(priors), _distribution(posteriors)
    kl = posterior.kl_divergence(prior)
    # A head of another shape, such as [L, 1], would be broadcast in silence.
    chex.assert_equal_shape((chunk.reward, reward, kl))

    length = len(chunk.reward)
    valid = jnp.arange(length) < chunk.length

    def mean(rows):
        """The sum over the valid of the last rows, divided by L."""
        return jnp.where(valid[length - len(rows):], rows, 0).sum() / length

    reward_loss = mean(0.5 * config.reward_scale * jnp.square(chunk.reward - reward))
    open_loop = None
    if config.open_loop_steps:
        open_loop = world_model.segments(model, params, keys.stream(key, 'open_loop'), posteriors, chunk.action,
                                         config.open_loop_steps).features
        predicted = jax.vmap(model.reward, (None, 0))(params, open_loop)
        reward_loss += mean(0.5 * config.reward_scale * jnp.square(chunk.reward[-len(predicted):] - predicted))
    trained = kl if config.kl_balance is None else _balanced(priors, posteriors, config.kl_balance)
    penalty = mean(jnp.maximum(trained - config.free_nats, 0))
    metrics = {}
    if config.overshooting_distance > 1:
        farther, metrics, rewards = _overshooting(
            model, params, keys.stream(key, 'overshoot'), posteriors, chunk, valid, config)
        penalty = penalty + farther if config.overshooting_weights == 'released' else (
            penalty + (config.overshooting_distance - 1) * farther) / config.overshooting_distance
        reward_loss = reward_loss + rewards
    terms = {'reward': reward_loss, 'kl': config.kl_scale * penalty}
    if config.global_prior_scale:
        standard = distrax.MultivariateNormalDiag(jnp.zeros_like(posteriors.mean), jnp.ones_like(posteriors.std))
        metrics['global_kl'] = mean(posterior.kl_divergence(standard))
        terms['kl'] += config.global_prior_scale * metrics['global_kl']
    if model.goes_on is not None and chunk.terminated is not None:
        over = chunk.terminated & (jnp.arange(length) == chunk.length - 1)
        logits = jax.vmap(model.goes_on, (None, 0))(params, features)
        chex.assert_equal_shape((over, logits))
        terms['end'] = mean(config.end_scale * jax.nn.softplus(jnp.where(over, logits, -logits)))
        metrics['end_loss'] = terms['end']
    if model.value is not None:
        value = jax.vmap(model.value, (None, 0))(params, jax.lax.stop_gradient(features))
        chex.assert_equal_shape((chunk.reward, value))
        ahead = lambda_returns((1 - model.discount) * chunk.reward, jax.lax.stop_gradient(value), model.discount,
                               TRACE, chunk.length, False if chunk.terminated is None else chunk.terminated)
        terms['value'] = mean(0.5 * config.reward_scale * jnp.square(ahead - value))
        metrics['value_loss'] = terms['value']
    metrics |= {
        'reward_loss': reward_loss,
        'kl': mean(kl),
        'free_rows': (valid & (kl < config.free_nats)).sum() / jnp.maximum(valid.sum(), 1),
        'prior_entropy': mean(prior.entropy()),
        'posterior_entropy': mean(posterior.entropy()),
    }
    weights = jax.tree.map(lambda rows: config.observation_scale(rows.shape[1:]) * valid / length, target)
    if open_loop is not None:
        features = jnp.concatenate([features, open_loop])
        target, weights = jax.tree.map(lambda rows: jnp.concatenate([rows, rows[-len(open_loop):]]), (target, weights))
    return terms, metrics, (features, target, weights)


def _balanced(priors: Latent, posteriors: Latent, share: float) -> jax.Array:
    """KL(q || p) [L] whose gradient goes to the prior by `share` and to the posterior by the rest."""
    stop = jax.lax.stop_gradient
    to_prior = _distribution(stop(posteriors)).kl_divergence(_distribution(priors))
    to_posterior = _distribution(posteriors).kl_divergence(_distribution(stop(priors)))
    return share * to_prior + (1 - share) * to_posterior


def _overshooting(model: WorldModel, params: Params, key: jax.Array, posteriors: Latent, chunk: Trajectory,
                  valid: jax.Array, config: Objective) -> tuple[jax.Array, Metrics, jax.Array]:
    """Latent overshooting at distances 2 to O (equation 7).

    No gradient flows into the posteriors that are targets; it does into the samples from which rollouts start. Entries
    that would start before the chunk, or end after its valid rows, are left out. The sum of a distance is divided by L,
    as the KL itself is, so that all entries have equal weight (equation 7).

    Returns:
        the weighted mean over distances of the KL beyond the free nats; the mean KL of the entries, without weights and
        free nats, as a metric; and the loss of the rewards predicted on the way, zero unless asked for.
    """
    priors, mask = world_model.overshoot(model, params, key, posteriors, chunk.action, config.overshooting_distance)
    priors, counted = jax.tree.map(lambda rows: rows[1:], priors), mask[1:] & valid
    targets = jax.tree.map(lambda rows, like: jnp.broadcast_to(rows, like.shape), posteriors, priors)
    kls = _distribution(jax.lax.stop_gradient(targets)).kl_divergence(_distribution(priors))

    def by_distance(entries):
        return jnp.where(counted, entries, 0).sum(1)

    betas = jnp.array(config.overshooting_betas or [1.0] * len(counted))
    beyond = betas * by_distance(jnp.maximum(kls - config.free_nats, 0))
    rewards = jnp.zeros(len(counted))
    if config.overshooting_reward:
        predicted = jax.vmap(jax.vmap(model.reward, (None, 0)), (None, 0))(params, priors.features)
        rewards = betas * by_distance(0.5 * config.reward_scale * jnp.square(chunk.reward - predicted))
    metric = (by_distance(kls) / jnp.maximum(counted.sum(1), 1)).mean()
    return beyond.mean() / len(valid), {'overshooting_kl': metric}, rewards.mean() / len(valid)
