"""The drawn search is the planner's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import planning
from planet_jax.pictures import plan as imagine


def dynamics(params, key, state, action):
    """Rewards are whole numbers, so that no sum of them is rounded, and depend on every random number."""
    state = state + params * jnp.sign(action).sum() + jax.random.randint(key, (), 0, 50)
    return state, -jnp.abs(state) + jnp.round(100 * action[0])


SIZES = {'action_size': 2, 'horizon': 3, 'iterations': 3, 'candidates': 24, 'elites': 5}


@pytest.mark.parametrize('planner, sample_root', [
    pytest.param(planning.make_cem(**SIZES), None, marks=pytest.mark.slow),  # the paper's is one with more to draw
    (planning.make_cem(**SIZES, std_estimator='mean_absolute'),
     lambda key, root: root + jax.random.randint(key, (), 0, 20)),
    (planning.make_icem(**SIZES, decay=1.5), None),
], ids=['released', 'paper', 'icem'])
def test_it_is_the_planner_s_own_search(planner, sample_root):
    key, root = jax.random.PRNGKey(1), jnp.asarray(7.0)
    plan, _ = jax.jit(lambda key: planner.step(key, planning.rollouts(2.0, root, dynamics, sample_root=sample_root),
                                               planner.init()))(key)
    seen, found = imagine.search(2.0, key, root, dynamics, planner, planner.init(), sample_root=sample_root)
    assert len(found) == 3 and plan.record == ()
    for iteration, size, expected in zip(found, planner.parts.sizes, plan.returns):
        np.testing.assert_array_equal(iteration.returns[iteration.order[:5]], expected)
        assert iteration.actions.shape == (size, 3, 2)
        assert iteration.states.shape == iteration.rewards.shape == (size, 3)
        np.testing.assert_array_equal(iteration.rewards.sum(1), iteration.returns)
    np.testing.assert_allclose(seen.actions, plan.actions, rtol=1e-6)
    np.testing.assert_allclose(found[-1].mean, plan.mean, rtol=1e-6)
    np.testing.assert_allclose(found[-1].std, plan.std, rtol=1e-5)


def test_what_is_not_a_number_ranks_last():
    returns = np.array([1.0, np.nan, -np.inf, 3.0])
    order = imagine.Iteration(None, None, None, returns, None, None).order
    assert order.tolist() == [3, 0, 2, 1]
