"""The search that is looked at is the planner's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import planning
from planet_jax.config import Planner
from planet_jax.pictures import plan as imagine


def dynamics(params, key, state, action):
    """Rewards are whole numbers, so that no sum of them is rounded, and depend on every random number."""
    state = state + params * jnp.sign(action).sum() + jax.random.randint(key, (), 0, 50)
    return state, -jnp.abs(state) + jnp.round(100 * action[0])


@pytest.mark.parametrize('spread, sample_root', [
    ('std', None), ('mean_absolute', lambda key, root: root + jax.random.randint(key, (), 0, 20)),
], ids=['released', 'paper'])
def test_it_is_cem(spread, sample_root):
    options = {'horizon': 3, 'iterations': 4, 'candidates': 24, 'elites': 5, 'spread': spread}
    key, root = jax.random.PRNGKey(1), jnp.asarray(7.0)
    plan = jax.jit(lambda key: planning.cem(2.0, key, root, dynamics, action_size=2, sample_root=sample_root,
                                           **options))(key)
    found = imagine.search(2.0, key, root, dynamics, action_size=2, settings=Planner(**options),
                           sample_root=sample_root)
    assert len(found) == 4
    for iteration, expected in zip(found, plan.returns):
        np.testing.assert_array_equal(iteration.returns[iteration.order[:5]], expected)
        assert iteration.actions.shape == (24, 3, 2) and iteration.states.shape == iteration.rewards.shape == (24, 3)
        np.testing.assert_array_equal(iteration.rewards.sum(1), iteration.returns)
    np.testing.assert_allclose(found[-1].mean, plan.mean, rtol=1e-6)
    np.testing.assert_allclose(found[-1].std, plan.std, rtol=1e-5)


def test_what_is_not_a_number_ranks_last():
    returns = np.array([1.0, np.nan, -np.inf, 3.0])
    order = imagine.Iteration(None, None, None, returns, None, None).order
    assert order.tolist() == [3, 0, 2, 1]
