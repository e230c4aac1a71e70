"""Values of states, and plans that add them after their last step."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import agent, config, objective, planning, world_model
from planet_jax.config import Model, Objective, Planner, Spec
from planet_jax.networks import make_world_model
from planet_jax.ops.returns import lambda_returns
from planet_jax.types import Trajectory

SPEC = Spec((3,), 'float32', 2, 6)
SIZES = Model(stochastic=3, deterministic=4, hidden=4, reward_layers=1, reward_units=8, vector_units=8)
LEARNED = dataclasses.replace(SIZES, value_discount=0.9)
KEY = jax.random.key(0)


def chunk(length=6):
    observation, action, reward = (np.asarray(jax.random.uniform(jax.random.key(seed), shape)) for seed, shape in (
        (1, (6, 3)), (2, (6, 2)), (3, (6,))))
    return Trajectory(observation, action, reward, jnp.int32(length))


@pytest.mark.parametrize('trace', [0.0, 0.7, 1.0])
@pytest.mark.parametrize('terminated', [False, True])
def test_targets_are_the_sums_that_define_them(trace, terminated):
    reward, value, length, discount = np.arange(1.0, 7.0), np.linspace(5, -2, 6), 4, 0.9
    targets = lambda_returns(jnp.array(reward), jnp.array(value), discount, trace, jnp.int32(length), terminated)

    def ahead(row, rows):
        """The sum of so many rewards, and the value of the row then reached."""
        last = row + rows
        bootstrap = 0 if terminated and last == length - 1 else value[last]
        return sum(discount**n * reward[row + 1 + n] for n in range(rows)) + discount**rows * bootstrap

    for row in range(length):
        most = length - 1 - row
        expected = sum((1 - trace) * trace**(rows - 1) * ahead(row, rows) for rows in range(1, most))
        expected += trace**max(most - 1, 0) * ahead(row, most)
        np.testing.assert_allclose(targets[row], expected, rtol=1e-6)


def test_values_train_their_head_alone_and_change_nothing_else():
    without, model = make_world_model(SIZES, SPEC), make_world_model(LEARNED, SPEC)
    params, plain = model.init(KEY), without.init(KEY)
    chex.assert_trees_all_equal({name: part for name, part in params.items() if name != 'value'}, plain)

    def slope(model, params):
        return jax.grad(lambda params: objective.loss(model, params, KEY, chunk(), Objective())[0])(params)

    found, expected = slope(model, params), slope(without, plain)
    assert max(abs(leaf).max() for leaf in jax.tree.leaves(found.pop('value'))) > 0
    chex.assert_trees_all_close(found, expected, rtol=1e-6)


def test_the_value_of_a_reward_until_the_end_is_learned():
    model = make_world_model(LEARNED, SPEC)
    params, rewarded = model.init(KEY), chunk().replace(reward=np.full(6, 0.5, np.float32), terminated=jnp.array(True))

    @jax.jit
    def descend(params, _):
        slope = jax.grad(lambda params: objective.loss(model, params, KEY, rewarded, Objective())[0])(params)
        value = jax.tree.map(lambda leaf, change: leaf - 0.05 * change, params['value'], slope['value'])
        return params | {'value': value}, None

    params, _ = jax.lax.scan(descend, params, length=2000)
    embeddings = jax.vmap(model.encode, (None, 0))(params, rewarded.observation)
    key = jax.random.split(KEY)[1]  # As the loss splits it: the samples that were learned from.
    _, posteriors = world_model.observe(model, params, key, embeddings, rewarded.action, model.initial())
    values = jax.vmap(world_model.terminal_value(model), (None, 0))(params, posteriors)
    np.testing.assert_allclose(values, 0.5 * (1 - 0.9**np.arange(5, -1, -1)) / (1 - 0.9), atol=0.1)


def test_a_plan_adds_the_discounted_value_of_its_last_state():
    model = make_world_model(LEARNED, SPEC)
    params, actions = model.init(KEY), jnp.full((1, 3, 2), 0.3)
    arguments, options = agent.rollout_arguments(
        model, Planner(rollout='mean', terminal_value=True), model.initial())
    found = planning.rollouts(params, *arguments, **options)(KEY, actions)[0]
    (root, dynamics), total = arguments, 0.0
    for step in range(3):
        root, reward = dynamics(params, KEY, root, actions[0, step])
        total += 0.9**step * reward
    total += 0.9**3 * model.value(params, root.features) / (1 - 0.9)
    np.testing.assert_allclose(found, total, rtol=1e-5)


def test_a_planner_without_values_to_add_is_refused():
    for name in ('planner', 'evaluation_planner'):
        kind = type(getattr(config.Config(), name))
        with pytest.raises(ValueError, match='set model.value_discount too'):
            config.Config(**{name: kind(terminal_value=True)})
