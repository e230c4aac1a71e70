"""Planners accept any types of the user's functions."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import planning

KEY = jax.random.PRNGKey(0)
SMALL = dict(action_size=1, horizon=4, candidates=32, elites=4, iterations=2)


def line(params, key, state, action):
    return state + action[0], -state**2


def plan(root, dynamics, **options):
    return jax.jit(lambda: planning.cem(None, KEY, root, dynamics, **(SMALL | options)))()


@pytest.mark.parametrize('root, dynamics', [
    (0.0, lambda params, key, state, action: (state + action[0], -((state + action) ** 2))),
    (0.0, lambda params, key, state, action: (state + action, -((state + action) ** 2))),
    (0, line),
    ({'count': 0, 'none': None, 'x': jnp.zeros(())}, lambda params, key, state, action: (
        {'count': state['count'] + 1, 'none': None, 'x': state['x'] + action[0]}, state['count'])),
], ids=['reward of shape [1]', 'state becomes [1]', 'an integer becomes a float', 'integer and None leaves'])
def test_states_and_rewards_may_be_of_any_type(root, dynamics):
    found = plan(root, dynamics)
    assert found.returns.shape == (2, 4) and np.isfinite(found.mean).all()


@pytest.mark.parametrize('root, dynamics, message', [
    (jnp.zeros(2), lambda params, key, state, action: (jnp.zeros(3), 0.0 * action[0]), r'is \(2,\) and becomes \(3,\)'),
    (0.0, lambda params, key, state, action: ((state, state), 0.0 * action[0]), 'must keep its structure'),
    (0.0, lambda params, key, state, action: (state, jnp.zeros(2)), r'reward .* its shape is \(2,\)'),
])
def test_dynamics_that_no_scan_could_carry_are_refused_with_a_sentence(root, dynamics, message):
    with pytest.raises(ValueError, match=message):
        plan(root, dynamics)


@pytest.mark.parametrize('dtype', [jnp.int32, jnp.bool_])
def test_scores_may_count_or_say_yes_and_no(dtype):
    found = jax.jit(lambda: planning.search(KEY, lambda key, actions: (actions[:, 0, 0] > 0).astype(dtype), **SMALL))()
    assert found.returns.dtype == jnp.float32 and found.returns[-1, -1] == 1 and found.mean[0, 0] > 0


def test_returns_of_numpy_are_ranked_as_jax_s():
    actions = np.arange(4, dtype='float64').reshape(4, 1, 1)
    mean, _, best = planning.refit(actions, np.arange(4), elites=2)
    assert mean == 2.5 and best.tolist() == [3, 2]
    returns = np.array([np.nan, -np.inf, 1.0, 0.0], 'float64')
    np.testing.assert_array_equal(planning.refit(actions, returns, elites=4)[2], [1, 0, -np.inf, np.nan])


def test_bounds_may_be_float64_also_with_x64():
    with jax.enable_x64(True):
        for low, high in ((np.array([-2.0]), np.array([2.0])), (np.float64(-2), np.float64(2)), ([-2.0], [2.0])):
            assert plan(jnp.zeros(()), line, low=low, high=high).mean.dtype == jnp.float32


def test_plans_are_made_within_shard_map():
    program = """
import jax, jax.numpy as jnp, numpy as np
from planet_jax import planning
mesh, P = jax.sharding.Mesh(np.array(jax.devices()), ('d',)), jax.sharding.PartitionSpec
planner = planning.make_icem(action_size=1, horizon=3, iterations=2, candidates=8, elites=2, keep=1)
def plan(key, state):
    line = lambda params, key, state, action: (state + action[0], -jnp.abs(state + jnp.sign(action[0]) - 2))
    return planner.step(key, planning.rollouts(None, state, line), planner.init())[0].returns
keys, states = jax.random.split(jax.random.PRNGKey(0), 2), jnp.zeros(2)
split = jax.jit(jax.shard_map(jax.vmap(plan), mesh=mesh, in_specs=P('d'), out_specs=P('d')))(keys, states)
np.testing.assert_allclose(split, jax.jit(jax.vmap(plan))(keys, states), rtol=1e-5)
"""
    ran = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, env={
        **os.environ, 'XLA_FLAGS': '--xla_force_host_platform_device_count=2', 'PYTHONPATH': ':'.join(sys.path)})
    assert ran.returncode == 0, ran.stderr
