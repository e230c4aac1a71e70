"""From a dynamics function to a score of whole action sequences."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .carries import settle
from .records import Dynamics, Score


def rollouts(params: Any, root: Any, dynamics: Dynamics, *, sample_root: Callable[[jax.Array, Any], Any] | None = None,
             terminal_value: Callable[[Any, Any], jax.Array] | None = None, discount: float = 1.0) -> Score:
    """Scores action sequences by the sum of the rewards of their H next states (algorithm 2 of the PlaNet paper).

    Args:
        params: handed to the dynamics.
        root: the state to plan from, any pytree.
        dynamics: (params, key, state, action [A]) -> (next state, reward []), pure and without batch axes.
        sample_root: (key, root) -> state gives each candidate a start of its own, where the root is a belief; without
            it the root is the start of all.
        terminal_value: (params, state) -> value [] of the last state, added with the discount of H steps.
        discount: of a reward one step later, 0 to 1.
    """
    roll = _make_roll(params, root, dynamics, sample_root, discount, visited=False)

    def score(key, actions):
        last, returns, _ = roll(key, actions)
        if terminal_value is not None:
            returns += discount ** actions.shape[1] * jax.vmap(terminal_value, (None, 0))(params, last)
        return returns

    return score


def visited(params: Any, root: Any, dynamics: Dynamics, *, sample_root: Callable[[jax.Array, Any], Any] | None = None,
            ) -> Callable[[jax.Array, jax.Array], tuple[Any, jax.Array]]:
    """What `rollouts` scores, to be looked at: (key, actions [J, H, A]) -> (states with [J, H], rewards [J, H]).

    Args: see `rollouts`; with the same key every number is the same.
    """
    roll = _make_roll(params, root, dynamics, sample_root, 1.0, visited=True)
    return lambda key, actions: jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), roll(key, actions)[2])


def _make_roll(params, root, dynamics, sample_root, discount, visited):
    step = jax.vmap(dynamics, (None, 0, 0, 0))

    def roll(key, actions):
        candidates, horizon = actions.shape[:2]
        start_key, key = jax.random.split(key)
        if sample_root is None:
            start = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (candidates, *jnp.shape(leaf))), root)
        else:
            start = jax.vmap(sample_root, (0, None))(jax.random.split(start_key, candidates), root)

        def advance(carry, inputs):
            state, total = carry
            key, action, *weight = inputs
            state, reward = step(params, jax.random.split(key, candidates), state, action)
            if reward.shape not in ((candidates,), (candidates, 1)):
                raise ValueError(f'The reward of the dynamics must be one number, but its shape is {reward.shape[1:]}.')
            reward = reward.reshape(candidates)
            total += weight[0] * reward if weight else reward
            return (state, total), (state, reward) if visited else None

        inputs = jax.random.split(key, horizon), actions.swapaxes(0, 1)
        if discount != 1:
            inputs = *inputs, discount ** jnp.arange(horizon)
        # By two, so that a CPU computes the reward of one step while it begins the next.
        first = jax.tree.map(lambda leaf: leaf[0], inputs)
        begun = settle('The state of the dynamics', lambda carry: advance(carry, first)[0],
                       (start, jnp.zeros(candidates)))
        (last, returns), seen = jax.lax.scan(advance, begun, inputs, unroll=2)
        return last, returns, seen

    return roll
