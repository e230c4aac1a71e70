"""Scans over any `WorldModel`: filtering a sequence, and predicting without observations.

All functions are without a batch axis; `jax.vmap` adds it.
"""

import jax

from planet_jax.planner import Dynamics
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


def latent_dynamics(model: WorldModel) -> Dynamics:
    """The model as the planner takes it: one step of the prior, and the mean reward of the state it samples.

    Returns:
        (params, key, Latent, action [A]) -> (Latent, reward []).
    """

    def step(params, key, latent, action):
        latent = model.prior(params, key, latent, action)
        return latent, model.reward(params, latent.features)

    return step
