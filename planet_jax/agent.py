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


Explore = Callable[[jax.Array, jax.Array], jax.Array]
"""(key, action [A]) -> action [A]: what collection makes of a planned action."""


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


def make_method(settings: config.Planner, action_size: int, colour: float = 2.0, choices: Sequence[int] = (),
                ) -> planning.Planner:
    """The planner of the settings, over any score. A method takes the settings that it has parameters for.

    Choices are searched for by the categorical cross-entropy method: `cem` begins each plan anew, `icem` begins at the
    last plan moved by one step, and `random_shooting` is one iteration with one elite.

    Args:
        settings: of the planner.
        action_size: A.
        colour: of the noise, where the settings name none.
        choices: categories of each choice; empty where actions are real numbers.

    Raises:
        ValueError: actions are choices, and the method is `mppi`.
    """
    options = {**vars(settings), 'action_size': action_size, 'categories': tuple(choices)}
    options['colour'] = colour if settings.colour is None else settings.colour
    make = planning.METHODS[settings.method]
    if choices:
        if settings.method == 'mppi':
            raise ValueError('planner.method is mppi, which weighs real numbers, but the actions of this task are '
                             'choices: set it to cem, icem or random_shooting.')
        make, options['warm_start'] = planning.make_categorical, settings.method == 'icem'
        if settings.method == 'random_shooting':
            options |= {'iterations': 1, 'elites': 1}
    return make(**{name: options[name] for name in inspect.signature(make).parameters if name in options})


def rollout_arguments(model: WorldModel, settings: config.Planner, latent: Latent) -> tuple[tuple[Any, ...], dict]:
    """What `planning.rollouts` is given after the parameters."""
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

    Its action is the first of the sequence that its method carries out; its expected return is the mean of the last
    elites over H steps; with `terminal_value`, over all steps to come, discounted.

    Args:
        model: the world model.
        settings: of the planner.
        action_size: A.
        colour: of the noise, where the settings name none.
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
    """How far an action is from the one before it, to tell whether plans contradict each other from step to step.

    Args:
        episode: NumPy arrays [T+1, ...].

    Returns:
        the mean of the absolute differences over steps and dimensions, 0 to 2, exploration noise included; 0 for an
        episode of one step.
    """
    actions = np.asarray(episode.action, float)[1:int(episode.length)]
    return float(np.abs(np.diff(actions, axis=0)).mean()) if len(actions) > 1 else 0.0


def add_noise(std: float) -> Explore:
    """Exploration of real numbers: Gaussian noise of this standard deviation, clipped to [-1, 1]."""

    def explore(key, action):
        return jnp.clip(action + std * jax.random.normal(key, action.shape), -1, 1)

    return explore


def replace_choices(share: float, choices: Sequence[int]) -> Explore:
    """Exploration of choices: each is replaced by a uniform one with this probability, whatever becomes of the others.

    Args:
        share: that probability, 0 to 1.
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
    """What collection makes of planned actions, as the settings have it; none: nothing.

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
        explore: what becomes of the planned action, from `exploration`; none: it stays.
        index: of the planner's state in the belief.
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
    """The agent of the seed episodes: actions uniform in [-1, 1], whatever it sees (algorithm 1, line 1).

    Args:
        action_size: A.
        choices: categories of each choice, where every category is as likely; empty where actions are real numbers.
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
    """The same with actions from Normal(0, 1), clipped to [-1, 1], as in the released code: a third are at a bound."""

    def act(params, key, belief, observation):
        del params, observation
        return belief.replace(action=jnp.clip(jax.random.normal(key, (action_size,)), -1, 1))

    return act


def zero(params: Params, key: jax.Array, belief: Belief, observation: jax.Array) -> Belief:
    """An agent whose actions are all zero, to compare with; of a choice that is the first category."""
    del params, key, observation
    return belief.replace(action=jnp.zeros_like(belief.action))
