"""Episodes that terminate: what is stored of it, the head that predicts it, and the planner that counts on it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import config, learner, objective, planning, replay, world_model
from planet_jax.config import Learner, Model, Objective, Spec
from planet_jax.networks import make_world_model
from planet_jax.types import LearnerState, Trajectory

KEY = jax.random.PRNGKey(0)
SPEC = Spec((1,), 'float32', 1, 12, ends=True)
SIZES = Model(stochastic=4, deterministic=8, hidden=8, vector_units=8, reward_layers=1, reward_units=8)
SETTINGS = Objective(reward_scale=1, free_nats=1)
OPTIMIZER = learner.make_optimizer(Learner(learning_rate=3e-3))


def walk(seed, length=None):
    """A place that an action moves; beyond 1 it is over. Rows after the length are zero."""
    rng = np.random.default_rng(seed)
    action = np.concatenate([[0], rng.choice([-0.5, 0.5], SPEC.steps)]).astype('float32')
    place = action.cumsum(dtype='float32')
    over = np.flatnonzero(place > 1)
    length = length or (over[0] + 1 if len(over) else len(place))
    rows = np.arange(len(place)) < length
    return Trajectory(np.where(rows, place, 0)[:, None], np.where(rows, action, 0)[:, None], rows.astype('float32'),
                      np.int32(length), np.bool_(place[length - 1] > 1))


def stacked(episodes):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *episodes)


@pytest.fixture(scope='module')
def model():
    return make_world_model(SIZES, SPEC)


@pytest.fixture(scope='module')
def update(model):
    return jax.jit(learner.make_update(model, OPTIMIZER, SETTINGS))


@pytest.fixture(scope='module')
def begun(model):
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.25, leaf.shape).astype('float32'),
                          jax.eval_shape(model.init, KEY))
    params['goes_on']['seen'] = np.float32(0)
    return LearnerState(params, OPTIMIZER.init(params), jnp.zeros((), jnp.int32))


def test_only_tasks_that_can_terminate_have_the_head(model):
    others = [make_world_model(settings, spec) for settings, spec in (
        (SIZES, SPEC._replace(ends=False)), (dataclasses.replace(SIZES, end_head=False), SPEC))]
    for other in others:
        assert other.goes_on is None and world_model.alive(other) is None
        assert 'goes_on' not in jax.eval_shape(other.init, KEY)
    # The other parameters begin as without it; this generator compiles in half the time.
    both = jax.jit(lambda key: (model.init(key), others[0].init(key)))(jax.random.key(0, impl='unsafe_rbg'))
    assert not both[0].pop('goes_on')['seen']
    jax.tree.map(np.testing.assert_array_equal, *both)


def test_a_setting_of_an_earlier_version_is_without_the_head():
    assert not config.from_dict({'model': {}}).model.end_head and Model().end_head


# What is learned.


def test_the_likelihood_of_the_end_is_the_closed_form(model, begun):
    params = begun.params | {'goes_on': begun.params['goes_on'] | {'seen': jnp.ones(())}}
    chunk = next(episode for episode in map(walk, range(99)) if episode.terminated and 5 < episode.length < 12)
    length = int(chunk.length)

    @jax.jit
    def found(chunk, scale):
        # The same features, since they do not depend on how the chunk ends.
        return objective.loss(model, params, KEY, chunk, dataclasses.replace(SETTINGS, end_scale=1.0).resolve())[1]

    ended, cut = (found(chunk.replace(terminated=np.bool_(terminated)), 1.0) for terminated in (True, False))
    target = jax.vmap(model.encode, (None, 0))(params, chunk.observation)
    _, posteriors = world_model.observe(model, params, jax.random.split(KEY)[1], target, chunk.action, model.initial())
    alive = np.asarray(jax.vmap(world_model.alive(model), (None, 0))(params, posteriors))[:length]
    rows = len(chunk.reward)
    np.testing.assert_allclose(cut['end_loss'], -np.log(alive).sum() / rows, rtol=1e-4)
    np.testing.assert_allclose(ended['end_loss'], -(np.log(alive[:-1]).sum() + np.log(1 - alive[-1])) / rows, rtol=1e-4)
    np.testing.assert_allclose(ended['loss'] - cut['loss'], ended['end_loss'] - cut['end_loss'], rtol=1e-3)


def test_nothing_changes_before_the_first_termination(model, update, begun):
    batch = stacked([walk(seed, length=3) for seed in range(4)])
    assert not batch.terminated.any()
    after, metrics = update(begun, KEY, batch)
    jax.tree.map(np.testing.assert_array_equal, after.params['goes_on'], begun.params['goes_on'])
    assert metrics['end_loss'] == 0
    assert world_model.alive(model)(after.params, model.initial()) == 1  # exactly: a plan is what it was

    after, metrics = update(after, KEY, batch.replace(terminated=np.array([False, True, False, False])))
    assert metrics['end_loss'] > 0 and after.params['goes_on']['seen'] == 1
    assert 0 < world_model.alive(model)(after.params, model.initial()) < 1


def test_ends_are_learned(model, begun, update):
    episodes = stacked([walk(seed) for seed in range(32)])
    assert 5 < episodes.terminated.sum() < 28

    @jax.jit
    def learn(state):
        return jax.lax.scan(lambda state, key: update(state, key, episodes), state, jax.random.split(KEY, 400))[0]

    params = learn(begun).params
    for end in (True, False):
        episode = next(found for found in map(walk, range(100, 200)) if found.terminated == end)
        filtered = jax.jit(lambda episode: world_model.observe(
            model, params, KEY, jax.vmap(model.encode, (None, 0))(params, episode.observation), episode.action,
            model.initial())[1])(episode)
        alive = np.asarray(jax.vmap(world_model.alive(model), (None, 0))(params, filtered))[:int(episode.length)]
        assert (alive[:-1] > 0.5).all() and (alive[-1] < 0.5) == end


# What is stored.


@pytest.mark.parametrize('on_host', [False, True])
def test_a_chunk_is_terminated_if_it_has_the_last_row(on_host):
    store = replay.init(SPEC, 3, 4)
    if on_host:
        store = jax.tree.map(np.array, store)
    for length, terminated in ((8, True), (8, False), (3, True)):
        store = replay.add(store, walk(0, length).replace(terminated=np.bool_(terminated)))
    draws = replay.draw([store], KEY, 200, 4)
    chunks = replay.cut([store], jax.tree.map(np.asarray, draws) if on_host else draws)
    at_the_end = draws.start + draws.length == np.array([8, 8, 3])[draws.slot]
    expected = np.array([True, False, True])[draws.slot] & at_the_end
    np.testing.assert_array_equal(chunks.terminated, expected)
    assert expected.any() and not expected.all()
    assert replay.init(SPEC._replace(ends=False), 3, 4).data.terminated is None


# What the planner makes of it.


def test_rewards_count_by_the_probability_to_be_alive():
    def move(params, key, place, action):
        return place + action[0], 1 + place

    def alive(params, place):
        return jnp.where(place > params, 0.25, 1.0)

    actions = jnp.array([[[0.0], [0.0], [0.0]], [[2.0], [0.0], [0.0]]])
    options = dict(alive=alive, terminal_value=lambda params, place: place)
    returns = jax.jit(planning.rollouts(1.0, 0.0, move, **options))(KEY, actions)
    # The reward of the step that ends it counts whole.
    np.testing.assert_allclose(returns, [3 + 0, 1 + 0.25 * 3 + 0.25**2 * 3 + 0.25**3 * 2])
    _, rewards = planning.visited(1.0, 0.0, move, alive=alive)(KEY, actions)
    np.testing.assert_allclose(rewards.sum(1), returns - jnp.array([0, 0.25**3 * 2]), rtol=1e-6)
    with pytest.raises(ValueError, match='The probability must be one number'):
        planning.rollouts(1.0, 0.0, move, alive=lambda params, place: jnp.ones(2))(KEY, actions)


def test_a_planner_fears_the_end():
    def move(params, key, place, action):
        return place + 0.3 * action[0], 1.0 + 0.1 * action[0]

    planner = planning.make_cem(action_size=1, horizon=8, candidates=200, elites=20)
    for alive, sign in ((None, 1), (lambda params, place: jnp.where(place > 0.5, 0.0, 1.0), -1)):
        plan, _ = planner.step(KEY, planning.rollouts(None, 0.4, move, alive=alive), None)
        assert np.sign(plan.actions[0, 0]) == sign or plan.actions[:, 0].cumsum().max() < 0.5
