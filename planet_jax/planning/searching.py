"""One plan of the cross-entropy method without a previous plan."""

from collections.abc import Callable
from typing import Any, Literal

import jax

from .methods import make_cem
from .records import Dynamics, Plan, Score
from .rollouts import rollouts


def search(key: jax.Array, score: Score, *, action_size: int, horizon: int = 12, iterations: int = 10,
           candidates: int = 1000, elites: int = 100, low: Any = -1.0, high: Any = 1.0, mean: Any = None,
           std: Any = None, std_estimator: Literal['std', 'mean_absolute'] = 'std') -> Plan:
    """Searches for the action sequence with the highest score (algorithm 2 of the PlaNet paper).

    The plan's mean is finite and inside the bounds for any scores, even if all are NaN.

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
        mean: of the first proposal, a scalar or [H, A]; by default the middle of the bounds.
        std: of the first proposal, a scalar or [H, A]; by default half of their width.
        std_estimator: see `refit`.

    Example:
        >>> score = lambda key, actions: -jnp.square(actions - 0.5).sum((1, 2))
        >>> search(jax.random.key(0), score, action_size=1, horizon=2).mean.round(1).tolist()
        [[0.5], [0.5]]

    Raises:
        ValueError: horizon or iterations below one, more elites than candidates, bounds that hold no action, or scores
            of another shape than [J].
    """
    planner = make_cem(action_size=action_size, horizon=horizon, iterations=iterations, candidates=candidates,
                       elites=elites, low=low, high=high, mean=mean, std=std, std_estimator=std_estimator)
    return planner.step(key, score, planner.init())[0]


def cem(params: Any, key: jax.Array, root: Any, dynamics: Dynamics, *,
        sample_root: Callable[[jax.Array, Any], Any] | None = None, **options: Any) -> Plan:
    """Plans from a state by rollouts of a dynamics function: `search` for the largest sum of rewards.

    Args:
        params: handed to the dynamics.
        key: a random key.
        root: the state to plan from, any pytree.
        dynamics: (params, key, state, action [A]) -> (next state, reward []), pure and without batch axes.
        sample_root: (key, root) -> state gives each candidate its own start, if the root is a belief; by default all
            start at the root.
        **options: those of `search`; `action_size` is required.

    Example:
        >>> def dynamics(params, key, position, action):
        ...     position = position + action
        ...     return position, -jnp.abs(position - params).sum()
        >>> plan = cem(jnp.array([0.5]), jax.random.key(0), jnp.zeros(1), dynamics, action_size=1, horizon=2)
        >>> plan.mean.round(1).tolist()
        [[0.5], [0.0]]
    """
    return search(key, rollouts(params, root, dynamics, sample_root=sample_root), **options)
