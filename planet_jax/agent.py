"""From an observation to an action: filter the belief, plan in it, explore."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from planet_jax import config, planner, world_model
from planet_jax.types import Belief, Latent, Params, WorldModel

Plan = Callable[[Params, jax.Array, Latent], tuple[jax.Array, jax.Array]]
"""(params, key, latent) -> (action [A], value []): what to do in a state, and the return expected of it."""
Act = Callable[[Params, jax.Array, Belief, jax.Array], Belief]
"""(params, key, belief, observation) -> Belief, one agent step later."""


def begin(model: WorldModel, action_size: int) -> Belief:
    """The belief before an episode's first observation: a zero latent and a zero action."""
    return Belief(model.initial(), jnp.zeros(action_size), jnp.zeros(()))


def filter(model: WorldModel, params: Params, key: jax.Array, belief: Belief, observation: jax.Array) -> Latent:
    """Updates the latent state by the action taken and what it led to (equation 3's posterior, one step).

    Args:
        model: the world model.
        params: its parameters.
        key: a random key.
        belief: of the step before.
        observation: as the environment gave it.
    """
    prepare_key, prior_key, posterior_key = jax.random.split(key, 3)
    embedding = model.encode(params, model.prepare(prepare_key, observation))
    prior = model.prior(params, prior_key, belief.latent, belief.action)
    return model.posterior(params, posterior_key, prior, embedding)


def make_plan(model: WorldModel, settings: config.Planner, action_size: int) -> Plan:
    """The cross-entropy method inside the world model.

    Args:
        model: the world model.
        settings: of the planner.
        action_size: A.

    Returns:
        the first action of the last elites' mean, and their mean return over H steps.
    """
    dynamics = world_model.latent_dynamics(model)

    def plan(params, key, latent):
        found = planner.cem(
            params, key, latent, dynamics, action_size=action_size, horizon=settings.horizon,
            iterations=settings.iterations, candidates=settings.candidates, elites=settings.elites,
            spread=settings.spread, sample_root=model.resample if settings.start == 'per_candidate' else None)
        return found.mean[0], found.returns[-1].mean()

    return plan


def make_act(model: WorldModel, plan: Plan, noise: float) -> Act:
    """One step of the agent (algorithm 1, lines 9 to 13).

    Args:
        model: the world model that filters.
        plan: chooses the action, from `make_plan`.
        noise: standard deviation of the exploration noise, added and clipped to [-1, 1]; 0 for none.
    """

    def act(params, key, belief, observation):
        filter_key, plan_key, noise_key = jax.random.split(key, 3)
        latent = filter(model, params, filter_key, belief, observation)
        action, value = plan(params, plan_key, latent)
        if noise:
            action = jnp.clip(action + noise * jax.random.normal(noise_key, action.shape), -1, 1)
        return Belief(latent, action, value)

    return act


def uniform(action_size: int) -> Act:
    """The agent of the seed episodes: actions uniform in [-1, 1], whatever it sees (algorithm 1, line 1)."""

    def act(params, key, belief, observation):
        del params, observation
        action = jax.random.uniform(key, (action_size,), minval=-1, maxval=1)
        return belief.replace(action=action)

    return act


def normal(action_size: int) -> Act:
    """The same with actions from Normal(0, 1), clipped to [-1, 1], as in the released code: a third are at a bound."""

    def act(params, key, belief, observation):
        del params, observation
        return belief.replace(action=jnp.clip(jax.random.normal(key, (action_size,)), -1, 1))

    return act


def zero(params: Params, key: jax.Array, belief: Belief, observation: jax.Array) -> Belief:
    """An agent whose actions are all zero, to compare with."""
    del params, key, observation
    return belief.replace(action=jnp.zeros_like(belief.action))
