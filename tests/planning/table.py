"""All planners, for tests that each of them must pass: name -> maker(action_size, horizon, **bounds and sizes)."""

import functools

from planet_jax import planning


def _icem_with_knots(horizon, knots=7, **options):
    return planning.with_knots(planning.make_icem(horizon=min(knots, horizon), **options), horizon)


def _cem_with_gradient(**options):
    return planning.with_gradient(planning.make_cem(**options), steps=5, candidates=4)


def _without_fits(make):
    return lambda iterations=None, elites=None, **options: make(**options)


PLANNERS = {
    'cem': planning.make_cem,
    "cem, the paper's spread, warm": functools.partial(
        planning.make_cem, std_estimator='mean_absolute', warm_start=True),
    'icem': planning.make_icem,
    'icem, decay, mean': functools.partial(planning.make_icem, decay=1.25, execute='mean', colour=0.5),
    'icem with knots': _icem_with_knots,
    'mppi': functools.partial(planning.make_mppi, temperature=20.0),
    'cem with gradient': _cem_with_gradient,
    'random shooting': _without_fits(planning.make_random_shooting),
}
