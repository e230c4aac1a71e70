"""The cross-entropy method for discrete actions."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .bounds import Box
from .distributions import best_of, check_elites
from .loop import build
from .records import Planner, PlanState


def draw_choices(key: jax.Array, probabilities: jax.Array, choices: Sequence[int], shape: tuple[int, ...] = (),
                 ) -> jax.Array:
    """Samples several choices independently, as concatenated one-hot vectors.

    Args:
        key: a random key.
        probabilities: [..., A], of the categories of the first choice, then of the second, and so on.
        choices: number of categories of each choice, A in all.
        shape: leading axes of independent draws.

    Returns:
        [*shape, ..., A], float32.
    """
    keys = [key] if len(choices) == 1 else jax.random.split(key, len(choices))
    drawn = [jax.nn.one_hot(jax.random.categorical(each, jnp.log(part), shape=(*shape, *part.shape[:-1])), size)
             for each, part, size in zip(keys, jnp.split(probabilities, np.cumsum(choices)[:-1], -1), choices)]
    return jnp.concatenate(drawn, -1, dtype=jnp.float32)


def uniform_choices(choices: Sequence[int]) -> np.ndarray:
    """Uniform probabilities for each choice, float32 [A]."""
    return np.concatenate([np.full(size, 1 / size, np.float32) for size in choices])


def make_categorical(*, categories: int | Sequence[int], horizon: int = 12, iterations: int = 5, candidates: int = 200,
                     elites: int = 20, probabilities: Any = None, smoothing: float = 0.05, warm_start: bool = False,
                     ) -> Planner:
    """The cross-entropy method over categorical distributions, for discrete actions (Rubinstein, 1999).

    Actions are one-hot vectors, so scores, records and plans have the shapes of the other planners, with A categories.
    The plan's `mean` holds the probabilities, its `actions` the best candidate of the last iteration; a simulator takes
    `plan.actions[0].argmax()`. For several choices the one-hot vectors are concatenated, and each choice is sampled
    independently.

    Args:
        categories: A, the number of categories; or the number for each of several choices, A in all.
        horizon: H.
        iterations: I.
        candidates: J.
        elites: K.
        probabilities: of the first proposal, [A] or [H, A]. Default: uniform.
        smoothing: weight of the uniform distribution in each fit, so that no probability becomes zero.
        warm_start: start at the last plan's probabilities, moved by one step.

    Example:
        >>> planner = make_categorical(categories=3, horizon=2)
        >>> score = lambda key, actions: actions[:, 0, 2] + actions[:, 1, 0]
        >>> plan, state = planner.step(jax.random.key(0), score, planner.init())
        >>> plan.actions.argmax(-1).tolist()
        [2, 0]

    Raises:
        ValueError: a size is below one, there are more elites than candidates, the smoothing is not from 0 to 1, or the
            probabilities have the wrong shape.
    """
    choices = (categories,) if isinstance(categories, int) else tuple(categories)
    if not choices or min(choices) < 1:
        raise ValueError(f'The categories are {categories}, but each choice needs at least 1.')
    alike = uniform_choices(choices)
    box = Box(sum(choices), horizon, 0.0, 1.0, alike if probabilities is None else probabilities, 0.0)
    check_elites(candidates, elites)
    if not 0 <= smoothing <= 1:
        raise ValueError(f'smoothing is {smoothing}, but must be from 0 to 1.')

    def propose(key, state, candidates, last):
        del last
        return draw_choices(key, state.mean, choices, (candidates,))

    def update(state, actions, returns):
        best = best_of(returns, elites)
        mean = (1 - smoothing) * actions[best].mean(0) + smoothing * alike
        return PlanState(mean, jnp.sqrt(mean * (1 - mean))), actions[best[0]], returns[best]

    return build(box, (candidates,) * iterations, propose, update, warm_start=warm_start, execute='best')
