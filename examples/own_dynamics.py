"""The planner alone, with a score of whole action sequences: a path around walls, drawn as a map.

    python examples/own_dynamics.py

`search` takes any function (key, actions [J, H, A]) -> scores [J]. Here all steps of all candidates are computed at
once, and the end of a sequence counts more than the way; neither can be said to `cem`, which adds rewards step by step.
"""

import jax
import jax.numpy as jnp
import tyro

from planet_jax import search

START, GOAL = jnp.array([0.0, 0.0]), jnp.array([9.0, 5.0])
WALLS = jnp.array([[2.0, 1.0, 1.4], [6.0, 5.5, 1.7], [6.5, 1.5, 1.2]])  # discs: x, y, radius
STRIDE = 0.7


def path(actions):
    """Positions [..., H, 2] after strides [..., H, 2] from the start."""
    return START + STRIDE * jnp.cumsum(actions, -2)


def score(key, actions):
    """Scores [J] of strides [J, H, 2]: higher near the goal, lower inside walls."""
    del key
    positions = path(actions)
    distance = jnp.linalg.norm(positions - GOAL, axis=-1)
    inside = WALLS[:, 2] - jnp.linalg.norm(positions[..., None, :] - WALLS[:, :2], axis=-1)  # [J, H, walls]
    return -distance.sum(-1) - 30 * jnp.maximum(inside, 0).sum((-2, -1)) - 10 * distance[:, -1]


def main(horizon: int = 25, iterations: int = 30, candidates: int = 2000, elites: int = 100):
    """Find a path and draw it.

    Args:
        horizon: strides.
        iterations: of the search.
        candidates: ways of an iteration.
        elites: the best of them, to which the next iteration is fitted.
    """
    plan = jax.jit(lambda key: search(key, score, action_size=2, horizon=horizon, iterations=iterations,
                                      candidates=candidates, elites=elites))(jax.random.key(0))
    for iteration in range(0, iterations, 5):
        print(f'iteration {iteration:2}: the best scored {plan.returns[iteration, 0]:7.1f}')
    way = path(plan.mean)  # [H, 2]
    rows, columns = 15, 46
    x, y = jnp.meshgrid(jnp.linspace(-1, 11, columns), jnp.linspace(7, -1, rows))
    picture = [[' '] * columns for _ in range(rows)]

    def draw(places, mark):
        for column, row in jnp.round((places - jnp.array([-1, 7])) * jnp.array([columns - 1, 1 - rows])
                                     / jnp.array([12, 8])).astype(int).tolist():
            if 0 <= row < rows and 0 <= column < columns:
                picture[row][column] = mark

    walled = (jnp.hypot(x[..., None] - WALLS[:, 0], y[..., None] - WALLS[:, 1]) < WALLS[:, 2]).any(-1)
    draw(jnp.stack([x[walled], y[walled]], -1), '#')
    draw(way, 'o')
    draw(jnp.stack([START, GOAL]), '+')
    print('\n'.join(map(''.join, picture)))
    print(f'It ends {jnp.linalg.norm(way[-1] - GOAL):.2f} from the goal.')


if __name__ == '__main__':
    tyro.cli(main)
