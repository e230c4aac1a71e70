"""The replay: where episodes are stored, and which chunks are drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import replay
from planet_jax.config import Spec
from planet_jax.types import Trajectory

KEY = jax.random.PRNGKey(0)
STEPS = 9
SPEC = Spec((2,), 'float32', 3, STEPS)

def compiled(function, **options):
    """Jitted, with NumPy results: looking at parts of JAX arrays would compile a program for each shape."""
    jitted = jax.jit(function, **options)
    return lambda *arguments, **named: jax.tree.map(np.asarray, jitted(*arguments, **named))


def draw_and_cut(stores, *arguments):
    return replay.cut(stores, replay.draw(stores, *arguments))


add, sample_from = compiled(replay.add), compiled(draw_and_cut, static_argnums=(2, 3))


def sample(store, *arguments):
    return sample_from((store,), *arguments)


def episode(number, length=STEPS + 1, rows=STEPS + 1):
    """Every value says where it is from: 100 * number + row, plus one so that none is zero; then padding."""
    value = np.where(np.arange(rows) < length, 100 * number + np.arange(rows) + 1, 0).astype('float32')
    return Trajectory(np.stack([value] * 2, 1), np.stack([value] * 3, 1), value, np.int32(length))


def filled(numbers, slots=8, chunk_length=4, **lengths):
    """A replay with episodes of these numbers; `lengths` by 'e' and the number."""
    store = jax.tree.map(np.asarray, replay.init(SPEC, slots, chunk_length))
    for number in numbers:
        store = add(store, episode(number, lengths.get(f'e{number}', STEPS + 1)))
    return store


def numbers_and_rows(chunks):
    return (chunks.reward - 1) // 100, (chunks.reward - 1) % 100


def test_an_empty_replay_has_the_stated_shapes():
    store = replay.init(Spec((4, 4, 3), 'uint8', 2, STEPS), 5, 3)
    assert store.data.observation.shape == (5, STEPS + 1, 4, 4, 3) and store.data.observation.dtype == np.uint8
    assert store.data.action.shape == (5, STEPS + 1, 2) and store.data.action.dtype == np.float32
    assert store.data.reward.shape == (5, STEPS + 1) and store.data.reward.dtype == np.float32
    assert store.data.length.shape == (5,) and store.count == 0
    assert replay.init(SPEC, 5, 30).data.reward.shape == (5, 30)
    assert (sample(store, KEY, 4, 3).length == 0).all()


def test_an_episode_is_in_the_slot_of_its_number():
    store = filled(range(5), slots=3)
    assert store.count == 5
    for slot, number in enumerate([3, 4, 2]):
        jax.tree.map(lambda stored, new, slot=slot: np.testing.assert_array_equal(stored[slot], new), store.data,
                     episode(number))


@pytest.mark.parametrize('rows', [4, STEPS + 1])
def test_rows_of_an_older_longer_episode_vanish(rows):
    store = filled(range(2), slots=2)
    store = add(store, episode(2, length=4, rows=rows))
    assert store.data.length[0] == 4
    assert (store.data.reward[0, :4] > 200).all()
    for leaf in (store.data.observation, store.data.action, store.data.reward):
        assert not leaf[0, 4:].any()
        assert leaf[1].all()


def test_chunks_are_rows_of_one_episode_in_order():
    chunks = sample(filled(range(5)), KEY, 500, 4)
    numbers, rows = numbers_and_rows(chunks)
    assert chunks.observation.shape == (500, 4, 2) and chunks.action.shape == (500, 4, 3)
    np.testing.assert_array_equal(chunks.length, np.full(500, 4))
    np.testing.assert_array_equal(numbers, np.repeat(numbers[:, :1], 4, 1))
    np.testing.assert_array_equal(np.diff(rows, axis=1), np.ones((500, 3)))
    np.testing.assert_array_equal(chunks.observation, np.stack([chunks.reward] * 2, 2))
    np.testing.assert_array_equal(chunks.action, np.stack([chunks.reward] * 3, 2))


@pytest.mark.parametrize('length', [4, 6, STEPS + 1])
def test_every_start_from_the_first_to_the_last_is_equally_likely(length):
    chunks = sample(filled(range(2), e0=length, e1=length), KEY, 3000, 4)
    starts, counts = np.unique(numbers_and_rows(chunks)[1][:, 0], return_counts=True)
    np.testing.assert_array_equal(starts, np.arange(length + 1 - 4))
    np.testing.assert_allclose(counts / 3000, np.full(len(starts), 1 / len(starts)), atol=0.035)


def test_episodes_are_equally_likely_whatever_their_lengths():
    chunks = sample(filled(range(4), e0=4, e1=6, e2=8), KEY, 4000, 4)
    numbers, counts = np.unique(numbers_and_rows(chunks)[0][:, 0], return_counts=True)
    np.testing.assert_array_equal(numbers, np.arange(4))
    np.testing.assert_allclose(counts / 4000, np.full(4, 1 / 4), atol=0.03)


def test_overwritten_episodes_do_not_come_back():
    numbers, _ = numbers_and_rows(sample(filled(range(7), slots=4), KEY, 500, 4))
    np.testing.assert_array_equal(np.unique(numbers), [3, 4, 5, 6])


def test_short_episodes_are_padded_and_masked():
    chunks = sample(filled(range(2), e0=3), KEY, 200, 5)
    short = chunks.reward[:, 0] < 100
    assert 0 < short.sum() < 200
    np.testing.assert_array_equal(chunks.length, np.where(short, 3, 5))
    np.testing.assert_array_equal(chunks.reward[short], np.tile([1, 2, 3, 0, 0], (short.sum(), 1)))
    assert not chunks.observation[short, 3:].any() and not chunks.action[short, 3:].any()
    assert chunks.reward[~short].all()


def test_chunks_longer_than_every_episode():
    store = filled(range(2), chunk_length=STEPS + 4)
    chunks = sample(store, KEY, 20, STEPS + 4)
    np.testing.assert_array_equal(chunks.length, np.full(20, STEPS + 1))
    np.testing.assert_array_equal(numbers_and_rows(chunks)[1][:, :STEPS + 1], np.tile(np.arange(STEPS + 1), (20, 1)))
    assert not chunks.reward[:, STEPS + 1:].any()


def test_the_number_of_slots_changes_no_chunk():
    few, many = (sample(filled(range(3), slots=slots, e1=6), KEY, 50, 4) for slots in (3, 20))
    jax.tree.map(np.testing.assert_array_equal, few, many)
    other = sample(filled(range(3), slots=3, e1=6), jax.random.PRNGKey(1), 50, 4)
    assert (other.reward != few.reward).any()


def test_of_several_replays_every_episode_is_equally_likely():
    # Other lengths, other numbers of episodes, one empty: 300 + n and 600 + n are rows of other replays.
    short = add(jax.tree.map(np.asarray, replay.init(SPEC._replace(steps=4), 3, 4)), episode(3, 5, rows=5))
    empty = jax.tree.map(np.asarray, replay.init(SPEC._replace(steps=6), 2, 4))
    chunks = sample_from((filled(range(2)), short, empty, filled([6, 7, 8], slots=2)), KEY, 5000, 4)
    numbers, rows = numbers_and_rows(chunks)
    np.testing.assert_array_equal(numbers, np.repeat(numbers[:, :1], 4, 1))
    np.testing.assert_array_equal(np.diff(rows, axis=1), np.ones((5000, 3)))
    found, counts = np.unique(numbers[:, 0], return_counts=True)
    np.testing.assert_array_equal(found, [0, 1, 3, 7, 8])
    np.testing.assert_allclose(counts / 5000, np.full(5, 1 / 5), atol=0.03)
    for number, last in [(0, STEPS + 1 - 4), (3, 5 - 4), (8, STEPS + 1 - 4)]:
        np.testing.assert_array_equal(np.unique(rows[numbers[:, 0] == number, 0]), np.arange(last + 1))
    assert replay.episodes((filled(range(2)), short, empty)) == 3


@pytest.mark.slow  # Of the world model it is tested always.
def test_jit_changes_nothing():
    store = filled(range(3), e0=2)
    with jax.disable_jit():
        plain = draw_and_cut((jax.tree.map(jnp.asarray, store),), KEY, 10, 4)
        added = replay.add(jax.tree.map(jnp.asarray, store), episode(3))
    jax.tree.map(np.testing.assert_array_equal, plain, sample(store, KEY, 10, 4))
    jax.tree.map(np.testing.assert_array_equal, added, add(store, episode(3)))


def test_a_donated_replay_stays_where_it_is():
    def pointers(store):
        return [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(store.data)]

    put = jax.jit(replay.add, donate_argnums=0)
    draw = jax.jit(lambda store, key: (store, draw_and_cut((store,), key, 6, 4)), donate_argnums=0)
    store = jax.block_until_ready(replay.init(SPEC, 8, 4))
    before = pointers(store)
    for number in range(3):
        store = put(store, episode(number))
        store, chunks = draw(store, KEY)
    assert pointers(store) == before
    assert (chunks.length == 4).all() and store.count == 3


@pytest.mark.parametrize('slots, chunk_length', [(0, 4), (-1, 4), (4, 0)])
def test_empty_sizes_are_refused(slots, chunk_length):
    with pytest.raises(ValueError, match=f'not {slots} and {chunk_length}'):
        replay.init(SPEC, slots, chunk_length)


@pytest.mark.parametrize('change', [
    dict(reward=np.zeros(STEPS + 2, 'float32')), dict(action=np.zeros((STEPS + 1, 2), 'float32')),
    dict(observation=np.zeros((STEPS + 1, 2), 'uint8')), dict(observation=np.zeros((STEPS + 1, 3), 'float32')),
    dict(reward=np.zeros(STEPS + 1, 'int32'))])
def test_episodes_that_do_not_fit_are_refused(change):
    [value] = change.values()
    with pytest.raises(ValueError) as error:
        replay.add(replay.init(SPEC, 2, 4), episode(0).replace(**change))
    assert f'{value.dtype} {value.shape}' in str(error.value)


def test_chunks_longer_than_a_slot_are_refused():
    with pytest.raises(ValueError, match=f'Chunks of 11 rows .* slots have {STEPS + 1}'):
        draw_and_cut((replay.init(SPEC, 2, 4),), KEY, 3, 11)


def test_a_replay_is_vmapped_over_seeds():
    stores = jax.tree.map(lambda *leaves: np.stack(leaves), filled(range(2)), filled(range(2, 4)))
    chunks = compiled(jax.vmap(lambda store, key: draw_and_cut((store,), key, 20, 4)))(stores, jax.random.split(KEY))
    numbers, _ = numbers_and_rows(chunks)
    assert (numbers[0] < 2).all() and (numbers[1] >= 2).all()
