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

    def __call__(self, key: jax.Array, belief: Belief) -> Belief:
        """Belief with the planned action -> belief with the action to take."""


class PlannerInModel(NamedTuple):
    """A planner inside the world model, as a pair of pure functions.

    Attributes:
        init: () -> the state at which an episode's first plan starts; None if plans carry no state
        plan: one plan
    """

    init: Callable[[], Any]
    plan: Plan


def begin(model: WorldModel, action_size: int, planners: Sequence[PlannerInModel] = (), correlated: bool = False,
          ) -> Belief:
    """The belief before an episode's first observation: zero latent, zero action, initial states of the planners.

    With `correlated` it carries the noise of the last step, which is zero at first.
    """
    return Belief(model.initial(), jnp.zeros(action_size), jnp.zeros(()), tuple(made.init() for made in planners),
                  jnp.zeros(action_size) if correlated else None)


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


def _noise(key: jax.Array, belief: Belief, correlation: float) -> tuple[jax.Array, Belief]:
    """Standard normal noise [A], and the belief that carries it if it is correlated from step to step.

    AR(1): noise_t = correlation noise_{t-1} + sqrt(1 - correlation^2) epsilon_t, from zero at the first step.
    """
    fresh = jax.random.normal(key, belief.action.shape)
    if not correlation:
        return fresh, belief
    noise = correlation * belief.noise + (1 - correlation**2) ** 0.5 * fresh
    return noise, belief.replace(noise=noise)


def add_noise(std: float, correlation: float = 0.0) -> Explore:
    """Exploration with real numbers: Gaussian noise is added to the action, then it is clipped to [-1, 1].

    Args:
        std: standard deviation of the noise.
        correlation: of the noise from step to step; other than 0 it needs a belief that carries noise.
    """

    def explore(key, belief):
        noise, belief = _noise(key, belief, correlation)
        return belief.replace(action=jnp.clip(belief.action + std * noise, -1, 1))

    return explore


def replace_choices(share: float, choices: Sequence[int]) -> Explore:
    """Exploration with choices: each is independently replaced by a uniform one with a probability.

    Args:
        share: the probability, 0 to 1.
        choices: categories of each choice.
    """

    def explore(key, belief):
        which_key, drawn_key = jax.random.split(key)
        which = jnp.repeat(jax.random.bernoulli(which_key, share, (len(choices),)), np.array(choices),
                           total_repeat_length=sum(choices))
        drawn = planning.draw_choices(drawn_key, jnp.asarray(planning.uniform_choices(choices)), choices)
        return belief.replace(action=jnp.where(which, drawn, belief.action))

    return explore


def exploration(settings: config.Collector, choices: Sequence[int] = ()) -> Explore | None:
    """The exploration that the settings ask for. None if actions stay as planned.

    Args:
        settings: of the collector.
        choices: categories of each choice; empty where actions are real numbers.
    """
    if choices:
        return replace_choices(settings.random_share, choices) if settings.random_share else None
    noise = settings.resolve().noise
    return add_noise(noise, settings.correlation) if noise else None


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
        plans = (*belief.plans[:index], state, *belief.plans[index + 1:])
        belief = Belief(latent, action, expected, plans, belief.noise)
        return explore(explore_key, belief) if explore else belief

    return act


def uniform(action_size: int, choices: Sequence[int] = (), correlation: float = 0.0) -> Act:
    """The agent of the seed episodes: uniform actions in [-1, 1] (algorithm 1, line 1).

    Args:
        action_size: A.
        choices: categories of each choice, all with equal probability; empty where actions are real numbers.
        correlation: of the noise that real numbers are made of by its distribution function, see `add_noise`.
    """

    def act(params, key, belief, observation):
        del params, observation
        if choices:
            action = planning.draw_choices(key, jnp.asarray(planning.uniform_choices(choices)), choices)
        elif correlation:
            noise, belief = _noise(key, belief, correlation)
            action = 2 * jax.scipy.special.ndtr(noise) - 1
        else:
            action = jax.random.uniform(key, (action_size,), minval=-1, maxval=1)
        return belief.replace(action=action)

    return act


def normal(correlation: float = 0.0) -> Act:
    """The same with actions from Normal(0, 1), clipped to [-1, 1] (released code). A third of them are at a bound.

    Args:
        correlation: see `add_noise`.
    """

    def act(params, key, belief, observation):
        del params, observation
        noise, belief = _noise(key, belief, correlation)
        return belief.replace(action=jnp.clip(noise, -1, 1))

    return act


def random(settings: config.Collector, action_size: int, choices: Sequence[int] = ()) -> Act:
    """The agent of the seed episodes that the settings ask for.

    Args:
        settings: of the collector.
        action_size: A.
        choices: categories of each choice; empty where actions are real numbers.
    """
    if settings.random == 'normal' and not choices:
        return normal(settings.correlation)
    return uniform(action_size, choices, settings.correlation)


def zero(params: Params, key: jax.Array, belief: Belief, observation: jax.Array) -> Belief:
    """An agent for comparison whose actions are all zero: of each choice the first category."""
    del params, key, observation
    return belief.replace(action=jnp.zeros_like(belief.action))
