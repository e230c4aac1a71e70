"""Gradient descent on the objective: one update, and a compiled call of several."""

from typing import Protocol

import jax
import jax.numpy as jnp
import optax

from planet_jax import config, keys, networks, objective, replay
from planet_jax.ops import images
from planet_jax.types import Draw, DrawChunks, Learn, LearnerState, Metrics, Shares, TrainState, Trajectory, WorldModel


class Update(Protocol):
    """One step of gradient descent."""

    def __call__(self, learner: LearnerState, key: jax.Array, batch: Trajectory) -> tuple[LearnerState, Metrics]:
        """Learner and batch with leading [B, L] -> learner, metrics."""


def make_optimizer(settings: config.Learner) -> optax.GradientTransformation:
    """Adam with a clipped global norm of the gradient (appendix A).

    With `adam_epsilon_hat`, epsilon is added before the bias correction, as in TensorFlow: the same as dividing it by
    sqrt(1 - beta2^t) after it.
    """
    if settings.adam_epsilon_hat:
        adam = optax.inject_hyperparams(optax.scale_by_adam)(
            eps=lambda step: settings.adam_epsilon / jnp.sqrt(1 - 0.999 ** (step + 1.0)))
    else:
        adam = optax.scale_by_adam(eps=settings.adam_epsilon)
    return optax.chain(optax.clip_by_global_norm(settings.clip_norm), adam,
                       optax.scale_by_learning_rate(settings.learning_rate))


def make_update(model: WorldModel, optimizer: optax.GradientTransformation, settings: config.Objective,
                learning: config.Learner | None = None) -> Update:
    """One step of gradient descent (algorithm 1, lines 4 to 6).

    Where the loss or the gradient's norm is not finite, parameters and optimizer stay as they are, and the metric
    `skipped` is 1 instead of 0. The update is counted, so the next one draws other chunks and other noise.

    Args:
        model: the world model.
        optimizer: of optax.
        settings: of the objective.
        learning: `image_shift`, `average` and `rate_halves_after` are used; by default those of `config.Learner`.
    """
    learning = learning or config.Learner()

    def update(learner, key, batch):
        if learning.image_shift:
            batch = batch.replace(observation=jax.tree.map(
                lambda rows: images.shift(keys.stream(key, 'shift'), rows, learning.image_shift)
                if rows.dtype == jnp.uint8 else rows, batch.observation))
        if model.centre is not None:
            # Before the update, so that the mean stays if this update is skipped.
            learner = learner.replace(params=jax.lax.cond(
                learner.updates == 0, lambda: model.centre(learner.params, keys.stream(key, 'centre'), batch),
                lambda: learner.params))
        params = learner.params
        if model.goes_on is not None and batch.terminated is not None:
            params = networks.mark(params, batch.terminated)
        gradient, metrics = objective.batch_gradient(model, params, key, batch, settings)
        change, opt_state = optimizer.update(gradient, learner.opt_state, params)
        if learning.rate_halves_after:
            # By the count of updates and not by the optimizer's state, which is then the same with any setting.
            change = optax.tree.scale(1 / (1 + learner.updates / learning.rate_halves_after), change)
        params = optax.apply_updates(params, change)
        metrics['gradient_norm'] = optax.tree.norm(gradient)
        good = jnp.isfinite(metrics['gradient_norm']) & jnp.isfinite(metrics['loss'])
        metrics['skipped'] = 1.0 - good
        # Selected afterwards, so that XLA compiles the update as it would without the check.
        params, opt_state = jax.lax.cond(good, lambda: (params, opt_state), lambda: (learner.params, learner.opt_state))
        return learner.replace(params=params, opt_state=opt_state, updates=learner.updates + 1,
                               average=averaged(learner, params)), metrics

    def averaged(learner, params):
        if not learning.average:
            return None
        # The first updates change a lot, and the average must not keep untrained parameters.
        weight = jnp.minimum(learning.average, learner.updates / (learner.updates + 10.0))
        return optax.incremental_update(params, learner.average, 1 - weight)

    return update


def _keys(state: TrainState, number: jax.Array | int) -> jax.Array:
    """Two keys, [2, 2]: for drawing an update's batch, and for the update itself."""
    return jax.random.split(keys.stream(state.key, 'update', number))


def draw(state: TrainState, number: jax.Array | int, settings: config.Learner) -> tuple[jax.Array, Draw]:
    """The chunks of an update. A second draw gives the same, as long as no episode is added.

    Args:
        state: of which the key and the replays' counts and lengths are used.
        number: of the update, counted from 0.
        settings: B and L.

    Returns:
        the update's key, and the chunks of its batch, with leading [B].
    """
    draw_key, update_key = _keys(state, number)
    return update_key, replay.draw(state.replay, draw_key, settings.batch, settings.chunk_length)


def make_draw(settings: config.Learner, updates_per_call: int) -> DrawChunks:
    """Makes a function that draws the chunks of the next call of `learn`, for batches that are cut in advance.

    Args:
        settings: B and L.
        updates_per_call: updates in one call, unless the call names another number.

    Returns:
        (state, updates) -> Draw with leading [updates, B].
    """

    def call(state, updates=None):
        numbers = state.learner.updates + jnp.arange(updates or updates_per_call)
        return jax.vmap(lambda number: draw(state, number, settings)[1])(numbers)

    return call


def make_learn(update: Update, settings: config.Learner, updates_per_call: int,
               ) -> Learn:
    """Several updates in one compiled call, each on chunks of its own (algorithm 1, lines 3 to 6).

    Args:
        update: from `make_update`.
        settings: B and L.
        updates_per_call: updates in one call, unless the call names another number.

    Returns:
        (state, batches, updates) -> (state, metrics), each metric with one value per update, so that averages do not
        depend on the split. The batches are those of `make_draw`, with leading [updates, B, L]; without them, each is
        cut out of the state's replays before its update. The number of updates is static.
    """

    def learn(state, batches=None, updates=None):
        def one(learner, batch):
            if batch is None:
                batch = replay.cut(state.replay, draw(state, learner.updates, settings)[1])
            return update(learner, _keys(state, learner.updates)[1], batch)

        learner, metrics = jax.lax.scan(one, state.learner, batches, length=updates or updates_per_call)
        return state.replace(learner=learner), metrics

    return learn


def make_shares(model: WorldModel, objectives: config.Objective, settings: config.Learner,
                ) -> Shares:
    """Makes a function for the share of each term of the objective in the gradient.

    Args:
        model: the world model.
        objectives: settings of the objective.
        settings: B and L.

    Returns:
        (state, batch) -> `image_share`, `reward_share` and `kl_share`, and `end_share` and `value_share` where these
        are predicted, on the batch of the next update: the norm of the term's gradient, divided by the sum of the
        norms; NaN where all are zero. The batch is the first of `make_draw`'s; without it, it is cut out of the state's
        replays.
    """

    def shares(state, batch=None):
        if batch is None:
            batch = replay.cut(state.replay, draw(state, state.learner.updates, settings)[1])
        key = _keys(state, state.learner.updates)[1]
        gradients = objective.term_gradients(model, state.learner.params, key, batch, objectives)
        norms = {f'{term}_share': optax.tree.norm(gradient) for term, gradient in gradients.items()}
        return {name: norm / sum(norms.values()) for name, norm in norms.items()}

    return shares
