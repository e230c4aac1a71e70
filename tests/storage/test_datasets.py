"""Given episodes are read into this package's layout, and unusable ones are named before anything is made."""

import sys
import types

import jax
import numpy as np
import pytest

from planet_jax.config import Spec
from planet_jax.storage import datasets, episodes, minari_sets
from planet_jax.storage.layout import Layout
from planet_jax.types import Trajectory

LED = Layout(rows='led')


def arrays(rows=6, actions=None, seed=0):
    rng = np.random.default_rng(seed)
    actions = rows - 1 if actions is None else actions
    return {'observation': rng.normal(size=(rows, 3)), 'action': rng.uniform(-1, 1, (actions, 2)),
            'reward': rng.normal(size=actions)}


def folder(tmp_path, *contents):
    for number, content in enumerate(contents):
        np.savez(tmp_path / f'{number}.npz', **content)
    return str(tmp_path)


def test_one_action_fewer_is_led_from_the_reset(tmp_path):
    given = arrays()
    data = datasets.read(folder(tmp_path, given, arrays(4)), Layout())
    first = data.episodes[0]
    assert data.spec == Spec((3,), 'float32', 2, 5) and [int(each.length) for each in data.episodes] == [6, 4]
    assert not first.action[0].any() and first.reward[0] == 0
    np.testing.assert_allclose(first.action[1:], given['action'], rtol=1e-6)
    np.testing.assert_allclose(first.reward[1:], given['reward'], rtol=1e-6)
    stacked = data.stacked([1, 0], data.spec)
    assert stacked.observation.shape == (2, 6, 3) and stacked.length.tolist() == [4, 6]
    assert not stacked.observation[0, 4:].any()


def test_rows_of_equal_number_are_what_the_user_says(tmp_path):
    given = arrays(actions=6)
    source = folder(tmp_path, given)
    with pytest.raises(ValueError, match=r'0\.npz: it has the same number of actions and obs.*led.*taken'):
        datasets.read(source, Layout())
    taken, led = (datasets.read(source, Layout(rows=rows)).episodes[0] for rows in ('taken', 'led'))
    np.testing.assert_allclose(taken.action[1:], given['action'][:-1], rtol=1e-6)
    np.testing.assert_allclose(led.action, given['action'], rtol=1e-6)
    assert taken.length == led.length == 6 and not taken.action[0].any()


def test_names_and_bounds_are_options(tmp_path):
    given = arrays()
    np.savez(tmp_path / 'a.npz', obs=given['observation'], act=10 + 5 * given['action'], r=given['reward'])
    found = datasets.read(str(tmp_path), Layout(('obs',), 'act', 'r', action_low=5, action_high=15)).episodes[0]
    np.testing.assert_allclose(found.action[1:], given['action'], atol=1e-6)
    with pytest.raises(ValueError, match="no array 'observation', but obs, act, r"):
        datasets.read(str(tmp_path), Layout())


def test_this_packages_episodes_are_what_they_were(tmp_path):
    rng = np.random.default_rng(0)
    episode = Trajectory(rng.integers(0, 256, (7, 8, 8, 3), np.uint8), rng.uniform(-1, 1, (7, 1)).astype(np.float32),
                         rng.normal(size=7).astype(np.float32), np.int32(7))
    (tmp_path / 'episodes').mkdir()
    (tmp_path / 'config.json').write_text('{}')
    episodes.write(tmp_path / 'episodes/000000.npz', episode)
    found = datasets.read(str(tmp_path), Layout(action_low=0)).episodes[0]  # Theirs have bounds of their own.
    for name in ('observation', 'action', 'reward'):
        np.testing.assert_array_equal(getattr(found, name), getattr(episode, name))


@pytest.mark.parametrize('change, word', [
    ({'action': np.full((5, 2), 3.0)}, 'actions go from 3 to 3, beyond -1 to 1'),
    ({'observation': np.zeros((0, 3)), 'action': np.zeros((0, 2)), 'reward': np.zeros(0)}, 'it has no step'),
    ({'action': np.zeros((5, 2), int)}, 'actions are int64'),
    ({'reward': np.full(5, np.nan)}, 'not a finite number'),
    ({'reward': np.full(5, 1e39)}, 'not a finite number of float32'),
    ({'observation': np.full((6, 3), 1e39)}, 'not a finite number of float32'),
    ({'reward': np.array(['a'] * 5)}, 'rewards are <U1, but must be numbers'),
    ({'reward': np.zeros(4)}, '6 observations, 5 actions and 4 rewards'),
    ({'observation': np.zeros((6, 8, 9, 13), np.uint8)}, 'with 1 to 12 channels'),
    ({'observation': np.zeros((6, 8, 8, 3))}, 'float64'),
    ({'observation': np.array(['a'] * 6)}, '<U1'),
    ({'observation': np.zeros((6, 4))}, r'float32 observations \(4,\) and 2 actions, but .* has float32 observations'),
    ({'observation': np.array([{}] * 6, object)}, 'Object arrays cannot be loaded'),
])
def test_what_cannot_be_used_is_named(tmp_path, change, word):
    source = folder(tmp_path, arrays(), arrays() | change)
    with pytest.raises(ValueError, match=rf'(?s)1 of 2 episodes.*1\.npz: .*{word}'):
        datasets.read(source, Layout())


def test_several_arrays_are_parts_of_one_observation(tmp_path):
    given = arrays()
    seen = {'camera': np.arange(6 * 16 * 16 * 3, dtype=np.uint8).reshape(6, 16, 16, 3), 'joints': np.ones((6, 4)),
            'speed': np.arange(6)}
    source = folder(tmp_path, {**given, **seen})
    data = datasets.read(source, Layout(('camera', 'joints')))
    spec = Spec((), '', 2, 5, parts=(('camera', (16, 16, 3), 'uint8'), ('joints', (4,), 'float32')))
    assert data.spec == spec
    stacked = data.stacked([0], spec._replace(steps=7))
    assert jax.tree.map(np.shape, stacked.observation) == {'camera': (1, 8, 16, 16, 3), 'joints': (1, 8, 4)}
    np.testing.assert_array_equal(stacked.observation['camera'][0, :6], seen['camera'])
    datasets.check_fit(data, spec._replace(parts=spec.parts[::-1]), 'a task')
    with pytest.raises(ValueError, match=r'have camera uint8 .* and joints float32 \(4,\), 2 act.* has float32 \(5'):
        datasets.check_fit(data, Spec((5,), 'float32', 2, 5), 'a task')
    vectors = datasets.read(source, Layout(('joints', 'speed')))  # Joined, in the order of the names.
    assert vectors.spec == Spec((5,), 'float32', 2, 5)
    assert vectors.episodes[0].observation[:, 4].tolist() == [*range(6)]
    np.savez(tmp_path / '1.npz', **given, camera=seen['camera'][:5], joints=seen['joints'])
    with pytest.raises(ValueError, match=r'1\.npz: the parts of its observations have different numbers of rows: cam'):
        datasets.read(source, Layout(('camera', 'joints')))
    for names in ((), ('camera', 'camera'), ('camera', 'the joints')):
        with pytest.raises(ValueError, match='must be (one name|made of letters)'):
            Layout(names)


def test_all_damaged_files_are_named(tmp_path):
    source = folder(tmp_path, arrays(), arrays(), arrays())
    for number in (0, 2):
        path = tmp_path / f'{number}.npz'
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r'(?s)2 of 3 episodes .*0\.npz: it cannot be read.*2\.npz: it cannot be read'):
        datasets.read(source, Layout())


def test_a_folder_without_episodes_is_refused(tmp_path):
    with pytest.raises(ValueError, match='has no .npz files'):
        datasets.read(str(tmp_path), Layout())
    with pytest.raises(ValueError, match='There is no folder|neither a folder of episodes nor a Minari data set'):
        datasets.read(str(tmp_path / 'nothing/there-v0'), Layout())


@pytest.mark.parametrize('count, share, expected', [(24, 0.2, 5), (2, 0.9, 1), (10, 0.01, 1)])
def test_a_share_is_held_out(count, share, expected):
    training, held = datasets.split(count, share, 0)
    assert len(held) == expected and sorted(training + held) == list(range(count))
    assert datasets.split(count, share, 0) == (training, held)
    with pytest.raises(ValueError, match='at least 2'):
        datasets.split(1, share, 0)


@pytest.mark.parametrize('low, high', [(0, 0), (1, -1), (-1, np.inf), (-1e10, 1e10), (np.nan, 1)])
def test_bounds_that_no_action_can_be_scaled_by_are_refused(low, high):
    with pytest.raises(ValueError, match=r'must be below the latter, and both 1e\+08 at most'):
        Layout(action_low=low, action_high=high)


@pytest.mark.parametrize('low, high', [(-1e10, 1e10), (-np.inf, 1), (0, 0)])
def test_a_minari_data_set_without_bounds_is_refused(low, high, monkeypatch):
    gymnasium = pytest.importorskip('gymnasium')
    unbounded = types.SimpleNamespace(action_space=gymnasium.spaces.Box(low, high, (2,)))
    monkeypatch.setitem(sys.modules, 'minari', types.SimpleNamespace(load_dataset=lambda name: unbounded))
    with pytest.raises(ValueError, match=r'The actions of walker/none-v0 are Box.* with bounds, of 1e\+08 at most'):
        datasets.read('walker/none-v0', Layout())


def test_a_minari_data_set_is_read(tmp_path, monkeypatch):
    gymnasium, minari = pytest.importorskip('gymnasium'), pytest.importorskip('minari')
    monkeypatch.setenv('MINARI_DATASETS_PATH', str(tmp_path))
    env = minari.DataCollector(gymnasium.make('Pendulum-v1', max_episode_steps=9))
    rng, taken = np.random.default_rng(0), []
    for seed in range(3):
        env.reset(seed=seed)
        for _ in range(9):
            taken.append(rng.uniform(-2, 2, 1).astype(np.float32))
            env.step(taken[-1])
    env.create_dataset('test/pendulum-v0', eval_env='Pendulum-v1')
    for source in ('test/pendulum-v0', str(tmp_path / 'test/pendulum-v0')):
        data = datasets.read(source, Layout())
        assert len(data.episodes) == 3 and data.spec == Spec((3,), 'float32', 1, 9)
        np.testing.assert_allclose(data.episodes[0].action[1:, 0], np.ravel(taken[:9]) / 2, atol=1e-6)
        assert (data.episodes[1].reward[1:] < 0).all()


@pytest.mark.parametrize('parts', [False, True])
def test_episodes_are_written_for_minari_without_loss(tmp_path, parts):
    minari = pytest.importorskip('minari', reason="the extra minari is not installed: pip install 'planet-jax[minari]'")
    rng = np.random.default_rng(0)

    def episode(length, terminated):
        images = rng.integers(0, 256, (9, 32, 32, 3), np.uint8)
        seen = {'camera': images, 'joints': rng.normal(size=(9, 3)).astype(np.float32)} if parts else images
        action, reward = rng.uniform(-1, 1, (9, 2)).astype(np.float32), rng.normal(size=9).astype(np.float32)
        action[0], reward[0] = 0, 0
        return Trajectory(seen, action, reward, np.int32(length), np.bool_(terminated))

    written = [episode(9, False), episode(6, True)]
    folder = tmp_path / 'mine-v0'
    assert minari_sets.write(folder, written, {'algorithm_name': 'planet'}) == 2
    data = minari.MinariDataset(folder / 'data')
    assert data.total_steps == 8 + 5 and data[1].terminations.tolist() == [False] * 4 + [True]
    assert not data[0].terminations.any() and data[0].truncations.tolist() == [False] * 7 + [True]
    layout = Layout(('camera', 'joints')) if parts else Layout()
    for found, wanted in zip(datasets.read(str(folder), layout).episodes, written, strict=True):
        length = int(wanted.length)
        cut = jax.tree.map(lambda rows, length=length: rows[:length], (
            wanted.observation, wanted.reward, wanted.action))
        jax.tree.map(np.testing.assert_array_equal, (found.observation, found.reward), cut[:2])
        np.testing.assert_allclose(found.action, cut[2], atol=1e-6)
        assert found.length == length and found.terminated == wanted.terminated
    with pytest.raises(ValueError, match='exists already'):
        minari_sets.write(folder, written, {})
    with pytest.raises(ValueError, match='no episode'):
        minari_sets.write(tmp_path / 'none', [], {})
