"""Measures of a world model on held-out episodes.

Everything is a pure function of a model, its parameters and episodes. `of_episodes` makes all numbers at once; the
functions below it are their definitions, and take arrays from anywhere. Each error stands beside two baselines, since
an error alone says little: `still` predicts that nothing changes after the last row seen, `mean` always predicts the
mean of the training data.

Two kinds of prediction are measured. Filtering has seen every row up to the one it predicts, that one included: a
reconstruction by the posterior. The open loop starts from a posterior and sees only actions, 1 to H agent steps ahead:
what a planner relies on (section 5 of the paper, figure 3).
"""

from typing import Any

import distrax
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from planet_jax import world_model
from planet_jax.ops.slices import map_in_slices
from planet_jax.types import Metrics, Params, Trajectory, WorldModel

CONTEXT = 5
"""Rows that the model sees before the first prediction, as in the paper."""
MOVING = 0.1
"""Distance from the data's mean above which a value of an image counts as moving; the range from black to full is 1."""
DECODED = 64
"""Rows that are decoded at a time."""
ACTIVE = 0.01
"""Variance above which a latent dimension is in use."""


@struct.dataclass
class Errors:
    """Mean squared errors of predictions, by row or by steps ahead; NaN where nothing was predicted.

    Attributes:
        observation: averaged over an image's pixels and colours, where 0 is black and 1 full, or over a vector's
            entries; a dict of these where observations have several parts. Images carry the noise that fills the colour
            bits left out, so no error is below its variance, 1 / (12 * 4^bits): 8.1e-5 for 5 bits.
        moving: the same over the entries that differ from the data's mean by more than `MOVING`.
        reward: of the reward of an agent step.
    """

    observation: Any
    moving: Any
    reward: jax.Array


@struct.dataclass
class Episodes:
    """Predictions of E episodes. Rows and starts that do not exist have `valid` or `started` false.

    Attributes:
        filtering: squared errors of the model, Errors [E, T+1]
        filtering_mean: the same of the data's mean
        kl: [E, T+1], from posterior to prior, nats
        latent_mean: [E, T+1, Z], of the posteriors
        valid: [E, T+1], rows of the episode
        open_loop, still, mean: squared errors of the model and of the baselines, Errors [E, S, H] for S starts
        reward: [E, S, H], true
        predicted_reward: [E, S, H]
        started: [E, S], whether the episode has all H rows after the start
        share: [E, T+1] and [E, S, H], of the entries that move; weights of `moving`, and a dict where that is one
    """

    filtering: Errors
    filtering_mean: Errors
    kl: jax.Array
    latent_mean: jax.Array
    valid: jax.Array
    open_loop: Errors
    still: Errors
    mean: Errors
    reward: jax.Array
    predicted_reward: jax.Array
    started: jax.Array
    share: tuple[Any, Any]


def without_noise(model: WorldModel, quiet: bool | jax.Array = True) -> WorldModel:
    """The same model, whose open loop follows the prior's mean instead of samples.

    Args:
        model: the world model.
        quiet: whether to follow the mean; may be traced, so that one compiled program measures both.
    """
    def prior(params, key, latent, action):
        latent = model.prior(params, key, latent, action)
        return latent.replace(stochastic=jnp.where(quiet, latent.mean, latent.stochastic))

    return model._replace(prior=prior)


def predict(model: WorldModel, params: Params, key: jax.Array, episode: Trajectory, mean: tuple[jax.Array, jax.Array],
            *, horizon: int = 12, stride: int = 4) -> Episodes:
    """Filters an episode, and predicts H steps open loop from every `stride`-th of its rows after the context.

    Args:
        model: the world model.
        params: its parameters.
        key: a random key.
        episode: T + 1 rows, without a batch axis.
        mean: of the training data's observations [...], as `model.prepare` makes them, and rewards [].
        horizon: H.
        stride: rows between two starts.

    Returns:
        the record without its [E].

    Raises:
        ValueError: the episode has fewer rows than context and horizon.
    """
    rows = len(episode.reward)
    if rows < CONTEXT + horizon:
        raise ValueError(f'An episode of {rows} rows is too short to see {CONTEXT} of them and predict {horizon} more.')
    prepare_key, observe_key, imagine_key = jax.random.split(key, 3)
    truth = model.prepare(prepare_key, episode.observation)
    moving = jax.tree.map(lambda true, mean: jnp.abs(true - mean) > MOVING, truth, mean[0])
    embeddings = jax.vmap(model.encode, (None, 0))(params, truth)
    priors, posteriors = world_model.observe(model, params, observe_key, embeddings, episode.action, model.initial())
    step, decode, reward = (jax.vmap(function, axes) for function, axes in (
        (model.prior, (None, 0, 0, 0)), (model.decode, (None, 0)), (model.reward, (None, 0))))
    starts = jnp.arange(CONTEXT - 1, rows - horizon, stride)
    at = starts[:, None] + jnp.arange(1, horizon + 1)

    def advance(latents, inputs):
        key, ahead = inputs
        latents = step(params, jax.random.split(key, len(starts)), latents, episode.action[starts + ahead])
        return latents, latents.features

    inputs = jax.random.split(imagine_key, horizon), 1 + jnp.arange(horizon)
    imagined = jax.lax.scan(advance, jax.tree.map(lambda leaf: leaf[starts], posteriors), inputs)[1].swapaxes(0, 1)

    def errors(observation, predicted_reward, rows):
        """Of a prediction of rows [m]: observations [m, *shape] or [*shape], and rewards [m] or []."""
        def of_part(guess, true, moving):
            squared, moving = jnp.square(guess - true[rows]), moving[rows]
            entries = tuple(range(1, squared.ndim))
            some = jnp.where(moving, squared, 0).sum(entries) / jnp.maximum(moving.sum(entries), 1)
            return squared.mean(entries), some

        found = jax.tree.map(of_part, observation, truth, moving)
        whole, some = jax.tree.transpose(jax.tree.structure(truth), jax.tree.structure((0, 0)), found)
        return Errors(whole, some, jnp.square(predicted_reward - episode.reward[rows]))

    def compare(predicted):
        """Features, rows that they predict, and the rows that `still` predicts these from, each [m, ...]."""
        features, rows, starts = predicted
        rewards = reward(params, features)
        return (errors(decode(params, features), rewards, rows),
                errors(jax.tree.map(lambda true: true[starts], truth), episode.reward[starts], rows),
                errors(*mean, rows), rewards,
                jax.tree.map(lambda moving: moving[rows].mean(tuple(range(1, moving.ndim))), moving))

    # Filtered and imagined rows are decoded by one program, since each takes long to compile, and a few at a time,
    # since decoding all of them fills a small GPU.
    every = jnp.arange(rows)
    found = map_in_slices(compare, DECODED, (
        jnp.concatenate([posteriors.features, imagined.reshape(-1, imagined.shape[-1])]),
        jnp.concatenate([every, at.ravel()]), jnp.concatenate([every, jnp.repeat(starts, horizon)])))
    filtered, _, filtered_mean, _, share = jax.tree.map(lambda leaf: leaf[:rows], found)
    predicted, still, constant, rewards, share_ahead = jax.tree.map(
        lambda leaf: leaf[rows:].reshape(at.shape), found)
    return Episodes(
        filtering=filtered, filtering_mean=filtered_mean,
        kl=distrax.MultivariateNormalDiag(posteriors.mean, posteriors.std).kl_divergence(
            distrax.MultivariateNormalDiag(priors.mean, priors.std)),
        latent_mean=posteriors.mean, valid=every < episode.length,
        open_loop=predicted, still=still, mean=constant, reward=episode.reward[at], predicted_reward=rewards,
        started=starts + horizon < episode.length, share=(share, share_ahead))


def of_episodes(model: WorldModel, params: Params, key: jax.Array, episodes: Trajectory,
                mean: tuple[jax.Array, jax.Array], *, free_nats: float, horizon: int = 12, stride: int = 4) -> Metrics:
    """All measures of a model on held-out episodes, one episode at a time to save memory. Pure, so compile it.

    Args:
        model: the world model.
        params: its parameters.
        key: a random key.
        episodes: a Trajectory with leading [E].
        mean: see `predict`; `data_mean` makes it.
        free_nats: of the objective, see `under`.
        horizon: H.
        stride: see `predict`.

    Returns:
        numbers by name, scalars [] but for those marked. X is each of observation, moving and reward; where
        observations have several parts, the first two are means over the parts, and X is each of observation/NAME and
        moving/NAME too.

        - `filtering/X`, `filtering_mean/X`: squared error of the filter after the context, and of the data's mean.
        - `open_loop/X`, `still/X`, `mean/X`: [H], squared error by steps ahead, and that of the baselines.
        - `r2`: see `r2`, of the sum of the H rewards after each start.
        - `calibration/predicted`, `calibration/true`: [10], see `calibration`, of the same sums.
        - `kl`: the mean over rows; `kl/by_step`: [T+1], over episodes.
        - `under_free_nats`: see `under`. `active`: see `active`.
    """
    found = jax.lax.map(lambda pair: predict(model, params, pair[0], pair[1], mean, horizon=horizon, stride=stride),
                        (jax.random.split(key, len(episodes.length)), episodes))
    rows = found.valid & (jnp.arange(found.valid.shape[1]) >= CONTEXT)
    started = jnp.broadcast_to(found.started[..., None], found.reward.shape)
    metrics = {}
    for name, errors, weights, share, axes in (
            ('filtering', found.filtering, rows, found.share[0], None),
            ('filtering_mean', found.filtering_mean, rows, found.share[0], None),
            ('open_loop', found.open_loop, started, found.share[1], (0, 1)),
            ('still', found.still, started, found.share[1], (0, 1)),
            ('mean', found.mean, started, found.share[1], (0, 1))):
        metrics |= _with_mean(f'{name}/observation', jax.tree.map(
            lambda squared, weights=weights, axes=axes: _mean(squared, weights, axes), errors.observation))
        metrics |= _with_mean(f'{name}/moving', jax.tree.map(
            lambda squared, share, weights=weights, axes=axes: _mean(squared, weights * share, axes),
            errors.moving, share))
        metrics[f'{name}/reward'] = _mean(errors.reward, weights, axes)
    sums = found.predicted_reward.sum(-1), found.reward.sum(-1)
    predicted, true = calibration(*sums, found.started)
    return metrics | {
        'r2': r2(*sums, found.started), 'calibration/predicted': predicted, 'calibration/true': true,
        'kl': _mean(found.kl, found.valid),
        'kl/by_step': _mean(found.kl, found.valid, 0),
        'under_free_nats': under(found.kl, free_nats, found.valid),
        'active': active(found.latent_mean, found.valid)}


def data_mean(model: WorldModel, key: jax.Array, episodes: Trajectory) -> tuple[jax.Array, jax.Array]:
    """The baseline that predicts the data's mean.

    Args:
        model: whose `prepare` is used.
        key: a random key.
        episodes: to learn from, with leading [E].

    Returns:
        the mean over all valid rows of the observations [...], as the model makes them, and of the rewards [].
    """
    def one(total, pair):
        key, episode = pair
        valid = jnp.arange(len(episode.reward)) < episode.length
        prepared = model.prepare(key, episode.observation)
        seen = jax.tree.map(lambda rows: (valid.reshape(-1, *[1] * (rows.ndim - 1)) * rows).sum(0), prepared)
        sums = seen, (valid * episode.reward).sum(), valid.sum().astype(jnp.float32)
        return jax.tree.map(jnp.add, total, sums), None

    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[2:]), episodes.observation)
    start = nothing, jnp.zeros(()), jnp.zeros(())
    (observation, reward, count), _ = jax.lax.scan(one, start, (jax.random.split(key, len(episodes.length)), episodes))
    return jax.tree.map(lambda total: total / count, (observation, reward))


def r2(predicted: jax.Array, true: jax.Array, valid: jax.Array | None = None) -> jax.Array:
    """The share of the variance that a prediction explains (coefficient of determination).

    1 - sum (true - predicted)^2 / sum (true - mean true)^2: 1 for a perfect prediction, 0 for the mean of what is
    predicted, below for worse. NaN where what is predicted does not vary.

    Args:
        predicted: any shape.
        true: the same.
        valid: the same; entries that count; by default all.
    """
    weights = jnp.ones(true.shape) if valid is None else valid.astype(jnp.float32)
    spread = (weights * jnp.square(true - _mean(true, weights))).sum()
    error = (weights * jnp.square(true - predicted)).sum()
    return jnp.where(spread > 0, 1 - error / jnp.where(spread > 0, spread, 1), jnp.nan)


def calibration(predicted: jax.Array, true: jax.Array, valid: jax.Array | None = None, groups: int = 10,
                ) -> tuple[jax.Array, jax.Array]:
    """Compares predictions with outcomes in groups of equal size, by default deciles.

    Predictions are sorted and split. They are calibrated where both means of a group are equal (reliability diagram;
    Murphy and Winkler, 1977).

    Args:
        predicted: any shape.
        true: the same.
        valid: the same; entries that count; by default all.
        groups: their number.

    Returns:
        the mean prediction and the mean outcome of each group, [groups], the lowest predictions first; NaN for an empty
        group.
    """
    valid = jnp.ones(true.shape, bool) if valid is None else valid
    order = jnp.argsort(jnp.where(valid, predicted, jnp.inf).ravel())
    count = valid.sum()
    group = jnp.where(jnp.arange(order.size) < count, jnp.arange(order.size) * groups // jnp.maximum(count, 1), groups)
    size = jnp.bincount(group, length=groups + 1)[:groups]

    def mean(values):
        values = jnp.where(valid, values, 0).ravel()[order]
        return jnp.bincount(group, values, length=groups + 1)[:groups] / size

    return mean(predicted), mean(true)


def under(kl: jax.Array, free_nats: float, valid: jax.Array | None = None) -> jax.Array:
    """The share of rows whose KL is below the free nats, [].

    At 1 the KL has no gradient, so the prior, which is all that a planner uses, learns nothing from it.

    Args:
        kl: of each row, any shape, nats.
        free_nats: KL below which the loss has no penalty.
        valid: the same shape; rows that count; by default all.
    """
    return _mean((kl < free_nats).astype(jnp.float32), jnp.ones(kl.shape) if valid is None else valid)


def active(means: jax.Array, valid: jax.Array | None = None, threshold: float = ACTIVE) -> jax.Array:
    """The number of latent dimensions in use, whose posterior mean depends on the observation.

    Its variance over all rows exceeds the threshold (active units; Burda, Grosse and Salakhutdinov, 2016, *Importance
    Weighted Autoencoders*, section 5.2 and equation 9).

    Args:
        means: [..., Z], of posteriors.
        valid: [...]; rows that count; by default all.
        threshold: variance above which a dimension is in use.
    """
    weights = jnp.ones(means.shape[:-1]) if valid is None else valid
    weights = jnp.broadcast_to(weights[..., None], means.shape)
    axes = tuple(range(means.ndim - 1))
    variance = _mean(jnp.square(means - _mean(means, weights, axes)), weights, axes)
    return (variance > threshold).sum()


def coming(reward: np.ndarray, horizon: int) -> np.ndarray:
    """The return over the next H agent steps of an episode, to compare with a plan's expected return.

    Args:
        reward: [T+1] of an episode, on the host: episodes differ in length, and each would be a program of its own.
        horizon: H, at most T.

    Returns:
        float64 [T+1-H], entry t the sum of the rewards of rows t + 1 to t + H.
    """
    return np.convolve(np.asarray(reward, np.float64)[1:], np.ones(horizon), 'valid')


def _with_mean(name, found):
    """A metric; of several parts, that of each, and under its name their mean, of those that have one."""
    if not isinstance(found, dict):
        return {name: found}
    return {name: jnp.nanmean(jnp.stack(list(found.values())), 0)} | {
        f'{name}/{part}': value for part, value in found.items()}


def _mean(values, weights, axes=None):
    """A weighted mean; NaN where all weights are zero."""
    weights = jnp.asarray(weights, jnp.float32)
    total = weights.sum(axes)
    return jnp.where(total > 0, (weights * values).sum(axes) / jnp.where(total > 0, total, 1), jnp.nan)
