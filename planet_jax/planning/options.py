"""Options of any planner. Each function makes a planner from a planner, so options can be combined.

`with_knots` comes first, then `every`; the others may stand anywhere.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from .distributions import best_of
from .loop import make_planner, shifted
from .records import Planner, PlanState


def every(planner: Planner, steps: int) -> Planner:
    """Executes several actions of each plan. The next plan starts from a state that many steps later.

    Args:
        planner: any.
        steps: k, actions of a plan that are carried out before the next one, at most H.

    Example:
        >>> from planet_jax.planning import make_icem
        >>> planner = every(make_icem(action_size=1, horizon=8), 3)
        >>> planner.init().mean.shape
        (8, 1)

    Raises:
        ValueError: k is not 1 to H.
    """
    horizon = _shape(planner)[0] if planner.parts.expand is None else planner.parts.expand(_zeros(planner)).shape[0]
    if not 1 <= steps <= horizon:
        raise ValueError(f'A plan has {horizon} actions, so 1 to {horizon} of them can be carried out, not {steps}.')
    once = planner.parts.shift or shifted

    def shift(sequences):
        for _ in range(steps):
            sequences = once(sequences)
        return sequences

    return make_planner(planner.parts._replace(shift=shift))


def with_knots(planner: Planner, horizon: int) -> Planner:
    """Searches fewer numbers: sequences are knots, and actions are interpolated linearly.

    Plans, scores and records have H actions; states and given proposals have knots.

    Args:
        planner: its horizon is the number of knots.
        horizon: H, of the actions.

    Example:
        >>> from planet_jax.planning import make_cem, search
        >>> planner = with_knots(make_cem(action_size=1, horizon=3, candidates=50, elites=5), horizon=9)
        >>> key = jax.random.key(0)
        >>> planner.step(key, lambda key, actions: -jnp.square(actions).sum((1, 2)), None)[0].actions.shape
        (9, 1)

    Raises:
        ValueError: there are more knots than actions, or the planner has knots, or a number of steps, already.
    """
    parts, knots = planner.parts, _shape(planner)[0]
    if knots > horizon:
        raise ValueError(f'There are {knots} knots, but only {horizon} actions: the horizon must be at least {knots}.')
    if parts.expand or parts.shift:
        raise ValueError('Give the planner its knots first, and only once: every(with_knots(planner, horizon), steps).')
    places = np.linspace(0, horizon - 1, knots)

    def at(moments):
        """[..., knots]: the weights of the knots at these times."""
        return np.stack([np.interp(moments, places, knot) for knot in np.eye(knots)], -1).astype(np.float32)

    between, later = at(np.arange(horizon)), at(np.minimum(places + 1, horizon - 1))
    return make_planner(parts._replace(expand=lambda sequences: jnp.einsum('hk,...ka->...ha', between, sequences),
                                       shift=lambda sequences: jnp.einsum('hk,...ka->...ha', later, sequences)))


def with_proposals(planner: Planner, draw: Callable[[jax.Array], jax.Array]) -> Planner:
    """Puts given action sequences among the candidates of every iteration, in place of the last ones.

    They may come from a policy, as in TD-MPC2 (Hansen et al., 2024): then make the planner inside the jitted function,
    where the current state is known.

    Args:
        planner: any.
        draw: key -> actions [n, H, A], which are clipped to the bounds; for a planner with knots, [n, knots, A].

    Example:
        >>> from planet_jax.planning import make_cem
        >>> still = lambda key: jnp.zeros((1, 12, 2))
        >>> planner = with_proposals(make_cem(action_size=2), still)

    Raises:
        ValueError: while planning, if the sequences have the wrong shape or are too many.
    """
    parts = planner.parts
    kept = parts.begin(None).kept
    most = min(parts.sizes) - (0 if kept is None else len(kept) + 1)

    def propose(key, state, candidates, last):
        own = draw(jax.random.fold_in(key, 0))
        if own.shape[1:] != state.mean.shape or len(own) > most:
            raise ValueError(f'The proposals must have the shape [n, {state.mean.shape[0]}, {state.mean.shape[1]}] '
                             f'with n at most {most}, but it is {list(own.shape)}.')
        actions = parts.propose(key, state, candidates, last)
        return actions.at[candidates - len(own):].set(jnp.clip(own, parts.low, parts.high))

    return make_planner(parts._replace(propose=propose))


def with_callback(planner: Planner, callback: Callable[[PlanState, jax.Array, jax.Array], None]) -> Planner:
    """Calls a function after every iteration.

    Args:
        planner: any.
        callback: (PlanState after the update, actions [J, H, A], returns [J]) -> anything, which is ignored. It is
            traced like the planner itself: give values to the host by `jax.debug.callback`.

    Example:
        >>> from planet_jax.planning import make_cem
        >>> show = lambda state, actions, returns: jax.debug.print('{}', returns.max())
        >>> planner = with_callback(make_cem(action_size=2), show)
    """
    parts = planner.parts

    def update(state, actions, returns):
        state, *rest = parts.update(state, actions, returns)
        callback(state, actions, returns)
        return state, *rest

    return make_planner(parts._replace(update=update))


def with_gradient(planner: Planner, *, steps: int = 5, rate: float = 0.1, candidates: int = 10) -> Planner:
    """Ends a search by gradient ascent through the score, from the best candidates of the last iteration and the mean.

    The gradient step of Bharadhwaj et al. (2020, 'Model-Predictive Control via Cross-Entropy and Gradient-Based
    Optimization', algorithm 1), at the end instead of in every iteration. The best sequence of the ascent, the starts
    included, becomes the plan's mean and its actions. All sequences are compared with the same key.

    Args:
        planner: any with actions of real numbers.
        steps: of the ascent.
        rate: length of the first step, in halves of the bounds' width; it decreases linearly to zero. Only the
            direction of the gradient is used, so the rewards' unit does not matter.
        candidates: number of candidates that are refined, at most J, besides the mean.

    Example:
        >>> from planet_jax.planning import make_cem
        >>> planner = with_gradient(make_cem(action_size=1, horizon=2, iterations=2, candidates=20, elites=4), steps=20)
        >>> score = lambda key, actions: -jnp.square(actions - 0.3).sum((1, 2))
        >>> bool((jnp.abs(planner.step(jax.random.key(0), score, None)[0].actions - 0.3) < 0.01).all())
        True

    Raises:
        ValueError: a number is out of its range, or the planner has `with_gradient` already.
    """
    parts = planner.parts
    if not 1 <= candidates <= parts.sizes[-1]:
        raise ValueError(f'The last iteration has {parts.sizes[-1]} candidates, so 1 to {parts.sizes[-1]} can be '
                         f'refined, not {candidates}.')
    if steps < 1 or rate <= 0 or parts.ending:
        raise ValueError(f'steps is {steps} and rate {rate}, but both must be above 0, and with_gradient applies once.')
    half = (parts.high - parts.low) / 2
    reach = jnp.where(jnp.isfinite(half), half, 1.0)

    def ending(key, score, state, last):
        climb = jax.value_and_grad(lambda actions: (lambda returns: (returns.sum(), returns))(score(key, actions)),
                                   has_aux=True)
        start = jnp.concatenate([jnp.clip(state.mean, parts.low, parts.high)[None],
                                 last.actions[best_of(last.returns, candidates)]])

        def ascend(actions, share):
            (_, returns), slope = climb(actions)
            slope = jnp.nan_to_num(slope * reach, posinf=0.0, neginf=0.0)
            length = jnp.sqrt(jnp.square(slope).mean((1, 2), keepdims=True))
            moved = actions + rate * share * reach * slope / jnp.maximum(length, 1e-20)
            return jnp.clip(moved, parts.low, parts.high), (actions, returns)

        shares = 1 - jnp.arange(steps) / steps
        end, (met, returns) = jax.lax.scan(ascend, start, shares)
        met = jnp.concatenate([met, end[None]]).reshape(-1, *end.shape[1:])
        returns = jnp.concatenate([returns.reshape(-1), score(key, end)])
        best = met[best_of(returns, 1)[0]]
        return state.replace(mean=best), best

    return make_planner(parts._replace(ending=ending))


def _zeros(planner):
    return jnp.zeros(_shape(planner))


def _shape(planner):
    """[H, A] of the planner's own sequences."""
    return planner.parts.begin(None).mean.shape
