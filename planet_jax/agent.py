"""From an observation to an action: filter the belief, plan in it, explore."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from planet_jax import config, planning, world_model
from planet_jax.types import Act, Belief, Latent, Params, Trajectory, WorldModel

Plan = Callable[[Params, jax.Array, Latent, Any], tuple[jax.Array, jax.Array, Any]]
"""(params, key, latent, state) -> (action [A], expected return [], state): an action, what the model expects of it in
H steps, and what the next plan begins from, a `planning.PlanState` or none."""


class PlannerInModel(NamedTuple):
    """A planner inside the world model, as a pair of pure functions.

    Attributes:
        init: () -> the state that an episode's first plan begins from; none where plans hand nothing on
        plan: one plan
    """

    init: Callable[[], Any]
    plan: Plan


def begin(model: WorldModel, action_size: int, planners: Sequence[PlannerInModel] = ()) -> Belief:
    """The belief before an episode's first observation: a zero latent, a zero action, and no plan before."""
    return Belief(model.initial(), jnp.zeros(action_size), jnp.zeros(()), tuple(made.init() for made in planners))


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


def planners_of(settings: config.Config) -> tuple[tuple[config.Planner, ...], tuple[int, int]]:
    """The distinct planners of an agent, and which of them collection and evaluation take: their plans' places."""
    both = settings.planner, settings.evaluation_planner.over(settings.planner)
    distinct = tuple(dict.fromkeys(both))
    return distinct, (distinct.index(both[0]), distinct.index(both[1]))


def make_method(settings: config.Planner, action_size: int, colour: float = 2.0) -> planning.Planner:
    """The planner of the settings, over any score. A method takes the settings that it has parameters for.

    Args:
        settings: of the planner.
        action_size: A.
        colour: of the noise, where the settings name none.
    """
    make = planning.METHODS[settings.method]
    options = {**vars(settings), 'action_size': action_size}
    options['colour'] = colour if settings.colour is None else settings.colour
    return make(**{name: options[name] for name in inspect.signature(make).parameters if name in options})


def rollout_arguments(model: WorldModel, settings: config.Planner, latent: Latent) -> tuple[tuple[Any, ...], dict]:
    """What `planning.rollouts` and `planning.visited` are given after the parameters."""
    sample_root = model.resample if settings.start == 'per_candidate' else None
    if settings.rollout == 'mean' and sample_root is None:
        latent = latent.replace(stochastic=latent.mean)
    return (latent, world_model.latent_dynamics(model, settings.rollout)), {'sample_root': sample_root}


def make_planner(model: WorldModel, settings: config.Planner, action_size: int, colour: float = 2.0) -> PlannerInModel:
    """A sampling planner inside the world model.

    Its action is the first of the sequence that its method carries out; its expected return is the mean of the last
    elites over H steps.

    Args:
        model: the world model.
        settings: of the planner.
        action_size: A.
        colour: of the noise, where the settings name none.
    """
    made = make_method(settings, action_size, colour)

    def plan(params, key, latent, state):
        arguments, options = rollout_arguments(model, settings, latent)
        score = planning.rollouts(params, *arguments, **options)
        found, state = made.step(key, score, state)
        return found.actions[0], found.returns[-1].mean(), state

    return PlannerInModel(made.init, plan)


def action_change(episode: Trajectory) -> float:
    """How far an action is from the one before it, to tell whether plans contradict each other from step to step.

    Args:
        episode: NumPy arrays [T+1, ...].

    Returns:
        the mean of the absolute differences over steps and dimensions, 0 to 2, exploration noise included; 0 for an
        episode of one step.
    """
    actions = np.asarray(episode.action, float)[1:int(episode.length)]
    return float(np.abs(np.diff(actions, axis=0)).mean()) if len(actions) > 1 else 0.0


def make_act(model: WorldModel, plan: Plan, noise: float, index: int = 0) -> Act:
    """One step of the agent (algorithm 1, lines 9 to 13).

    Args:
        model: the world model that filters.
        plan: chooses the action, from `make_planner`.
        noise: standard deviation of the exploration noise, added and clipped to [-1, 1]; 0 for none.
        index: of the planner's state in the belief.
    """

    def act(params, key, belief, observation):
        filter_key, plan_key, noise_key = jax.random.split(key, 3)
        latent = filter(model, params, filter_key, belief, observation)
        action, expected, state = plan(params, plan_key, latent, belief.plans[index])
        if noise:
            action = jnp.clip(action + noise * jax.random.normal(noise_key, action.shape), -1, 1)
        plans = (*belief.plans[:index], state, *belief.plans[index + 1:])
        return Belief(latent, action, expected, plans)

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
