"""From an observation to an action: filter the belief, plan in it, explore."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from planet_jax import config, planning, world_model
from planet_jax.types import Act, Belief, Latent, Params, Trajectory, WorldModel


class Plan(Protocol):
    """One plan in the world model."""

    def __call__(self, params: Params, key: jax.Array, latent: Latent, state: Any) -> tuple[jax.Array, jax.Array, Any]:
        """(action [A], expected return over H steps [], state of the next plan: a `planning.PlanState` or None)."""


class Explore(Protocol):
    """Exploration during collection."""

    def __call__(self, key: jax.Array, action: jax.Array) -> jax.Array:
        """Planned action [A] -> action [A]."""


class PlannerInModel(NamedTuple):
    """A planner inside the world model, as a pair of pure functions.

    Attributes:
        init: () -> the state at which an episode's first plan starts; None if plans carry no state
        plan: one plan
    """

    init: Callable[[], Any]
    plan: Plan


def begin(model: WorldModel, action_size: int, planners: Sequence[PlannerInModel] = ()) -> Belief:
    """The belief before an episode's first observation: zero latent, zero action, initial states of the planners."""
    return Belief(model.initial(), jnp.zeros(action_size), jnp.zeros(()), tuple(made.init() for made in planners))


def filter(model: WorldModel, params: Params, key: jax.Array, belief: Belief, observation: jax.Array) -> Latent:
    """The latent state after an action and the observation that followed (the posterior of equation 3, one step).

    Args:
        model: the world model.
        params: its parameters.
        key: a random key.
        belief: of the previous step.
        observation: as the environment returned it.
    """
    prepare_key, prior_key, posterior_key = jax.random.split(key, 3)
    embedding = model.encode(params, model.prepare(prepare_key, observation))
    prior = model.prior(params, prior_key, belief.latent, belief.action)
    return model.posterior(params, posterior_key, prior, embedding)


def planners_of(settings: config.Config) -> tuple[tuple[config.Planner, ...], tuple[int, int]]:
    """The distinct planners of an agent, and the indices of those that collection and evaluation use."""
    both = settings.planner, settings.evaluation_planner.over(settings.planner)
    distinct = tuple(dict.fromkeys(both))
    return distinct, (distinct.index(both[0]), distinct.index(both[1]))


def make_method(settings: config.Planner, action_size: int, colour: float = 2.0, choices: Sequence[int] = (),
                ) -> planning.Planner:
    """The planner that the settings describe, for any score. A method gets the settings that it has parameters for.

    Choices are planned by the categorical cross-entropy method, with the settings in `planning.WITH_CHOICES`.

    Args:
        settings: of the planner.
        action_size: A.
        colour: of the noise, unless the settings set it.
        choices: categories of each choice; empty where actions are real numbers.

    Raises:
        ValueError: actions are choices, and the method plans real numbers only.
    """
    options = {**vars(settings), 'action_size': action_size, 'categories': tuple(choices)}
    options['colour'] = colour if settings.colour is None else settings.colour
    make = planning.METHODS[settings.method]
    if choices:
        if settings.method not in planning.WITH_CHOICES:
            *others, last = planning.WITH_CHOICES
            raise ValueError(f'planner.method is {settings.method}, which plans real numbers, but the actions of this '
                             f'task are choices: set it to {", ".join(others)} or {last}.')
        make, options = planning.make_categorical, options | planning.WITH_CHOICES[settings.method]
    return make(**{name: options[name] for name in inspect.signature(make).parameters if name in options})


def rollout_arguments(model: WorldModel, settings: config.Planner, latent: Latent) -> tuple[tuple[Any, ...], dict]:
    """The arguments of `planning.rollouts` after the parameters: positional, and by name."""
    sample_root = model.resample if settings.start == 'per_candidate' else None
    if settings.rollout == 'mean' and sample_root is None:
        latent = latent.replace(stochastic=latent.mean)
    return (latent, world_model.latent_dynamics(model, settings.rollout)), {
        'sample_root': sample_root, 'alive': world_model.alive(model),
        **({'terminal_value': world_model.terminal_value(model), 'discount': model.discount}
           if settings.terminal_value else {})}


def make_planner(model: WorldModel, settings: config.Planner, action_size: int, colour: float = 2.0,
                 choices: Sequence[int] = ()) -> PlannerInModel:
    """A sampling planner inside the world model.

    It takes the first action of the planned sequence. The expected return is the mean over the last elites: of H steps,
    or, with `terminal_value`, of all later steps, discounted.

    Args:
        model: the world model.
        settings: of the planner.
        action_size: A.
        colour: of the noise, unless the settings set it.
        choices: see `make_method`.

    Raises:
        ValueError: see `make_method`.
    """
    made = make_method(settings, action_size, colour, choices)

    def plan(params, key, latent, state):
        arguments, options = rollout_arguments(model, settings, latent)
        score = planning.rollouts(params, *arguments, **options)
        found, state = made.step(key, score, state)
        return found.actions[0], found.returns[-1].mean(), state

    return PlannerInModel(made.init, plan)


def action_change(episode: Trajectory) -> float:
    """The mean change of the action from step to step, which is large if consecutive plans contradict each other.

    Args:
        episode: NumPy arrays [T+1, ...].

    Returns:
        the mean absolute difference over steps and dimensions, 0 to 2, exploration noise included; 0 for an episode of
        one step.
    """
    actions = np.asarray(episode.action, float)[1:int(episode.length)]
    return float(np.abs(np.diff(actions, axis=0)).mean()) if len(actions) > 1 else 0.0


def add_noise(std: float) -> Explore:
    """Exploration with real numbers: Gaussian noise with this standard deviation, then clipping to [-1, 1]."""

    def explore(key, action):
        return jnp.clip(action + std * jax.random.normal(key, action.shape), -1, 1)

    return explore


def replace_choices(share: float, choices: Sequence[int]) -> Explore:
    """Exploration with choices: each is independently replaced by a uniform one with a probability.

    Args:
        share: the probability, 0 to 1.
        choices: categories of each choice.
    """

    def explore(key, action):
        which_key, drawn_key = jax.random.split(key)
        which = jnp.repeat(jax.random.bernoulli(which_key, share, (len(choices),)), np.array(choices),
                           total_repeat_length=sum(choices))
        drawn = planning.draw_choices(drawn_key, jnp.asarray(planning.uniform_choices(choices)), choices)
        return jnp.where(which, drawn, action)

    return explore


def exploration(settings: config.Collector, choices: Sequence[int] = ()) -> Explore | None:
    """The exploration that the settings ask for. None if actions stay as planned.

    Args:
        settings: of the collector.
        choices: categories of each choice; empty where actions are real numbers.
    """
    if choices:
        return replace_choices(settings.random_share, choices) if settings.random_share else None
    return add_noise(settings.noise) if settings.noise else None


def make_act(model: WorldModel, plan: Plan, explore: Explore | None = None, index: int = 0) -> Act:
    """One step of the agent (algorithm 1, lines 9 to 13).

    Args:
        model: the world model that filters.
        plan: chooses the action, from `make_planner`.
        explore: changes the planned action, from `exploration`. Default: no exploration.
        index: of the planner's state in `Belief.plans`.
    """

    def act(params, key, belief, observation):
        filter_key, plan_key, explore_key = jax.random.split(key, 3)
        latent = filter(model, params, filter_key, belief, observation)
        action, expected, state = plan(params, plan_key, latent, belief.plans[index])
        if explore:
            action = explore(explore_key, action)
        plans = (*belief.plans[:index], state, *belief.plans[index + 1:])
        return Belief(latent, action, expected, plans)

    return act


def uniform(action_size: int, choices: Sequence[int] = ()) -> Act:
    """The agent of the seed episodes: uniform actions in [-1, 1] (algorithm 1, line 1).

    Args:
        action_size: A.
        choices: categories of each choice, all with equal probability; empty where actions are real numbers.
    """

    def act(params, key, belief, observation):
        del params, observation
        if choices:
            action = planning.draw_choices(key, jnp.asarray(planning.uniform_choices(choices)), choices)
        else:
            action = jax.random.uniform(key, (action_size,), minval=-1, maxval=1)
        return belief.replace(action=action)

    return act


def normal(action_size: int) -> Act:
    """The same with actions from Normal(0, 1), clipped to [-1, 1] (released code). A third of them are at a bound."""

    def act(params, key, belief, observation):
        del params, observation
        return belief.replace(action=jnp.clip(jax.random.normal(key, (action_size,)), -1, 1))

    return act


def zero(params: Params, key: jax.Array, belief: Belief, observation: jax.Array) -> Belief:
    """An agent for comparison whose actions are all zero: of each choice the first category."""
    del params, key, observation
    return belief.replace(action=jnp.zeros_like(belief.action))
