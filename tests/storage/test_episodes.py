"""Episode files: what is written is read back, and nothing else is accepted (case 7 of docs/reliability.md)."""

import io
import os
import pickle
import random
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest

from planet_jax.config import Spec
from planet_jax.storage import episodes
from planet_jax.types import Trajectory

PIXELS = Spec((8, 8, 3), 'uint8', 2, 12)
VECTORS = Spec((5,), 'float32', 3, 12)


def episode(spec, length):
    rng, rows = np.random.default_rng(0), spec.steps + 1
    fields = Trajectory(
        (255 * rng.random((rows, *spec.observation_shape))).astype(spec.observation_dtype),
        rng.uniform(-1, 1, (rows, spec.action_size)).astype(np.float32), rng.random(rows).astype(np.float32),
        np.int32(length))
    for values in (fields.observation, fields.action, fields.reward):
        values[length:] = 0
    return fields


def members(**changes):
    """The arrays of a good file of `PIXELS` with 10 rows, with some replaced; None leaves one out."""
    good = episode(PIXELS, 10)
    arrays = {name: getattr(good, name)[:10] for name in ('observation', 'action', 'reward')} | {'length': good.length}
    return {name: value for name, value in (arrays | changes).items() if value is not None}


def same(left, right):
    return all(np.array_equal(getattr(left, name), getattr(right, name))
               and getattr(left, name).dtype == getattr(right, name).dtype for name in episodes.FIELDS)


def header(shape, descr='<f4'):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {'descr': descr, 'fortran_order': False, 'shape': shape})
    return file.getvalue()


def replace_member(path, name, content):
    """Puts raw bytes in the place of a member, with a right checksum."""
    with zipfile.ZipFile(path) as archive:
        contents = {member: archive.read(member) for member in archive.namelist()} | {name: content}
    with zipfile.ZipFile(path, 'w') as archive:
        for member, data in contents.items():
            archive.writestr(member, data)


@pytest.mark.parametrize('terminated', [True, False])
def test_terminations_are_kept_where_tasks_can_terminate(terminated, tmp_path):
    ends = VECTORS._replace(ends=True)
    path, old = tmp_path / '0.npz', tmp_path / '1.npz'
    episodes.write(path, episode(VECTORS, 10).replace(terminated=np.bool_(terminated)))
    assert episodes.read(path, ends).terminated == terminated
    episodes.write(old, episode(VECTORS, 10))  # Of an earlier version.
    found = episodes.read(old, ends)
    assert found.terminated.dtype == bool and not found.terminated and episodes.read(old, VECTORS).terminated is None
    with pytest.raises(ValueError, match='each once and nothing else'):
        episodes.read(path, VECTORS)
    assert episodes.empty(ends).terminated.dtype == bool


@pytest.mark.parametrize('length', [1, 10, 13])
@pytest.mark.parametrize('spec', [PIXELS, VECTORS], ids=['pixels', 'vectors'])
def test_round_trip(spec, length, tmp_path):
    written = episode(spec, length)
    digest = episodes.write(tmp_path / 'a.npz', written)
    assert digest == episodes.digest(tmp_path / 'a.npz')
    read = episodes.read(tmp_path / 'a.npz', spec)
    assert same(read, written) and read.observation.shape[0] == spec.steps + 1
    assert [path.name for path in tmp_path.iterdir()] == ['a.npz']


def test_only_the_valid_rows_are_stored(tmp_path):
    episodes.write(tmp_path / 'a.npz', episode(PIXELS, 4))
    with np.load(tmp_path / 'a.npz', allow_pickle=False) as archive:
        assert {name: archive[name].shape for name in archive} == {
            'observation': (4, 8, 8, 3), 'action': (4, 2), 'reward': (4,), 'length': ()}


def test_the_bytes_depend_on_the_episode_only(tmp_path, monkeypatch):
    first = episodes.write(tmp_path / 'a.npz', episode(PIXELS, 10))
    monkeypatch.setattr('time.time', lambda: 2e9)
    assert episodes.write(tmp_path / 'b.npz', episode(PIXELS, 10)) == first
    assert episodes.write(tmp_path / 'c.npz', episode(PIXELS, 9)) != first


def test_a_write_that_fails_leaves_no_file_under_the_name(tmp_path, monkeypatch):
    def full(*arguments, **fields):
        raise OSError('No space left on device')

    for target in ('numpy.savez_compressed', 'os.fsync', 'os.replace'):
        with monkeypatch.context() as patched:
            patched.setattr(target, full)
            with pytest.raises(OSError, match='No space'):
                episodes.write(tmp_path / 'a.npz', episode(PIXELS, 10))
        assert not list(tmp_path.glob('*.npz'))
    episodes.write(tmp_path / 'a.npz', episode(PIXELS, 10))
    assert same(episodes.read(tmp_path / 'a.npz', PIXELS), episode(PIXELS, 10))


def test_a_file_that_is_cut_short_is_refused(tmp_path):
    path = tmp_path / 'cut.npz'
    episodes.write(path, episode(PIXELS, 10))
    whole = path.read_bytes()
    for size in range(0, len(whole), max(len(whole) // 50, 1)):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match='cut.npz'):
            episodes.read(path, PIXELS)


def test_flipped_bits_are_noticed_or_do_no_harm(tmp_path):
    path, rng, refused = tmp_path / 'flipped.npz', random.Random(0), 0
    episodes.write(path, episode(PIXELS, 10))
    whole = path.read_bytes()
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        # Some bits hold a date or the like; the digest in the checkpoint notices those too.
        assert episodes.digest(path) != episodes.hashlib.sha256(whole).hexdigest()
        try:
            assert same(episodes.read(path, PIXELS), episode(PIXELS, 10))
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 60


@pytest.mark.parametrize('changes, why', [
    ({'observation': None}, 'observation'),
    ({'action': None}, 'action'),
    ({'reward': None}, 'reward'),
    ({'length': None}, 'length'),
    ({'observation': np.zeros((10, 8, 8, 3), np.float32)}, 'its observation is float32'),
    ({'observation': np.zeros((10, 8, 9, 3), np.uint8)}, r'\(10, 8, 9, 3\)'),
    ({'observation': np.zeros((10, 192), np.uint8)}, r'\(10, 192\)'),
    ({'action': np.zeros((10, 2))}, 'its action is float64'),
    ({'action': np.zeros((10, 3), np.float32)}, r'\(10, 3\)'),
    ({'action': np.zeros((11, 2), np.float32)}, r'\(11, 2\)'),
    ({'reward': np.zeros((9,), np.float32)}, r'\(9,\)'),
    ({'reward': np.zeros((10, 1), np.float32)}, r'\(10, 1\)'),
    ({'reward': np.float32(0)}, 'its reward'),
    ({'reward': np.full(10, np.nan, np.float32)}, 'not a finite number'),
    ({'reward': np.full(10, np.inf, np.float32)}, 'not a finite number'),
    ({'action': np.full((10, 2), np.nan, np.float32)}, 'not a finite number'),
    ({'length': np.int32(9)}, r'\(10, 8, 8, 3\)'),
    ({'length': np.int32(0)}, '0 rows, where 1 to 13'),
    ({'length': np.int32(-1)}, '-1 rows'),
    ({'length': np.int64(10)}, 'its length is int64'),
    ({'length': np.full(3, 10, np.int32)}, 'its length'),
    ({name: np.repeat(value, 2, 0) for name, value in members(length=None).items()} | {'length': np.int32(20)},
     '20 rows, where 1 to 13'),
])
def test_other_contents_are_refused(changes, why, tmp_path):
    path = tmp_path / 'other.npz'
    np.savez_compressed(path, **members(**changes))
    with pytest.raises(ValueError, match=why) as caught:
        episodes.read(path, PIXELS)
    assert str(path) in str(caught.value)


def test_what_is_no_archive_is_refused(tmp_path):
    for name, content in {'empty': b'', 'text': b'hello', 'array': header((3,)) + b'\0' * 12,
                          'pickle': pickle.dumps({'reward': 1})}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            episodes.read(tmp_path / name, PIXELS)
    with pytest.raises(ValueError, match='absent'):
        episodes.read(tmp_path / 'absent', PIXELS)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


@pytest.mark.parametrize('name', episodes.FIELDS)
def test_nothing_is_unpickled(name, tmp_path):
    path, sprung = tmp_path / 'trap.npz', tmp_path / 'sprung'
    good = members()
    rows = np.empty(np.shape(good[name]), object)
    rows[...] = Trap(sprung)
    np.savez_compressed(path, **good | {name: rows})
    with pytest.raises(ValueError, match='trap.npz'):
        episodes.read(path, PIXELS)
    # The same bytes under a header that states numbers, and without a header at all.
    np.savez_compressed(path, **good)
    for content in (header(np.shape(good[name]), good[name].dtype.str) + pickle.dumps(rows)[:3], pickle.dumps(rows)):
        replace_member(path, f'{name}.npy', content)
        with pytest.raises(ValueError, match='trap.npz'):
            episodes.read(path, PIXELS)
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung))).close()
    assert sprung.exists()


@pytest.mark.parametrize('names, length', [
    (('observation', 'action', 'reward'), 2**31 - 1), (('observation',), 10), (('length',), 10)])
def test_no_memory_is_taken_for_what_a_header_claims(names, length, tmp_path):
    path = tmp_path / 'huge.npz'
    np.savez_compressed(path, **members(length=np.int32(length)))
    good = members()
    for name in names:
        shape = 2**31 - 1, *np.shape(good[name])[1:]
        replace_member(path, f'{name}.npy', header(shape, good[name].dtype.str))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match='huge.npz'):
            episodes.read(path, PIXELS)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize('twin', ['reward.npy', 'reward', 'rewards.npy', '../reward.npy'])
def test_every_array_is_there_once_and_nothing_else(twin, tmp_path):
    path = tmp_path / 'twin.npz'
    np.savez_compressed(path, **members())
    with zipfile.ZipFile(path, 'a') as archive, warnings.catch_warnings():
        warnings.simplefilter('ignore')  # zipfile's own, about a name that is there already
        archive.writestr(twin, header((10,)) + b'\0' * 40)
    with pytest.raises(ValueError, match='twin.npz is not an episode .* each once and nothing else'):
        episodes.read(path, PIXELS)


def test_what_follows_an_array_is_refused(tmp_path):
    path = tmp_path / 'long.npz'
    np.savez_compressed(path, **members())
    replace_member(path, 'reward.npy', header((10,)) + b'\0' * 41)
    with pytest.raises(ValueError, match='its reward goes on after its end'):
        episodes.read(path, PIXELS)


def test_arrays_are_read_in_the_order_and_the_bytes_that_are_stated(tmp_path):
    path, good = tmp_path / 'order.npz', members()
    np.savez_compressed(path, **good | {'observation': np.asfortranarray(good['observation'])})
    assert same(episodes.read(path, PIXELS), episode(PIXELS, 10))
    np.savez_compressed(path, **good | {'reward': good['reward'].astype('>f4')})
    with pytest.raises(ValueError, match='its reward is >f4'):
        episodes.read(path, PIXELS)


def bomb(name, method=zipfile.ZIP_DEFLATED):
    """An archive whose one member unpacks to 30 MB; as a header of NumPy's second version, which may be that long."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', method) as archive:
        for member, array in members().items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(f'{member}.npy', content.getvalue() if member != name else
                             b'\x93NUMPY\x02\x00' + (30 << 20).to_bytes(4, 'little') + b' ' * (30 << 20))
    return file.getvalue()


def understated(content, claimed=400):
    """The same archive, but its list of members says that those of 30 MB have few bytes."""
    return content.replace(((30 << 20) + 12).to_bytes(4, 'little'), claimed.to_bytes(4, 'little'))


@pytest.mark.parametrize('content', [
    lambda: bomb('reward'), lambda: bomb('length'), lambda: understated(bomb('length')),
    lambda: understated(bomb('length', zipfile.ZIP_BZIP2)), lambda: b'PK' + b'\0' * 2**20,
], ids=['reward', 'length', 'understated', 'bzip2', 'large'])
def test_a_bomb_does_not_unpack(content, tmp_path):
    path = tmp_path / 'bomb.npz'
    path.write_bytes(content())
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match='bomb.npz'):
            episodes.read(path, PIXELS)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def test_a_file_larger_than_any_episode_is_not_opened(tmp_path):
    with open(tmp_path / 'large.npz', 'wb') as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match='larger than 13 rows can be'):
        episodes.read(tmp_path / 'large.npz', PIXELS)


def test_incompressible_episodes_are_within_the_limit(tmp_path):
    spec = Spec((64, 64, 3), 'uint8', 6, 500)
    noise = np.random.default_rng(0).integers(0, 256, (501, 64, 64, 3), np.uint8)
    written = Trajectory(noise, np.random.default_rng(1).uniform(-1, 1, (501, 6)).astype('float32'),
                         np.random.default_rng(2).normal(size=501).astype('float32'), np.int32(501))
    episodes.write(tmp_path / 'noise.npz', written)
    assert same(episodes.read(tmp_path / 'noise.npz', spec), written)


@pytest.mark.parametrize('make', [
    lambda path: path.symlink_to('/dev/zero'), lambda path: path.symlink_to(path.parent / 'good.npz'), os.mkfifo,
    lambda path: path.mkdir()], ids=['endless', 'link', 'pipe', 'folder'])
def test_links_and_special_files_are_refused(make, tmp_path):
    episodes.write(tmp_path / 'good.npz', episode(PIXELS, 10))
    make(tmp_path / 'special.npz')
    for function in (episodes.digest, lambda path: episodes.read(path, PIXELS)):
        with pytest.raises(ValueError, match='special.npz is a link or another special file'):
            function(tmp_path / 'special.npz')
