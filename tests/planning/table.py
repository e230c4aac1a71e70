"""All planners, for tests that each must pass: name -> maker(action_size, horizon, **bounds and sizes)."""

import functools
import inspect

import pytest

from planet_jax import planning


def _icem_with_knots(horizon, knots=7, **options):
    return planning.with_knots(planning.make_icem(horizon=min(knots, horizon), **options), horizon)


def _cem_with_gradient(**options):
    return planning.with_gradient(planning.make_cem(**options), steps=5, candidates=4)


def _with_what_it_takes(make, **options):
    takes = inspect.signature(make).parameters
    return lambda **given: make(**{name: value for name, value in (options | given).items() if name in takes})


OPTIONS = {'mppi': {'temperature': 20.0}}
"""Settings of a method by its name, where those of the tests are others than its defaults."""
PLANNERS = {
    **{name: _with_what_it_takes(make, **OPTIONS.get(name, {})) for name, make in planning.METHODS.items()},
    "cem, the paper's spread, warm": functools.partial(
        planning.make_cem, std_estimator='mean_absolute', warm_start=True),
    'icem, decay, mean': functools.partial(planning.make_icem, decay=1.25, execute='mean', colour=0.5),
    'icem with knots': _icem_with_knots,
    'cem with gradient': _cem_with_gradient,
}


def methods_first(names=PLANNERS):
    """For tests that take long: the methods themselves, and in `make test-all` also what is built from them."""
    return pytest.mark.parametrize('name', [
        name if name in planning.METHODS else pytest.param(name, marks=pytest.mark.slow) for name in names])
