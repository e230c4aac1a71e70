"""The planners: each gives its parts to the same loop."""

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from .bounds import Box
from .distributions import best_of, check_elites, fit, propose
from .loop import build
from .records import Planner, PlanState


def make_cem(*, action_size: int, horizon: int = 12, iterations: int = 10, candidates: int = 1000, elites: int = 100,
             low: Any = -1.0, high: Any = 1.0, mean: Any = None, std: Any = None,
             std_estimator: Literal['std', 'mean_absolute'] = 'std', warm_start: bool = False) -> Planner:
    """The cross-entropy method as PlaNet plans (algorithm 2 of the paper).

    Args:
        action_size: A.
        horizon: H.
        iterations: I.
        candidates: J.
        elites: K.
        low: smallest action, a scalar or [A].
        high: largest action, a scalar or [A].
        mean: of the first proposal, a scalar or [H, A]; by default the middle of the bounds.
        std: of the first proposal, a scalar or [H, A]; by default half of their width.
        std_estimator: see `refit`.
        warm_start: start from the last plan, shifted by one step; the paper starts afresh at every step.

    Example:
        >>> planner = make_cem(action_size=1, horizon=2, candidates=100, elites=10)
        >>> score = lambda key, actions: -jnp.square(actions - 0.5).sum((1, 2))
        >>> plan, state = planner.step(jax.random.key(0), score, planner.init())
        >>> plan.actions.round(1).tolist()
        [[0.5], [0.5]]

    Raises:
        ValueError: a size is below one, there are more elites than candidates, or no action is inside the bounds.
    """
    box = Box(action_size, horizon, low, high, mean, std)
    check_elites(candidates, elites)

    def update(state, actions, returns):
        best = best_of(returns, elites)
        return PlanState(*fit(actions[best], std_estimator)), None, returns[best]

    return build(box, (candidates,) * iterations, functools.partial(_normal, box), update, warm_start=warm_start)


def make_icem(*, action_size: int, horizon: int = 12, iterations: int = 3, candidates: int = 100, elites: int = 10,
              low: Any = -1.0, high: Any = 1.0, mean: Any = None, std: Any = None, colour: float = 2.0,
              decay: float = 1.0, keep: int = 3, momentum: float = 0.1, execute: Literal['mean', 'best'] = 'best',
              ) -> Planner:
    """The sample-efficient cross-entropy method (iCEM; Pinneri et al., 2020, algorithm 1).

    Its noise is correlated in time. A plan starts from the last one, shifted by one step. The best candidates stay
    candidates in the next iteration, and in the next plan. Where all candidates return the same, the search begins
    again from the first proposal, which the authors' does not.

    Args:
        action_size: A.
        horizon: H.
        iterations: I.
        candidates: J of the first iteration, kept elites included.
        elites: K.
        low: smallest action, a scalar or [A].
        high: largest action, a scalar or [A].
        mean: of an episode's first proposal, a scalar or [H, A]; by default the middle of the bounds.
        std: of each plan's first proposal, a scalar or [H, A]; by default a quarter of their width.
        colour: exponent of the noise's spectrum, see `coloured`; the authors use 0.25 to 3.5, by task.
        decay: factor by which J shrinks in each iteration, down to 2 K (the authors: 1.25).
        keep: M, elites that stay candidates (the authors: 0.3 K).
        momentum: share of the old mean and standard deviation in a refit.
        execute: act by the last mean, or by the best candidate of the last iteration, in which the mean is a candidate.

    Example:
        >>> planner = make_icem(action_size=1, horizon=3)
        >>> score = lambda key, actions: -jnp.square(actions - 0.5).sum((1, 2))
        >>> plan, state = planner.step(jax.random.key(0), score, planner.init())
        >>> plan, state = planner.step(jax.random.key(1), score, state)
        >>> bool((jnp.abs(plan.actions - 0.5) < 0.1).all()), state.kept.shape
        (True, (3, 3, 1))

    Raises:
        ValueError: a size is below one, there are more elites than candidates, too many are kept, a setting is out of
            bounds, or no action is inside the bounds.
    """
    box = Box(action_size, horizon, low, high, mean, std, narrow=0.5)
    check_elites(candidates, elites)
    if not 0 <= keep <= min(elites, candidates - 1):
        raise ValueError(f'keep is {keep}, but must be 0 to {min(elites, candidates - 1)}: the elites are {elites} and '
                         f'the candidates {candidates}, of which the mean takes one.')
    if decay < 1:
        raise ValueError(f'decay is {decay}, but must be at least 1.')
    if not 0 <= momentum < 1:
        raise ValueError(f'momentum is {momentum}, but must be at least 0 and below 1.')
    if execute not in ('mean', 'best'):
        raise ValueError(f"execute must be 'mean' or 'best', not {execute!r}.")
    least = min(2 * elites, candidates)
    sizes = tuple(max(int(candidates / decay**iteration), least) for iteration in range(iterations))

    def draw(key, state, candidates, last):
        actions = propose(key, state.mean, state.std, candidates=candidates, low=box.low, high=box.high, colour=colour)
        if keep:
            actions = actions.at[:keep].set(jnp.where(state.known, state.kept, actions[:keep]))
        middle = jnp.clip(state.mean, box.low, box.high)
        return actions.at[keep].set(jnp.where(last, middle, actions[keep]))

    def update(state, actions, returns):
        best = best_of(returns, elites)
        chosen = actions[best]
        mean, std = (momentum * old + (1 - momentum) * new
                     for old, new in zip((state.mean, state.std), fit(chosen)))
        return PlanState(mean, std, *((chosen[:keep], jnp.array(True)) if keep else ())), chosen[0], returns[best]

    return build(box, sizes, draw, update, keep=keep, warm_start=True, execute=execute)


def make_mppi(*, action_size: int, horizon: int = 12, iterations: int = 6, candidates: int = 512, elites: int = 64,
              low: Any = -1.0, high: Any = 1.0, mean: Any = None, std: Any = None, temperature: float = 0.5,
              least_std: float = 0.05, most_std: float = 2.0) -> Planner:
    """Model-predictive path integral control, as TD-MPC2 plans (Williams et al., 2017; Hansen et al., 2024).

    Elites are weighted by exp(temperature * return). With K = J and one iteration it is Williams' update.

    Args:
        action_size: A.
        horizon: H.
        iterations: I.
        candidates: J.
        elites: K.
        low: smallest action, a scalar or [A].
        high: largest action, a scalar or [A].
        mean: of an episode's first proposal, a scalar or [H, A]; by default the middle of the bounds.
        std: of each plan's first proposal, a scalar or [H, A]; by default half of their width.
        temperature: factor of the returns in the exponent, in one over their unit; with 0 all elites weigh the same.
        least_std: smallest standard deviation of a proposal, in halves of the bounds' width.
        most_std: largest standard deviation of a proposal, in halves of the bounds' width.

    Example:
        >>> planner = make_mppi(action_size=1, horizon=2, low=0.0, high=8.0, temperature=20.0)
        >>> score = lambda key, actions: -jnp.square(actions - 3).sum((1, 2))
        >>> plan, state = planner.step(jax.random.key(0), score, planner.init())
        >>> plan.actions.round().tolist()
        [[3.0], [3.0]]

    Raises:
        ValueError: a size is below one, there are more elites than candidates, a setting is out of bounds, or no
            action is inside the bounds.
    """
    box = Box(action_size, horizon, low, high, mean, std)
    check_elites(candidates, elites)
    if temperature < 0:
        raise ValueError(f'temperature is {temperature}, but must be at least 0.')
    if not 0 <= least_std <= most_std:
        raise ValueError(f'least_std is {least_std} and most_std {most_std}, but they must be 0 or more, and the least '
                         f'at most the other.')

    def update(state, actions, returns):
        best = best_of(returns, elites)
        chosen, largest = actions[best], jnp.finfo(returns.dtype).max
        values = jnp.clip(jnp.nan_to_num(returns[best], nan=-largest), -largest, largest)
        # In halves, since the difference of two finite numbers can be infinite.
        weights = jax.nn.softmax(2 * temperature * jnp.maximum(values / 2 - values[0] / 2, -largest / 4))[:, None, None]
        mean = (weights * chosen).sum(0)
        std = jnp.sqrt((weights * jnp.square(chosen - mean)).sum(0))
        return PlanState(mean, jnp.clip(std, least_std * box.half, most_std * box.half)), None, returns[best]

    return build(box, (candidates,) * iterations, functools.partial(_normal, box), update, warm_start=True)


def make_random_shooting(*, action_size: int, horizon: int = 12, candidates: int = 1000, low: Any = -1.0,
                         high: Any = 1.0) -> Planner:
    """The best of J action sequences that are uniform inside the bounds, a baseline for the other planners.

    Args:
        action_size: A.
        horizon: H.
        candidates: J.
        low: smallest action, a scalar or [A].
        high: largest action, a scalar or [A].

    Example:
        >>> planner = make_random_shooting(action_size=1, horizon=1)
        >>> plan, nothing = planner.step(jax.random.key(0), lambda key, actions: actions.sum((1, 2)), planner.init())
        >>> bool(plan.actions[0, 0] > 0.99), nothing
        (True, None)

    Raises:
        ValueError: a size is below one, or no action is inside the bounds.
    """
    box = Box(action_size, horizon, low, high)
    check_elites(candidates, 1)

    def draw(key, state, candidates, last):
        del last
        unit = jax.random.uniform(key, (candidates, *state.mean.shape), jnp.float32, -1, 1)
        return jnp.clip(state.mean + box.half * unit, box.low, box.high)

    def update(state, actions, returns):
        best = best_of(returns, 1)
        return state.replace(mean=actions[best[0]]), None, returns[best]

    return build(box, (candidates,), draw, update)


def _normal(box, key, state, candidates, last):
    del last
    return propose(key, state.mean, state.std, candidates=candidates, low=box.low, high=box.high)


METHODS: dict[str, Callable[..., Planner]] = {
    'cem': make_cem,
    'icem': make_icem,
    'mppi': make_mppi,
    'random_shooting': make_random_shooting,
}
"""The planners by name. Each takes action_size, horizon, candidates and bounds, and its own settings as keywords."""

WITH_CHOICES: dict[str, dict[str, Any]] = {
    'cem': {},
    'icem': {'warm_start': True},
    'random_shooting': {'iterations': 1, 'elites': 1},
}
"""Settings of `make_categorical` that stand for a method if actions are choices. Other methods need real numbers."""
