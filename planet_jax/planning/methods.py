"""The planners: each a short setting of the same loop."""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from .carries import settle, within_shard_map
from .distributions import as_returns, best_of, check_elites, fit, propose
from .records import Iteration, Parts, Plan, Planner, PlanState


def make_cem(*, action_size: int, horizon: int = 12, iterations: int = 10, candidates: int = 1000, elites: int = 100,
             low: Any = -1.0, high: Any = 1.0, mean: Any = None, std: Any = None,
             spread: Literal['std', 'mean_absolute'] = 'std', warm_start: bool = False) -> Planner:
    """The cross-entropy method as PlaNet plans (algorithm 2 of the paper).

    Args:
        action_size: A.
        horizon: H.
        iterations: I.
        candidates: J.
        elites: K.
        low: smallest action, a scalar or [A].
        high: largest action, a scalar or [A].
        mean: of the first proposal, a scalar or [H, A]; none: the middle of the bounds.
        std: of the first proposal, a scalar or [H, A]; none: half of their width.
        spread: see `refit`.
        warm_start: begin at the last plan, moved by one step; the paper begins anew at every step.

    Raises:
        ValueError: a size is below one, there are more elites than candidates, or no action is inside the bounds.
    """
    box = _Box(action_size, horizon, low, high, mean, std)
    check_elites(candidates, elites)

    def update(state, actions, returns):
        best = best_of(returns, elites)
        return PlanState(*fit(actions[best], spread)), None, returns[best]

    return _make(box, (candidates,) * iterations, functools.partial(_normal, box), update, warm_start=warm_start)


def make_icem(*, action_size: int, horizon: int = 12, iterations: int = 3, candidates: int = 100, elites: int = 10,
              low: Any = -1.0, high: Any = 1.0, mean: Any = None, std: Any = None, colour: float = 2.0,
              decay: float = 1.0, keep: int = 3, momentum: float = 0.1, execute: Literal['mean', 'best'] = 'best',
              ) -> Planner:
    """The sample-efficient cross-entropy method (iCEM; Pinneri et al., 2020, algorithm 1).

    Its noise is correlated in time, a plan begins at the last one moved by one step, and the best candidates stay among
    the next ones, also from one plan to the next.

    Args:
        action_size: A.
        horizon: H.
        iterations: I.
        candidates: J of the first iteration, those that are kept included.
        elites: K.
        low: smallest action, a scalar or [A].
        high: largest action, a scalar or [A].
        mean: of an episode's first proposal, a scalar or [H, A]; none: the middle of the bounds.
        std: of each plan's first proposal, a scalar or [H, A]; none: a quarter of their width.
        colour: exponent of the noise's spectrum, see `coloured`; the authors take 0.25 to 3.5 by task.
        decay: each iteration has J divided by this of the one before, but at least 2 K (the authors: 1.25).
        keep: M, elites that are among the next candidates (the authors: 0.3 K).
        momentum: share of the old mean and spread in a refit.
        execute: the last mean, or the best candidate of the last iteration, which has the mean among its candidates.

    Raises:
        ValueError: a size is below one, there are more elites than candidates, too many are kept, a setting is out of
            its range, or no action is inside the bounds.
    """
    box = _Box(action_size, horizon, low, high, mean, std, narrow=0.5)
    check_elites(candidates, elites)
    if not 0 <= keep <= min(elites, candidates - 1):
        raise ValueError(f'keep is {keep}, but must be 0 to {min(elites, candidates - 1)}: the elites are {elites} and '
                         f'the candidates {candidates}, of which the mean takes one.')
    if decay < 1:
        raise ValueError(f'decay is {decay}, but must be at least 1.')
    if not 0 <= momentum < 1:
        raise ValueError(f'momentum is {momentum}, but must be from 0 up to, and without, 1.')
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

    return _make(box, sizes, draw, update, keep=keep, warm_start=True, execute=execute)


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
        mean: of an episode's first proposal, a scalar or [H, A]; none: the middle of the bounds.
        std: of each plan's first proposal, a scalar or [H, A]; none: half of their width.
        temperature: factor of the returns before the exponential, in one over their unit; 0: all elites count the same.
        least_std: of a proposal, in halves of the bounds' width.
        most_std: of a proposal, in halves of the bounds' width.

    Raises:
        ValueError: a size is below one, there are more elites than candidates, a setting is out of its range, or no
            action is inside the bounds.
    """
    box = _Box(action_size, horizon, low, high, mean, std)
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
        # Halves, since the difference of two finite numbers may be infinite.
        weights = jax.nn.softmax(2 * temperature * jnp.maximum(values / 2 - values[0] / 2, -largest / 4))[:, None, None]
        mean = (weights * chosen).sum(0)
        std = jnp.sqrt((weights * jnp.square(chosen - mean)).sum(0))
        return PlanState(mean, jnp.clip(std, least_std * box.half, most_std * box.half)), None, returns[best]

    return _make(box, (candidates,) * iterations, functools.partial(_normal, box), update, warm_start=True)


def make_random_shooting(*, action_size: int, horizon: int = 12, candidates: int = 1000, low: Any = -1.0,
                         high: Any = 1.0) -> Planner:
    """The best of J action sequences that are uniform inside the bounds: what every other planner must beat.

    Args:
        action_size: A.
        horizon: H.
        candidates: J.
        low: smallest action, a scalar or [A].
        high: largest action, a scalar or [A].

    Raises:
        ValueError: a size is below one, or no action is inside the bounds.
    """
    box = _Box(action_size, horizon, low, high, None, None)
    check_elites(candidates, 1)

    def draw(key, state, candidates, last):
        del last
        unit = jax.random.uniform(key, (candidates, *state.mean.shape), jnp.float32, -1, 1)
        return jnp.clip(state.mean + box.half * unit, box.low, box.high)

    def update(state, actions, returns):
        best = best_of(returns, 1)
        return state.replace(mean=actions[best[0]]), None, returns[best]

    return _make(box, (candidates,), draw, update)


class _Box:
    """Bounds of the actions, and the proposal that follows from them.

    Attributes:
        low, high: float32, [] or [A]
        half: half of the width, [] or [A]
        mean, std: of the first proposal, float32 [H, A]
    """

    def __init__(self, action_size, horizon, low, high, mean, std, narrow=1.0):
        """Args as of the makers; `narrow` is the share of half the width that is the spread where none is given."""
        if horizon < 1 or action_size < 1:
            raise ValueError(f'The horizon and the action size must be at least 1, not {horizon} and {action_size}.')
        self.low, self.high = (_float32(bound, (action_size,), name) for bound, name in ((low, 'low'), (high, 'high')))
        with np.errstate(over='ignore'):
            self.half = (self.high - self.low) / 2
        if not isinstance(self.half, jax.core.Tracer):
            self._check(low, high, finite=mean is None or std is None)
        shape = horizon, action_size
        self.mean, self.std = (jnp.broadcast_to(_float32(value, shape, name), shape) for value, name in (
            ((self.low + self.high) / 2 if mean is None else mean, 'mean'),
            (narrow * self.half if std is None else std, 'std')))

    def _check(self, low, high, finite):
        if not np.all(self.half >= 0):
            raise ValueError(f'low is {low} and high is {high}, but no low may be above its high.')
        if finite and not np.all(np.isfinite(self.half)):
            raise ValueError(f'low is {low} and high is {high}, but without finite bounds of a finite width nothing '
                             f'says where to search: give mean and std too.')


def _float32(value, shape, name):
    """A scalar or an array, also of float64, as float32: NumPy where it is known, so that it is a constant."""
    array = jnp.asarray(value, jnp.float32) if isinstance(value, jax.Array) else np.asarray(value, np.float32)
    try:
        np.broadcast_shapes(array.shape, shape)
        fits = len(array.shape) <= len(shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f'{name} must be a scalar or of the shape {list(shape)}, but its shape is '
                         f'{list(array.shape)}.')
    return array


def _normal(box, key, state, candidates, last):
    del last
    return propose(key, state.mean, state.std, candidates=candidates, low=box.low, high=box.high)


def _shifted(sequences):
    """One step later: the first action is gone, the last one is repeated."""
    return jnp.concatenate([sequences[..., 1:, :], sequences[..., -1:, :]], -2)


def _make(box: _Box, sizes: tuple[int, ...], draw: Any, update: Any, *, keep: int = 0, warm_start: bool = False,
          execute: Literal['mean', 'best'] = 'mean') -> Planner:
    """The loop of every planner: propose, score, update."""
    if not sizes:
        raise ValueError('The iterations must be at least 1, not 0.')

    def begin(left):
        if left is not None:
            return left
        kept = (jnp.zeros((keep, *box.mean.shape), jnp.float32), jnp.array(False)) if keep else ()
        return PlanState(box.mean, box.std, *kept)

    def finish(state, best, returns):
        # The mean of many actions at a bound may be rounded to beyond it.
        mean = jnp.clip(state.mean, box.low, box.high)
        plan = Plan(mean, state.std, returns, best if execute == 'best' else mean)
        if not warm_start:
            return plan, None
        kept = _shifted(state.kept) if keep else None
        return plan, PlanState(_shifted(mean), box.std, kept, state.known)

    def step(key, score, state, *, record=False):
        def iterate(state, inputs, candidates):
            key, last = inputs
            propose_key, score_key = jax.random.split(key)
            actions = draw(propose_key, state, candidates, last)
            returns = score(score_key, actions)
            if jnp.shape(returns) != (candidates,):
                raise ValueError(f'The score must return one number for each of the {candidates} candidates, but its '
                                 f'shape is {jnp.shape(returns)}.')
            returns = as_returns(returns)
            state, best, elites = update(state, actions, returns)
            seen = Iteration(score_key, actions, returns, state.mean, state.std) if record else None
            return state, (best, elites, seen)

        state, keys = begin(state), jax.random.split(key, len(sizes))
        if within_shard_map():
            state = settle('The plan', lambda state: iterate(state, (keys[0], True), sizes[0])[0], state)
        if len(set(sizes)) == 1:
            last = jnp.arange(len(sizes)) == len(sizes) - 1
            state, (best, returns, seen) = jax.lax.scan(
                functools.partial(iterate, candidates=sizes[0]), state, (keys, last))
            plan, left = finish(state, None if best is None else best[-1], returns)
            if record:
                plan = plan.replace(record=tuple(jax.tree.map(lambda leaf, index=index: leaf[index], seen)
                                                 for index in range(len(sizes))))
            return plan, left
        found, record_of = [], []
        for index, candidates in enumerate(sizes):
            state, (best, elites, seen) = iterate(state, (keys[index], index == len(sizes) - 1), candidates)
            found.append(elites)
            record_of.append(seen)
        plan, left = finish(state, best, jnp.stack(found))
        return (plan.replace(record=tuple(record_of)) if record else plan), left

    parts = Parts(sizes, begin, draw, update, finish)
    return Planner(lambda: begin(None) if warm_start else None, step, parts)
