"""Planning from a Python loop: the same plans with scores of the host, and plans with a deadline."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import planning
from tests.planning.table import PLANNERS, methods_first

KEY = jax.random.PRNGKey(0)
SIZES = dict(action_size=2, horizon=3, candidates=24, elites=6)


def whole(actions):
    """Whole numbers, so that rounding changes no rank."""
    return -abs(actions * 50 - 20).round().sum((1, 2))


@methods_first([name for name in PLANNERS if 'gradient' not in name])
def test_a_search_on_the_host_is_the_search(name):
    planner = PLANNERS[name](**SIZES, iterations=2)

    @jax.jit
    def twice():
        first, left = planner.step(KEY, lambda key, actions: whole(actions), planner.init(), record=True)
        return first, planner.step(jax.random.split(KEY)[0], lambda key, actions: whole(actions), left)[0]

    expected = twice()
    first, left = planning.search_on_host(planner, KEY, whole, record=True)
    second, _ = planning.search_on_host(planner, jax.random.split(KEY)[0], whole, left)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), (first, second), expected)


def test_the_host_s_scores_may_be_of_any_type_and_are_counted():
    planner = planning.make_cem(**SIZES, iterations=1)
    plan, left = planning.search_on_host(planner, KEY, lambda actions: (actions[:, 0, 0] > 0).tolist())
    assert left is None and plan.returns[0, 0] == 1 and isinstance(plan.actions, np.ndarray)
    for score in (lambda actions: 0.0, lambda actions: np.zeros((24, 1))):
        with pytest.raises(ValueError, match='one number for each of the 24 candidates'):
            planning.search_on_host(planner, KEY, score)
    with pytest.raises(ValueError, match='leave out with_gradient'):
        planning.search_on_host(planning.with_gradient(planner), KEY, whole)


class Clock:
    """Says when it is; each question takes so long, by turns."""

    def __init__(self, *durations):
        self.now, self.durations = 0.0, durations
        self.asked = 0

    def __call__(self):
        self.now += self.durations[self.asked % len(self.durations)]
        self.asked += 1
        return self.now


def test_a_plan_with_a_deadline_makes_the_iterations_that_fit():
    planner = planning.make_icem(**SIZES, iterations=3, decay=1.2)
    traced = []

    def make_score(target):
        traced.append(target)
        return lambda key, actions: -jnp.abs(actions - target).sum((1, 2))

    in_time = planning.Anytime(planner, make_score, 1.0, clock=Clock(0.1))
    plan, left = in_time(KEY, None, jnp.full(2, 0.25))
    assert in_time.iterations == 10 == len(plan.returns) and plan.returns.shape == (10, 6)
    assert (in_time.plans, in_time.missed) == (1, 1)  # telling the time takes time too: 1.1 s
    np.testing.assert_allclose(plan.actions, np.full((3, 2), 0.25), atol=0.1)
    compilations = len(traced)
    second, _ = in_time(jax.random.split(KEY)[0], left, jnp.full(2, -0.5))
    assert np.mean(second.actions) < -0.2  # the plan before was at 0.25
    assert len(traced) == compilations == len(set(planner.parts.sizes))


@pytest.mark.parametrize('durations, iterations, missed', [((0.3,), 3, 1), ((0.0, 5.0), 1, 1), ((1e-9, 0.2), 7, 0)])
def test_missed_deadlines_are_counted(durations, iterations, missed):
    score = lambda: lambda key, actions: actions.sum((1, 2))  # noqa: E731
    in_time = planning.Anytime(planning.make_cem(**SIZES), score, 0.95, clock=Clock(*durations))
    in_time(KEY, None)
    assert (in_time.iterations, in_time.missed, in_time.plans) == (iterations, missed, 1)


def test_a_deadline_is_kept_by_the_real_clock():
    in_time = planning.anytime(planning.make_mppi(**SIZES), lambda: lambda key, actions: actions.sum((1, 2)), 0.2)
    state = None
    for _ in range(3):
        plan, state = in_time(KEY, state)
    assert in_time.plans == 3 and in_time.iterations == len(plan.returns) > 1
    with pytest.raises(ValueError, match='seconds is 0'):
        planning.anytime(planning.make_mppi(**SIZES), lambda: None, 0)
    with pytest.raises(ValueError, match='leave out with_gradient'):
        planning.anytime(planning.with_gradient(planning.make_cem(**SIZES)), lambda: None, 1)
