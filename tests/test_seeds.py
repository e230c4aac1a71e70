"""Seeds over devices: each is the single run, bit for bit or to rounding, and nothing large is copied."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import algorithm, keys, planning
from planet_jax.config import Config, Env, Learner, Model, Objective, Planner, Spec
from planet_jax.seeds import over_seeds, rounds
from planet_jax.types import Trajectory

pytestmark = pytest.mark.usefixtures('optimized_module')

CONFIG = Config(
    env=Env(observation='state'),
    model=Model(stochastic=3, deterministic=5, hidden=6, vector_layers=1, vector_units=6, reward_layers=1,
                reward_units=6),
    objective=Objective(free_nats=0.0),
    planner=Planner(horizon=2, iterations=2, candidates=8, elites=2),
    learner=Learner(batch=2, chunk_length=4))
SPEC = Spec((3,), 'float32', 2, 6)
TASK_STEPS = (6, 4)
EPISODES = len(TASK_STEPS)
ROOTS = jnp.stack([keys.root(seed) for seed in (3, 4)])


@pytest.fixture(scope='module')
def steps():
    return algorithm.make_steps(CONFIG, SPEC, slots=4, updates_per_call=2, task_steps=TASK_STEPS)


@pytest.fixture(scope='module')
def one(steps):
    return over_seeds(steps, jax.devices()[:1])


@pytest.fixture(scope='module')
def two(steps):
    return over_seeds(steps, jax.devices()[:2])


@pytest.fixture(scope='module')
def vmapped(steps):
    return over_seeds(steps, jax.devices()[:1], seeds=2)


def episodes_of(seed):
    """One of each task, [E, T + 1, ...], different for every seed; rows behind a task's own T are zero."""
    rng = np.random.default_rng(seed)
    length = np.array(TASK_STEPS, np.int32) + 1
    valid = np.arange(7) < length[:, None]
    return Trajectory(rng.normal(size=(EPISODES, 7, 3)).astype(np.float32) * valid[..., None],
                      rng.uniform(-1, 1, (EPISODES, 7, 2)).astype(np.float32) * valid[..., None],
                      rng.random((EPISODES, 7)).astype(np.float32) * valid, length)


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
    state = add(state, episodes)
    metrics = []
    for _ in range(2):
        state, told = learn(state)
        metrics.append(told)
    params, beliefs = state.learner.params, []
    belief = jax.tree.map(lambda leaf: np.repeat(np.array(leaf)[None], EPISODES, 0), steps.begin(params))
    for number, act in enumerate((steps.random, steps.act)):
        many = jax.jit(jax.vmap(act, (None, 0, 0, 0)), compiler_options=planning.compiler_options('cpu'))
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
    assert state.learner.updates.tolist() == [4]
    assert [replay.count.tolist() for replay in state.replay] == [[1], [1]]
    for replay, number in zip(state.replay, (1, 0), strict=True):  # By T, the shortest first.
        rows = TASK_STEPS[number] + 1
        assert replay.data.observation.shape == (1, 4, rows, 3)
        assert np.array_equal(replay.data.observation[0, 0], episodes_of(0).observation[number, :rows])
        assert replay.data.length.tolist() == [[rows, 0, 0, 0]]
    assert all(not np.array_equal(*pair) for pair in zip(
        jax.tree.leaves(state.learner.params['cell']), jax.tree.leaves(before.learner.params['cell']), strict=True))
    assert metrics[0]['loss'].shape == (1, 2) and np.isfinite(metrics[1]['loss']).all()
    assert len({belief.action.tobytes() for belief in beliefs}) == len(beliefs)
    assert not np.array_equal(singles[0][0].learner.params['reward']['Dense_0']['kernel'],
                              singles[1][0].learner.params['reward']['Dense_0']['kernel'])


def test_two_seeds_on_two_devices_are_two_single_runs(two, singles):
    both = use(two, ROOTS, stacked([episodes_of(0), episodes_of(1)]))
    assert_same(both, jax.tree.map(lambda *leaves: np.concatenate(leaves), *singles))


@pytest.mark.slow  # The tests before and after it hold it: each is the single run, which is the unbatched program.
def test_seeds_on_devices_are_pmap_of_the_single_step_bit_for_bit(two, steps):
    roots, episodes = ROOTS, stacked([episodes_of(0), episodes_of(1)])
    devices = jax.devices()[:2]
    state = jax.pmap(steps.add, devices=devices)(jax.pmap(steps.init, devices=devices)(roots), episodes)
    told = jax.pmap(steps.learn, devices=devices)(state)
    assert_same(jax.tree.map(np.array, two.learn(two.add(two.init(roots), episodes))), jax.tree.map(np.array, told))


def test_two_seeds_on_one_device_are_two_single_runs_to_rounding(vmapped, one):
    both, episodes = vmapped.init(ROOTS), [episodes_of(0), episodes_of(1)]
    both, told = vmapped.learn(vmapped.add(both, stacked(episodes)))
    for seed in range(2):
        single = one.add(one.init(ROOTS[seed:seed + 1]), stacked(episodes[seed:seed + 1]))
        single, expected = one.learn(single)
        jax.tree.map(lambda a, b, seed=seed: np.testing.assert_allclose(a[seed], b[0], rtol=1e-4, atol=1e-6),
                     (both, told), (single, expected))


def test_each_seed_is_on_a_device_of_its_own(two):
    for leaf in jax.tree.leaves(two.init(ROOTS)):
        assert [shard.device for shard in leaf.addressable_shards] == jax.devices()[:2]
        assert all(shard.data.shape[0] == 1 for shard in leaf.addressable_shards)


def pointers(array):
    return [shard.data.unsafe_buffer_pointer() for shard in array.addressable_shards]


@pytest.mark.parametrize('name, devices, count', [('one', 1, 1), ('two', 2, 2), ('vmapped', 1, 2)])
def test_the_replay_is_never_copied(name, devices, count, request):
    steps = request.getfixturevalue(name)
    state = steps.init(ROOTS[:count])
    before = [pointers(leaf) for replay in state.replay for leaf in jax.tree.leaves(replay.data)]
    assert all(len(set(found)) == devices for found in before)
    for _ in range(2):
        given, state = state, steps.add(state, stacked([episodes_of(number) for number in range(count)]))
        assert given.replay[0].data.observation.is_deleted()
        given, (state, _) = state, steps.learn(state)
        assert given.replay[0].data.observation.is_deleted()
        assert [pointers(leaf) for replay in state.replay for leaf in jax.tree.leaves(replay.data)] == before


@pytest.mark.parametrize('name, count', [('one', 1), pytest.param('vmapped', 2, marks=pytest.mark.slow)])
def test_a_replay_on_the_host_gives_the_same_numbers_and_is_never_copied(name, count, steps, request):
    on_device, on_host = request.getfixturevalue(name), over_seeds(steps, jax.devices()[:1], count, 'host')
    for first in (0, 5):  # Once more from the beginning: batches that were cut ahead are of another state.
        states = [made.init(ROOTS[:count]) for made in (on_device, on_host)]
        stored = [leaf.ctypes.data for replay in states[1].replay for leaf in jax.tree.leaves(replay.data)]
        # Five episodes for four slots, and calls of `learn` after episodes and after others.
        for episodes, calls in [(1, 1), (3, 2), (1, 3)]:
            for number in range(first, first + episodes):
                new = stacked([episodes_of(10 * number + seed) for seed in range(count)])
                states = [made.add(state, new) for made, state in zip((on_device, on_host), states)]
            for _ in range(calls):
                pairs = [made.learn(state) for made, state in zip((on_device, on_host), states)]
                assert_same(*jax.tree.map(np.array, pairs))
                states = [state for state, _ in pairs]
        assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(states[1].replay))
        assert [leaf.ctypes.data for replay in states[1].replay for leaf in jax.tree.leaves(replay.data)] == stored


def test_shares_of_a_replay_on_the_host_are_those_of_one_on_the_device(one, steps, quick):
    both, new = (one, over_seeds(steps, jax.devices()[:1], placement='host')), stacked([episodes_of(0)])
    shares = [jax.tree.map(np.array, made.shares(made.add(made.init(ROOTS[:1]), new))) for made in both]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3), *shares)
    np.testing.assert_allclose(sum(shares[0].values()), [1], rtol=1e-5)


def test_there_must_be_a_device(steps):
    with pytest.raises(ValueError, match='no device'):
        over_seeds(steps, [])


@pytest.mark.parametrize('seeds', [0, 1, 3])
def test_seeds_that_cannot_be_spread_evenly_are_refused(steps, seeds):
    with pytest.raises(ValueError, match=f'{seeds} seeds .* must be a multiple of 2'):
        over_seeds(steps, jax.devices()[:2], seeds)


@pytest.mark.parametrize('seeds, devices, each, expected', [
    (1, 1, 1, [1]), (5, 1, 1, [1] * 5), (5, 2, 1, [2, 2, 1]), (5, 1, 2, [2, 2, 1]), (5, 1, 9, [5]), (5, 2, 9, [4, 1]),
    (7, 2, 2, [4, 2, 1]), (3, 4, 1, [3]), (9, 4, 2, [8, 1])])
def test_a_remainder_of_the_seeds_comes_last(seeds, devices, each, expected):
    groups = list(rounds(range(10, 10 + seeds), devices, each))
    assert [len(group) for group in groups] == expected
    assert sum(groups, []) == list(range(10, 10 + seeds))


# Within a program of somebody else's.


def in_jit(step, key, belief):
    return jax.jit(step)(key, belief)


def in_scan(step, key, belief):
    return jax.tree.map(lambda rows: rows[0], jax.lax.scan(
        lambda carry, key: (carry, step(key, carry)), belief, key[None])[1])


def in_vmap(step, key, belief):
    return jax.tree.map(lambda rows: rows[1], jax.jit(jax.vmap(step, (0, None)))(jnp.stack([key, key]), belief))


def with_constants(step, key, belief):
    return jax.jit(lambda: step(key, belief))()


def exported(step, key, belief):
    leaves, tree = jax.tree.flatten((key, belief))  # Bare arrays, so that no record has to be registered.
    program = jax.export.export(jax.jit(lambda *leaves: jax.tree.leaves(step(*jax.tree.unflatten(tree, leaves)))))
    return jax.tree.unflatten(jax.tree.structure(belief), program(*leaves).call(*leaves))


@pytest.mark.parametrize('way', [in_jit, in_scan, in_vmap, with_constants, exported])
def test_a_step_is_a_part_of_any_program(one, way, quick):
    # On every CPU there are options of the compiler, which XLA takes for a whole program only.
    assert planning.compiler_options('cpu')
    params = one.init(ROOTS[:1]).learner.params
    belief = jax.tree.map(lambda leaf: jnp.repeat(leaf[:, None], EPISODES, 1), one.begin(params))
    observation, key = np.ones((1, EPISODES, 3), 'float32'), keys_of_steps(ROOTS[0])[None, 0]

    def step(key, belief):
        return one.evaluate(params, key, belief, observation)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
                 way(step, key, belief), step(key, belief))
