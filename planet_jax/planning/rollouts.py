"""Scores of action sequences by rollouts of a dynamics function."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .carries import settle
from .records import Dynamics, Score
from .risk import Risk, mean

Constraint = Callable[[Any, jax.Array], jax.Array]
"""(next state, action [A]) -> violation []: by how much the constraint is broken; 0 or below if it holds."""
Alive = Callable[[Any, Any], jax.Array]
"""(params, state) -> probability [] that the episode goes on after the state."""


def rollouts(params: Any, root: Any, dynamics: Dynamics, *, sample_root: Callable[[jax.Array, Any], Any] | None = None,
             terminal_value: Callable[[Any, Any], jax.Array] | None = None, discount: float = 1.0, samples: int = 1,
             risk: Risk = mean, constraint: Constraint | None = None, alive: Alive | None = None) -> Score:
    """Scores action sequences by the sum of the rewards of their H next states (algorithm 2 of the PlaNet paper).

    Args:
        params: handed to the dynamics.
        root: the state to plan from, any pytree.
        dynamics: (params, key, state, action [A]) -> (next state, reward []), pure and without batch axes.
        sample_root: (key, root) -> state, a start for each candidate, if the root is a belief. Default: all start at
            the root.
        terminal_value: (params, state) -> value [] of the last state, added with the discount of H steps.
        discount: of a reward one step later, 0 to 1.
        samples: S, rollouts of each candidate, for stochastic dynamics.
        risk: from the returns of these rollouts to a score, see `planning.risk`.
        constraint: (next state, action [A]) -> violation []. Positive violations are summed over the steps and averaged
            over the samples. Candidates that break the constraint rank behind all others, the smallest violation first
            (Deb, 2000): their score is the worst return of the others minus their violation.
        alive: (params, next state) -> probability [] that the episode goes on after this state. Later rewards and the
            terminal value are weighted by the product of these probabilities. The root counts as alive.

    Example:
        >>> def dynamics(params, key, position, action):
        ...     position = position + 0.1 * action[0]
        ...     return position, -jnp.abs(position - params)
        >>> score = rollouts(1.0, 0.0, dynamics, constraint=lambda position, action: position - 0.15)
        >>> score(jax.random.key(0), jnp.array([[[1.0], [0.5]], [[1.0], [1.0]]])).round(2).tolist()
        [-1.75, -1.7999999523162842]

    Raises:
        ValueError: `samples` is below 1, or a function takes other arguments. The score raises it if the dynamics do
            not return a state and a reward, or if shapes of states or rewards change.
    """
    if samples < 1:
        raise ValueError(f'The samples must be at least 1, not {samples}.')
    _check_arguments('terminal_value', terminal_value, 'params', 'state')
    roll = _make_roll(params, root, dynamics, sample_root, discount, constraint, alive)

    def one(key, actions):
        last, returns, violation, going, _ = roll(key, actions)
        if terminal_value is not None:
            value = jax.vmap(terminal_value, (None, 0))(params, last).reshape(returns.shape)
            returns += discount ** actions.shape[1] * (value if alive is None else going * value)
        return returns, violation

    def score(key, actions):
        if samples == 1:
            returns, violation = one(key, actions)
        else:
            returns, violation = jax.vmap(one, (0, None))(jax.random.split(key, samples), actions)
            returns, violation = risk(returns), violation.mean(0)
        return returns if constraint is None else by_rank(returns, violation)

    return score


def by_rank(returns: jax.Array, violation: jax.Array) -> jax.Array:
    """Scores [J] that put candidates with a violation above 0 behind all others, see `rollouts`.

    Args:
        returns: [J].
        violation: [J]; NaN counts as infinite.
    """
    violation = jnp.nan_to_num(violation, nan=jnp.inf, posinf=jnp.inf)
    kept, numbers = violation <= 0, jnp.isfinite(returns)
    worst = jax.lax.stop_gradient(jnp.where(kept & numbers, returns, jnp.inf).min())
    worst = jnp.where(jnp.isfinite(worst), worst, 0.0)
    # Below the worst even if rounding would lose a small violation.
    return jnp.where(kept, returns, jnp.minimum(worst - violation, jnp.nextafter(worst, -jnp.inf)))


def visited(params: Any, root: Any, dynamics: Dynamics, *, sample_root: Callable[[jax.Array, Any], Any] | None = None,
            alive: Alive | None = None) -> Callable[[jax.Array, jax.Array], tuple[Any, jax.Array]]:
    """The rollouts behind a score: (key, actions [J, H, A]) -> (states with leading [J, H], rewards [J, H]).

    Args: see `rollouts`. The same key gives the same numbers as the score's.
    """
    roll = _make_roll(params, root, dynamics, sample_root, 1.0, alive=alive, visited=True)
    return lambda key, actions: jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), roll(key, actions)[4])


def _make_roll(params, root, dynamics, sample_root, discount, constraint=None, alive=None, visited=False):
    """(key, actions [J, H, A]) -> last states, returns, violations, probabilities to be alive, visited states.

    The second to fourth are [J]. The probabilities are None without `alive`. The visited states and their rewards have
    leading [H, J]; None if not asked for.
    """
    _check_arguments('dynamics', dynamics, 'params', 'key', 'state', 'action')
    _check_arguments('sample_root', sample_root, 'key', 'root')
    _check_arguments('constraint', constraint, 'next state', 'action')
    _check_arguments('alive', alive, 'params', 'next state')

    def both(params, key, state, action):
        following = dynamics(params, key, state, action)
        if not isinstance(following, tuple) or len(following) != 2:
            raise ValueError(f'The dynamics must return (next state, reward), but return {following}.')
        return following

    step = jax.vmap(both, (None, 0, 0, 0))

    def roll(key, actions):
        candidates, horizon = actions.shape[:2]
        start_key, key = jax.random.split(key)
        if sample_root is None:
            start = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (candidates, *jnp.shape(leaf))), root)
        else:
            start = jax.vmap(sample_root, (0, None))(jax.random.split(start_key, candidates), root)

        def advance(carry, inputs):
            state, total, violation, going = carry
            key, action, *weight = inputs
            state, reward = step(params, jax.random.split(key, candidates), state, action)
            reward = _one_number('reward', reward, candidates)
            if alive is not None:
                reward *= going
                going *= _one_number('probability', jax.vmap(alive, (None, 0))(params, state), candidates)
            total += weight[0] * reward if weight else reward
            if constraint is not None:
                broken = _one_number('violation', jax.vmap(constraint)(state, action), candidates)
                violation += jnp.maximum(broken, 0)
            return (state, total, violation, going), (state, reward) if visited else None

        inputs = jax.random.split(key, horizon), actions.swapaxes(0, 1)
        if discount != 1:
            inputs = *inputs, discount ** jnp.arange(horizon)
        # Unrolled by two: a CPU computes the reward of one step while it begins the next.
        first = jax.tree.map(lambda leaf: leaf[0], inputs)
        begun = settle('The state of the dynamics', lambda carry: advance(carry, first)[0],
                       (start, jnp.zeros(candidates), jnp.zeros(candidates),
                        None if alive is None else jnp.ones(candidates)))
        (last, returns, violation, going), seen = jax.lax.scan(advance, begun, inputs, unroll=2)
        return last, returns, violation, going, seen

    return roll


def _check_arguments(name, function, *arguments):
    """Raises a ValueError if a user's function cannot be called with so many arguments."""
    try:
        signature = None if function is None else inspect.signature(function)
    except (TypeError, ValueError):  # Functions written in C may have none.
        signature = None
    if signature is not None:
        try:
            signature.bind(*arguments)
        except TypeError:
            raise ValueError(f'{name} is called with ({", ".join(arguments)}), but yours takes {signature}.') from None


def _one_number(name, values, candidates):
    """The values of the candidates, [J], given as [J] or [J, 1]."""
    if values.shape not in ((candidates,), (candidates, 1)):
        raise ValueError(f'The {name} must be one number, but its shape is {values.shape[1:]}.')
    return values.reshape(candidates)
