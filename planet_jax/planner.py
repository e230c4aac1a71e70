"""Planning by the cross-entropy method (algorithm 2 of the PlaNet paper), over any pure function.

This file needs jax and flax only and knows nothing of the rest of the package: copy it into a project of your own.
Shapes: H horizon, I iterations, J candidates, K elites, A action size. Batches of states come from `jax.vmap`.

`cem` plans with a dynamics function, `search` with a function that scores whole action sequences; `propose` and `refit`
are one iteration's halves, for scores that no jitted function can give, such as those of a simulator.
"""

import functools
import os
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import struct

Dynamics = Callable[[Any, jax.Array, Any, jax.Array], tuple[Any, jax.Array]]
"""(params, key, state, action [A]) -> (next state, reward []); the state is any pytree."""
Score = Callable[[jax.Array, jax.Array], jax.Array]
"""(key, actions [J, H, A]) -> returns [J]."""


@struct.dataclass
class Plan:
    """The result of a search.

    Attributes:
        mean: [H, A], of the last elites; its first row is the action to take
        std: [H, A], their spread
        returns: [I, K], what each iteration's elites scored, best first
    """

    mean: jax.Array
    std: jax.Array
    returns: jax.Array


def propose(key: jax.Array, mean: jax.Array, std: jax.Array, *, candidates: int, low: float = -1.0,
            high: float = 1.0) -> jax.Array:
    """Draws action sequences and clips them to the bounds (algorithm 2, line 4).

    The clipped ones are scored and refitted, as in the released code.

    Args:
        key: a random key.
        mean: [H, A].
        std: [H, A].
        candidates: J.
        low: smallest action, a scalar or [A].
        high: largest action, a scalar or [A].

    Returns:
        actions [J, H, A].
    """
    noise = jax.random.normal(key, (candidates, *mean.shape), mean.dtype)
    return jnp.clip(mean + std * noise, low, high)


def refit(actions: jax.Array, returns: jax.Array, *, elites: int, spread: Literal['std', 'mean_absolute'] = 'std',
          ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Fits a diagonal Gaussian to the best candidates (algorithm 2, lines 8 to 11).

    A return that is not a number ranks last, after minus infinity. One elite alone has no spread: zero.

    Args:
        actions: [J, H, A].
        returns: [J].
        elites: K, at most J.
        spread: 'std' is the population standard deviation, sqrt(var + 1e-6) (released code); 'mean_absolute' the sum
            of absolute deviations over K - 1 (the paper).

    Returns:
        mean [H, A], spread [H, A] and the elites' returns [K], best first.

    Raises:
        ValueError: there are fewer candidates than elites, or the spread's name is unknown.
    """
    if not 1 <= elites <= actions.shape[0]:
        raise ValueError(f'There are {actions.shape[0]} candidates, so elites must be 1 to {actions.shape[0]}, not '
                         f'{elites}.')
    if spread not in ('std', 'mean_absolute'):
        raise ValueError(f"The spread must be 'std' or 'mean_absolute', not {spread!r}.")
    finite = jnp.maximum(returns, jnp.finfo(returns.dtype).min)
    best = jax.lax.top_k(jnp.where(jnp.isnan(returns), -jnp.inf, finite), elites)[1]
    chosen = actions[best]
    mean = chosen.mean(0)
    if elites == 1:
        deviation = jnp.zeros_like(mean)
    elif spread == 'std':
        deviation = jnp.sqrt(chosen.var(0) + 1e-6)
    else:
        deviation = jnp.abs(chosen - mean).sum(0) / (elites - 1)
    return mean, deviation, returns[best]


def search(key: jax.Array, score: Score, *, action_size: int, horizon: int = 12, iterations: int = 10,
           candidates: int = 1000, elites: int = 100, low: float = -1.0, high: float = 1.0, mean: Any = 0.0,
           std: Any = 1.0, spread: Literal['std', 'mean_absolute'] = 'std') -> Plan:
    """Searches for the action sequence with the highest score (algorithm 2).

    Whatever the scores are, also none of them a number, the plan's mean is finite and inside the bounds.

    Args:
        key: a random key.
        score: (key, actions [J, H, A]) -> returns [J].
        action_size: A.
        horizon: H.
        iterations: I; with one iteration and one elite this is random shooting.
        candidates: J.
        elites: K.
        low: smallest action, a scalar or [A].
        high: largest action, a scalar or [A].
        mean: of the first proposal, a scalar or [H, A].
        std: of the first proposal, a scalar or [H, A].
        spread: see `refit`.

    Raises:
        ValueError: horizon or iterations below one, more elites than candidates, or scores of another shape than [J].
    """
    if horizon < 1 or iterations < 1:
        raise ValueError(f'The horizon and the iterations must be at least 1, not {horizon} and {iterations}.')
    shape = (horizon, action_size)

    def iterate(distribution, key):
        propose_key, score_key = jax.random.split(key)
        actions = propose(propose_key, *distribution, candidates=candidates, low=low, high=high)
        returns = score(score_key, actions)
        if returns.shape != (candidates,):
            raise ValueError(f'The score must return one number for each of the {candidates} candidates, but its shape '
                             f'is {returns.shape}.')
        *distribution, best = refit(actions, returns, elites=elites, spread=spread)
        return tuple(distribution), best

    start = tuple(jnp.broadcast_to(jnp.asarray(value, jnp.float32), shape) for value in (mean, std))
    (mean, std), returns = jax.lax.scan(iterate, start, jax.random.split(key, iterations))
    # The mean of many actions at a bound may be rounded to beyond it.
    return Plan(jnp.clip(mean, low, high), std, returns)


def cem(params: Any, key: jax.Array, root: Any, dynamics: Dynamics, *, horizon: int = 12, candidates: int = 1000,
        sample_root: Callable[[jax.Array, Any], Any] | None = None, **options: Any) -> Plan:
    """Plans from a state by rollouts of a dynamics function: `search` for the largest sum of rewards.

    A candidate's score is the undiscounted sum of the rewards of its H next states.

    Args:
        params: handed to the dynamics.
        key: a random key.
        root: the state to plan from, any pytree.
        dynamics: (params, key, state, action [A]) -> (next state, reward []), pure and without batch axes.
        horizon: H.
        candidates: J.
        sample_root: (key, root) -> state gives each candidate a start of its own, where the root is a belief; without
            it the root is the start of all.
        **options: the other arguments of `search`; `action_size` is required.
    """
    step = jax.vmap(dynamics, (None, 0, 0, 0))

    def score(key, actions):
        start_key, key = jax.random.split(key)
        if sample_root is None:
            start = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (candidates, *jnp.shape(leaf))), root)
        else:
            start = jax.vmap(sample_root, (0, None))(jax.random.split(start_key, candidates), root)

        def advance(carry, inputs):
            state, total = carry
            key, action = inputs
            state, reward = step(params, jax.random.split(key, candidates), state, action)
            return (state, total + reward), None

        inputs = jax.random.split(key, horizon), actions.swapaxes(0, 1)
        # By two, so that a CPU computes the reward of one step while it begins the next.
        (_, returns), _ = jax.lax.scan(advance, (start, jnp.zeros(candidates)), inputs, unroll=2)
        return returns

    return search(key, score, horizon=horizon, candidates=candidates, **options)


@functools.cache
def compiler_options(platform: str) -> dict[str, str]:
    """For `jax.jit` of a program that plans: options of XLA that make it faster, where this version has them.

    On a CPU the products of a thousand rows by a small matrix go to Eigen and not to YNNPACK, with which a plan took
    15 to 20% more time. An update of the world model is faster without. What `XLA_FLAGS` says of it stays.

    Args:
        platform: of the device, such as 'cpu' or 'gpu'.
    """
    option = 'xla_cpu_experimental_ynn_fusion_type'
    if platform != 'cpu' or option in os.environ.get('XLA_FLAGS', ''):
        return {}
    options = {option: ''}
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return options
