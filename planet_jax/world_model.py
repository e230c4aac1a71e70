"""Scans over any `WorldModel`: filter a sequence, or predict without observations.

All functions are without a batch axis; `jax.vmap` adds it.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from planet_jax.planning import Dynamics
from planet_jax.types import Latent, Params, WorldModel


def observe(model: WorldModel, params: Params, key: jax.Array, embeddings: jax.Array, actions: jax.Array,
            initial: Latent) -> tuple[Latent, Latent]:
    """Filters a sequence: one step of the prior, then the posterior, for each row (section 2 of the paper).

    Args:
        model: the world model.
        params: its parameters.
        key: a random key.
        embeddings: [L, M].
        actions: [L, A]; row t led to observation t.
        initial: the latent state before row 0.

    Returns:
        priors and posteriors, each a Latent with a leading [L].
    """

    def advance(latent, inputs):
        key, embedding, action = inputs
        prior_key, posterior_key = jax.random.split(key)
        prior = model.prior(params, prior_key, latent, action)
        posterior = model.posterior(params, posterior_key, prior, embedding)
        return posterior, (prior, posterior)

    inputs = jax.random.split(key, len(actions)), embeddings, actions
    return jax.lax.scan(advance, initial, inputs)[1]


def imagine(model: WorldModel, params: Params, key: jax.Array, actions: jax.Array, start: Latent) -> Latent:
    """Predicts ahead without observations.

    Args:
        model: the world model.
        params: its parameters.
        key: a random key.
        actions: [H, A].
        start: the latent state before the first action.

    Returns:
        the sampled latent states after each action, a Latent with a leading [H].
    """

    def advance(latent, inputs):
        key, action = inputs
        latent = model.prior(params, key, latent, action)
        return latent, latent

    return jax.lax.scan(advance, start, (jax.random.split(key, len(actions)), actions))[1]


def open_loop(model: WorldModel, params: Params, key: jax.Array, observations: jax.Array, actions: jax.Array,
              context: int) -> Latent:
    """Filters the first rows of an episode, then predicts the others from the actions (section 5 of the paper).

    Args:
        model: the world model.
        params: its parameters.
        key: a random key.
        observations: [L, ...], from the environment; those after the context are not used.
        actions: [L, A]; row t led to observation t.
        context: rows that are filtered, 1 to L.

    Returns:
        a Latent with a leading [L]: posteriors, then what was imagined from the last of them.
    """
    prepare_key, observe_key, imagine_key = jax.random.split(key, 3)
    embeddings = jax.vmap(model.encode, (None, 0))(params, model.prepare(
        prepare_key, jax.tree.map(lambda rows: rows[:context], observations)))
    _, filtered = observe(model, params, observe_key, embeddings, actions[:context], model.initial())
    last = jax.tree.map(lambda rows: rows[-1], filtered)
    imagined = imagine(model, params, imagine_key, actions[context:], last)
    return jax.tree.map(lambda *rows: jnp.concatenate(rows), filtered, imagined)


def overshoot(model: WorldModel, params: Params, key: jax.Array, posteriors: Latent, actions: jax.Array, distance: int,
              ) -> tuple[Latent, jax.Array]:
    """Predicts every row from the posteriors 1 to O rows before it (latent overshooting, equation 7).

    One scan over distances advances all rollouts: the sample at distance d is the start of distance d + 1.

    Args:
        model: the world model.
        params: its parameters.
        key: a random key.
        posteriors: Latent with a leading [L], from `observe`.
        actions: [L, A].
        distance: O, at most L.

    Returns:
        priors, a Latent with leading [O, L]: entry [d - 1, t] is row t predicted from row t - d; and a mask [O, L],
        false where there is no row t - d. Row -1 is the known state before the chunk, so distance 1 is `observe`'s
        prior.

    Raises:
        ValueError: the distance is not 1 to L.
    """
    length = len(actions)
    if not 1 <= distance <= length:
        raise ValueError(f'The overshooting distance must be 1 to {length}, the rows of a chunk, not {distance}.')
    before = jax.tree.map(lambda first, rows: jnp.concatenate([first[None], rows[:-1]]), model.initial(), posteriors)
    step = jax.vmap(model.prior, (None, 0, 0, 0))

    def advance(latent, key):
        predicted = step(params, jax.random.split(key, length), latent, actions)
        # The state predicted for row t moves to row t + 1. The mask removes what enters at row 0.
        return jax.tree.map(lambda rows: jnp.roll(rows, 1, 0), predicted), predicted

    priors = jax.lax.scan(advance, before, jax.random.split(key, distance))[1]
    mask = jnp.arange(length) >= jnp.arange(distance)[:, None]
    return priors, mask


def segments(model: WorldModel, params: Params, key: jax.Array, posteriors: Latent, actions: jax.Array, steps: int,
             ) -> Latent:
    """Predicts the rows of a chunk without their observations, D at a time.

    The last S D rows form S segments of D rows, with S as large as possible and at least one row before them. Each
    segment starts from the posterior of the row before it, so every row is predicted once, 1 to D rows ahead. This
    costs one more pass over the chunk, where `overshoot` costs D.

    Args:
        model: the world model.
        params: its parameters.
        key: a random key.
        posteriors: Latent with a leading [L], from `observe`.
        actions: [L, A].
        steps: D, at most L - 1.

    Returns:
        sampled states, a Latent with a leading [S D]: those of rows L - S D to L - 1.

    Raises:
        ValueError: D is not 1 to L - 1.
    """
    length = len(actions)
    if not 1 <= steps < length:
        raise ValueError(f'The open-loop steps must be 1 to {length - 1}, one less than the rows of a chunk, not '
                         f'{steps}.')
    count = (length - 1) // steps
    first = length - count * steps
    starts = jax.tree.map(lambda rows: rows[first - 1:-1:steps], posteriors)
    parts = actions[first:].reshape(count, steps, *actions.shape[1:])
    predicted = jax.vmap(lambda key, actions, start: imagine(model, params, key, actions, start))(
        jax.random.split(key, count), parts, starts)
    return jax.tree.map(lambda rows: rows.reshape(count * steps, *rows.shape[2:]), predicted)


def alive(model: WorldModel) -> Callable[[Params, Latent], jax.Array] | None:
    """The model's prediction whether the episode goes on, in the form that `planning.rollouts` takes.

    Returns:
        (params, Latent) -> probability []; None if the model does not predict it.
    """
    if (goes_on := model.goes_on) is None:
        return None
    return lambda params, latent: jax.nn.sigmoid(goes_on(params, latent.features))


def terminal_value(model: WorldModel) -> Callable[[Params, Latent], jax.Array]:
    """The model's value, in the form that `planning.rollouts` takes. The model must learn values.

    Returns:
        (params, Latent) -> discounted sum [] of the rewards after the state.
    """
    value = model.value
    assert value is not None, 'model.value_discount is not set'
    return lambda params, latent: value(params, latent.features) / (1 - model.discount)


def latent_dynamics(model: WorldModel, rollout: Literal['sample', 'mean'] = 'sample') -> Dynamics:
    """The model as dynamics for a planner: one step of the prior, and the mean reward of the new state.

    Args:
        model: the world model.
        rollout: whether the new state is a sample of the prior or its mean.

    Returns:
        (params, key, Latent, action [A]) -> (Latent, reward []).
    """

    def step(params, key, latent, action):
        latent = model.prior(params, key, latent, action)
        if rollout == 'mean':
            latent = latent.replace(stochastic=latent.mean)
        return latent, model.reward(params, latent.features)

    return step
