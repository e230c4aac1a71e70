"""The planner for discrete actions."""

from typing import Any

import jax
import jax.numpy as jnp

from .bounds import Box
from .distributions import best_of, check_elites
from .loop import build
from .records import Planner, PlanState


def make_categorical(*, categories: int, horizon: int = 12, iterations: int = 5, candidates: int = 200,
                     elites: int = 20, probabilities: Any = None, smoothing: float = 0.05, warm_start: bool = False,
                     ) -> Planner:
    """The cross-entropy method over probabilities, for actions that are one of several (Rubinstein, 1999).

    Actions are one-hot vectors, so scores, records and plans have the shapes of the other planners with A categories.
    The plan's `mean` has the probabilities, its `actions` the best candidate of the last iteration; a simulator takes
    `plan.actions[0].argmax()`. Several discrete actions at once are one of their product.

    Args:
        categories: A, of which each action is one.
        horizon: H.
        iterations: I.
        candidates: J.
        elites: K.
        probabilities: of the first proposal, [A] or [H, A]; none: all alike.
        smoothing: share of the uniform distribution in each fit, so that no category is lost for good.
        warm_start: begin at the last plan's probabilities, moved by one step.

    Example:
        >>> planner = make_categorical(categories=3, horizon=2)
        >>> score = lambda key, actions: actions[:, 0, 2] + actions[:, 1, 0]
        >>> plan, state = planner.step(jax.random.key(0), score, planner.init())
        >>> plan.actions.argmax(-1).tolist()
        [2, 0]

    Raises:
        ValueError: a size is below one, there are more elites than candidates, the smoothing is not from 0 to 1, or the
            probabilities have another shape.
    """
    box = Box(categories, horizon, 0.0, 1.0, 1 / max(categories, 1) if probabilities is None else probabilities, 0.0)
    check_elites(candidates, elites)
    if not 0 <= smoothing <= 1:
        raise ValueError(f'smoothing is {smoothing}, but must be from 0 to 1.')

    def propose(key, state, candidates, last):
        del last
        drawn = jax.random.categorical(key, jnp.log(state.mean), shape=(candidates, horizon))
        return jax.nn.one_hot(drawn, categories, dtype=jnp.float32)

    def update(state, actions, returns):
        best = best_of(returns, elites)
        mean = (1 - smoothing) * actions[best].mean(0) + smoothing / categories
        return PlanState(mean, jnp.sqrt(mean * (1 - mean))), actions[best[0]], returns[best]

    return build(box, (candidates,) * iterations, propose, update, warm_start=warm_start, execute='best')
