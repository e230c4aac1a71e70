"""The loop of every planner: propose, score, update."""

import dataclasses
import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp

from .bounds import Box
from .carries import settle, within_shard_map
from .distributions import as_returns
from .records import Finish, Iteration, Parts, Plan, Planner, PlanState, Propose, Update


def shifted(sequences: jax.Array) -> jax.Array:
    """Action sequences [..., H, A] one step later: the first action is dropped, and the last one repeated."""
    return jnp.concatenate([sequences[..., 1:, :], sequences[..., -1:, :]], -2)


def build(box: Box, sizes: tuple[int, ...], propose: Propose, update: Update, *, keep: int = 0,
          warm_start: bool = False, execute: Literal['mean', 'best'] = 'mean') -> Planner:
    """Makes a planner from its two halves.

    With a warm start, an iteration whose candidates all return the same tells nothing: the search goes on from the
    first proposal. Otherwise sparse rewards would trap it, since ties are broken by the order of the candidates, and a
    plan that is shifted often enough becomes one constant action.

    Args:
        box: bounds and first proposal.
        sizes: J of each iteration.
        propose: see `Parts`.
        update: see `Parts`.
        keep: M, sequences that the state holds.
        warm_start: whether a plan starts from the last one, shifted by one step.
        execute: whether the mean or the best candidate is carried out.

    Raises:
        ValueError: there is no iteration.
    """
    if not sizes:
        raise ValueError('The iterations must be at least 1, not 0.')

    def begin(left):
        if left is not None:
            return left
        kept = (jnp.zeros((keep, *box.mean.shape), jnp.float32), jnp.array(False)) if keep else ()
        return PlanState(box.mean, box.std, *kept)

    def finish(state, best, returns, shift=shifted):
        # The mean of many actions at a bound may be rounded beyond the bound.
        mean = jnp.clip(state.mean, box.low, box.high)
        plan = Plan(mean, state.std, returns, best if execute == 'best' else mean)
        if not warm_start:
            return plan, None
        kept = shift(state.kept) if keep else None
        return plan, PlanState(shift(mean), box.std, kept, state.known)

    def update_if_told(state, actions, returns):
        following, best, elites = update(state, actions, returns)
        told = jnp.nanmax(returns) > jnp.nanmin(returns)  # False if all are NaN.
        return jax.tree.map(functools.partial(jnp.where, told), following, begin(None)), best, elites

    return make_planner(Parts(sizes, begin, propose, update_if_told if warm_start else update, finish, box.low,
                              box.high, warm_start))


def make_planner(parts: Parts) -> Planner:
    """Makes a planner of these parts. Change one of `planner.parts` with `_replace` for a variant."""
    expand = parts.expand or (lambda sequences: sequences)

    def step(key, score, state, *, record=False):
        keep_candidates = record or parts.ending is not None

        def iterate(state, inputs, candidates):
            key, last = inputs
            propose_key, score_key = jax.random.split(key)
            actions = parts.propose(propose_key, state, candidates, last)
            returns = checked_returns(score(score_key, expand(actions)), candidates)
            state, best, elites = parts.update(state, actions, returns)
            seen = Iteration(score_key, actions, returns, state.mean, state.std) if keep_candidates else None
            return state, (best, elites, seen)

        sizes, state = parts.sizes, parts.begin(state)
        keys = jax.random.split(key, len(sizes))
        if within_shard_map():
            state = settle('The plan', lambda state: iterate(state, (keys[0], True), sizes[0])[0], state)
        if len(set(sizes)) == 1:
            last = jnp.arange(len(sizes)) == len(sizes) - 1
            state, (best, returns, seen) = jax.lax.scan(
                functools.partial(iterate, candidates=sizes[0]), state, (keys, last))
            best = None if best is None else best[-1]
            seen = [jax.tree.map(lambda leaf, index=index: leaf[index], seen) for index in range(len(sizes))]
        else:
            seen, found = [], []
            for index, candidates in enumerate(sizes):
                state, (best, elites, iteration) = iterate(state, (keys[index], index == len(sizes) - 1), candidates)
                found.append(elites)
                seen.append(iteration)
            returns = jnp.stack(found)
        if parts.ending is not None:
            # Different from the iterations' keys: `split(key, n)[i]` is `fold_in(key, i)`.
            ending_key = jax.random.fold_in(key, len(sizes))
            state, best = parts.ending(ending_key, lambda key, actions: score(key, expand(actions)), state, seen[-1])
        plan, left = finished(parts.finish, parts.shift or shifted, parts.expand, state, best, returns)
        if parts.expand:
            seen = [iteration and Iteration(iteration.key, expand(iteration.actions), iteration.returns,
                                            expand(iteration.mean), expand(iteration.std)) for iteration in seen]
        return (plan.replace(record=tuple(seen)) if record else plan), left

    return Planner(lambda: parts.begin(None) if parts.warm_start else None, step, parts)


def finished(finish: Finish, shift: Any, expand: Any, state: PlanState, best: jax.Array | None, returns: jax.Array,
             ) -> tuple[Plan, PlanState | None]:
    """The plan of a finished search, in actions, and the state for the next plan, in searched sequences.

    Args:
        finish: see `Parts`.
        shift: see `Parts`.
        expand: see `Parts`.
        state: of the last iteration.
        best: the best candidate, or None.
        returns: [I, K].
    """
    plan, left = finish(state, best, returns, shift)
    if expand:
        plan = dataclasses.replace(plan, mean=expand(plan.mean), std=expand(plan.std), actions=expand(plan.actions))
    return plan, left


def checked_returns(returns: Any, candidates: int) -> jax.Array:
    """The returns of a score, as floating-point numbers.

    Raises:
        ValueError: the score does not give one number for each candidate.
    """
    if jnp.shape(returns) != (candidates,):
        raise ValueError(f'The score must return one number for each of the {candidates} candidates, but its shape is '
                         f'{jnp.shape(returns)}.')
    return as_returns(returns)
