"""Gradient descent on the objective: one update, and a compiled call of several."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from planet_jax import config, keys, objective, replay
from planet_jax.types import LearnerState, Metrics, TrainState, Trajectory, WorldModel

Update = Callable[[LearnerState, jax.Array, Trajectory], tuple[LearnerState, Metrics]]
"""(learner, key, batch with leading [B, L]) -> (learner, metrics)."""


def make_optimizer(settings: config.Learner) -> optax.GradientTransformation:
    """Adam behind a limit on the global norm (appendix A).

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


def make_update(model: WorldModel, optimizer: optax.GradientTransformation, settings: config.Objective) -> Update:
    """One step of gradient descent (algorithm 1, lines 4 to 6).

    Where the loss or the gradient's norm is not finite, parameters and optimizer stay as they are, and the metric
    `skipped` is 1 instead of 0. The update counts all the same, so the next one draws other chunks and other noise.

    Args:
        model: the world model.
        optimizer: of optax.
        settings: of the objective.
    """

    def mean_loss(params, key, batch):
        losses, metrics = jax.vmap(
            lambda key, chunk: objective.loss(model, params, key, chunk, settings))(
                jax.random.split(key, len(batch.length)), batch)
        return losses.mean(), jax.tree.map(jnp.mean, metrics)

    def update(learner, key, batch):
        gradient, metrics = jax.grad(mean_loss, has_aux=True)(learner.params, key, batch)
        change, opt_state = optimizer.update(gradient, learner.opt_state, learner.params)
        params = optax.apply_updates(learner.params, change)
        metrics['gradient_norm'] = optax.tree.norm(gradient)
        good = jnp.isfinite(metrics['gradient_norm']) & jnp.isfinite(metrics['loss'])
        metrics['skipped'] = 1.0 - good
        # Chosen from afterwards, so that XLA compiles the update itself as it would without a choice.
        params, opt_state = jax.lax.cond(good, lambda: (params, opt_state), lambda: (learner.params, learner.opt_state))
        return LearnerState(params, opt_state, learner.updates + 1), metrics

    return update


def draw(state: TrainState, number: jax.Array | int, settings: config.Learner) -> tuple[jax.Array, Trajectory]:
    """What an update learns from; drawn again, it is the same as long as no episode is added.

    Args:
        state: of which replay and key are used.
        number: of the update, counted from 0.
        settings: B and L.

    Returns:
        the update's key, and its batch with leading [B, L].
    """
    sample_key, update_key = jax.random.split(keys.stream(state.key, 'update', number))
    return update_key, replay.sample(state.replay, sample_key, settings.batch, settings.chunk_length)


def make_learn(update: Update, settings: config.Learner, updates_per_call: int,
               ) -> Callable[[TrainState], tuple[TrainState, Metrics]]:
    """Several updates in one compiled call, each on chunks of its own (algorithm 1, lines 3 to 6).

    Args:
        update: from `make_update`.
        settings: B and L.
        updates_per_call: updates in one call.

    Returns:
        state -> (state, metrics), each metric with one value per update, so that no average depends on the split.
    """

    def learn(state):
        def one(learner, _):
            return update(learner, *draw(state, learner.updates, settings))

        learner, metrics = jax.lax.scan(one, state.learner, length=updates_per_call)
        return state.replace(learner=learner), metrics

    return learn
