"""Seeds over devices: each is the single run, bit for bit, and nothing large is copied."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import algorithm, keys, sweep
from planet_jax.config import Config, Env, Learner, Model, Objective, Planner, Spec
from planet_jax.types import Trajectory

CONFIG = Config(
    env=Env(observation='state'),
    model=Model(stochastic=3, deterministic=5, hidden=6, vector_layers=1, vector_units=6, reward_layers=1,
                reward_units=6),
    objective=Objective(free_nats=0.0),
    planner=Planner(horizon=2, iterations=2, candidates=8, elites=2),
    learner=Learner(batch=2, chunk_length=4))
SPEC = Spec((3,), 'float32', 2, 6)
ROOTS = jnp.stack([keys.root(seed) for seed in (3, 4)])
EPISODES = 2


@pytest.fixture(scope='module')
def steps():
    return algorithm.make_steps(CONFIG, SPEC, slots=4, updates_per_call=2)


@pytest.fixture(scope='module')
def one(steps):
    return sweep.over_seeds(steps, jax.devices()[:1])


@pytest.fixture(scope='module')
def two(steps):
    return sweep.over_seeds(steps, jax.devices()[:2])


def episodes_of(seed):
    """[E, T + 1, ...], different for every seed."""
    rng = np.random.default_rng(seed)
    return Trajectory(rng.normal(size=(EPISODES, 7, 3)).astype(np.float32),
                      rng.uniform(-1, 1, (EPISODES, 7, 2)).astype(np.float32),
                      rng.random((EPISODES, 7)).astype(np.float32), np.full(EPISODES, 7, np.int32))


def keys_of_steps(root):
    return jax.random.split(root, (4, EPISODES))


def use(steps, roots, episodes):
    """Adds episodes, learns twice, acts: all that follows from it, as NumPy arrays with leading [P]."""
    state = steps.add(steps.init(roots), episodes)
    metrics = []
    for _ in range(2):
        state, told = steps.learn(state)
        metrics.append(jax.tree.map(np.array, told))
    params = state.learner.params
    belief = jax.tree.map(lambda leaf: np.repeat(np.array(leaf)[:, None], EPISODES, 1), steps.begin(params))
    grids = np.array(jax.vmap(keys_of_steps, out_axes=1)(roots))
    beliefs = []
    for number, act in enumerate((steps.random, steps.act)):
        for step in range(2):
            belief = act(params, grids[2 * number + step], belief, episodes.observation[:, :, step])
            beliefs.append(jax.tree.map(np.array, belief))
    return jax.tree.map(np.array, (state, metrics, beliefs))


def without_axis(steps, root, episodes):
    """The same by the unbatched functions, each compiled as it is."""
    add, learn = jax.jit(steps.add), jax.jit(steps.learn)
    state = jax.jit(steps.init)(root)
    for number in range(EPISODES):
        state = add(state, jax.tree.map(lambda leaf, number=number: leaf[number], episodes))
    metrics = []
    for _ in range(2):
        state, told = learn(state)
        metrics.append(told)
    params, beliefs = state.learner.params, []
    belief = jax.tree.map(lambda leaf: np.repeat(np.array(leaf)[None], EPISODES, 0), steps.begin(params))
    for number, act in enumerate((steps.random, steps.act)):
        many = jax.jit(jax.vmap(act, (None, 0, 0, 0)))
        for step in range(2):
            belief = many(params, keys_of_steps(root)[2 * number + step], belief, episodes.observation[:, step])
            beliefs.append(belief)
    return jax.tree.map(lambda leaf: np.array(leaf)[None], (state, metrics, beliefs))


def assert_same(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    named = jax.tree_util.tree_flatten_with_path(left)[0]
    for (path, one), other in zip(named, jax.tree.leaves(right), strict=True):
        assert one.dtype == other.dtype and one.tobytes() == other.tobytes(), jax.tree_util.keystr(path)


def stacked(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


@pytest.fixture(scope='module')
def singles(one):
    return [use(one, ROOTS[number:number + 1], stacked([episodes_of(number)])) for number in range(2)]


def test_a_sweep_of_one_is_the_unbatched_program(steps, singles):
    assert_same(singles[0], without_axis(steps, ROOTS[0], episodes_of(0)))


def test_the_work_changes_what_it_should(one, singles):
    state, metrics, beliefs = singles[0]
    before = jax.tree.map(np.array, one.init(ROOTS[:1]))
    assert state.learner.updates.tolist() == [4] and state.replay.count.tolist() == [EPISODES]
    assert np.array_equal(state.replay.data.observation[0, :EPISODES], episodes_of(0).observation)
    assert all(not np.array_equal(*pair) for pair in zip(
        jax.tree.leaves(state.learner.params['cell']), jax.tree.leaves(before.learner.params['cell']), strict=True))
    assert metrics[0]['loss'].shape == (1, 2) and np.isfinite(metrics[1]['loss']).all()
    assert len({belief.action.tobytes() for belief in beliefs}) == len(beliefs)
    assert not np.array_equal(singles[0][0].learner.params['reward']['Dense_0']['kernel'],
                              singles[1][0].learner.params['reward']['Dense_0']['kernel'])


def test_two_seeds_on_two_devices_are_two_single_runs(two, singles):
    both = use(two, ROOTS, stacked([episodes_of(0), episodes_of(1)]))
    assert_same(both, jax.tree.map(lambda *leaves: np.concatenate(leaves), *singles))


def test_each_seed_is_on_a_device_of_its_own(two):
    for leaf in jax.tree.leaves(two.init(ROOTS)):
        assert [shard.device for shard in leaf.addressable_shards] == jax.devices()[:2]
        assert all(shard.data.shape[0] == 1 for shard in leaf.addressable_shards)


def pointers(array):
    return [shard.data.unsafe_buffer_pointer() for shard in array.addressable_shards]


@pytest.mark.parametrize('name', ['one', 'two'])
def test_the_replay_is_never_copied(name, request):
    steps, count = request.getfixturevalue(name), ['one', 'two'].index(name) + 1
    state = steps.init(ROOTS[:count])
    before = [pointers(leaf) for leaf in jax.tree.leaves(state.replay.data)]
    assert all(len(set(found)) == count for found in before)
    for _ in range(2):
        given, state = state, steps.add(state, stacked([episodes_of(number) for number in range(count)]))
        assert given.replay.data.observation.is_deleted()
        given, (state, _) = state, steps.learn(state)
        assert given.replay.data.observation.is_deleted()
        assert [pointers(leaf) for leaf in jax.tree.leaves(state.replay.data)] == before


def test_there_must_be_a_device(steps):
    with pytest.raises(ValueError, match='no device'):
        sweep.over_seeds(steps, [])
