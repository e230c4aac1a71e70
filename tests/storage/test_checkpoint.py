"""Checkpoints: exact, whole or absent, and nothing damaged is used."""

import gc
import hashlib
import io
import json
import os
import pickle
import random
import shutil
import tempfile
import tracemalloc

import chex
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint
import pytest

from planet_jax import keys, learner, replay
from planet_jax.config import Learner, Spec
from planet_jax.storage import checkpoint
from planet_jax.types import LearnerState, TrainState

PROGRESS = {'episodes': ['ab' * 32, 'cd' * 32], 'updates': 7, 'seconds': {'learn': 1.5}}


def make_state(units=3, dtype=jnp.float32, slots=2, **settings):
    """A state as training makes it, with values that no default has."""
    params = {'cell': {'kernel': jnp.zeros((4, units), dtype), 'bias': jnp.zeros(units, dtype)},
              'reward': [jnp.zeros((), dtype)]}
    optimizer = learner.make_optimizer(Learner(**settings))
    learned = LearnerState(params, optimizer.init(params), jnp.zeros((), jnp.int32))
    leaves, structure = jax.tree.flatten(learned)
    rng = np.random.default_rng(units)
    learned = structure.unflatten([
        jnp.asarray(rng.random(leaf.shape), leaf.dtype) if jnp.issubdtype(leaf.dtype, jnp.floating)
        else leaf + jnp.asarray(7 + number, leaf.dtype) for number, leaf in enumerate(leaves)])
    return TrainState(learned, replay.init(Spec((2,), 'float32', 1, 3), slots, 2), keys.root(5))


@pytest.fixture(scope='module')
def state():
    return make_state()


@pytest.fixture(scope='module')
def saved(state, tmp_path_factory):
    directory = tmp_path_factory.mktemp('checkpoints') / '000002-000000007'
    checkpoint.save(directory, state, PROGRESS)
    return directory


@pytest.fixture
def copied(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / 'copy')


@pytest.fixture
def orbax_has_spoken():
    """Where orbax fails it leaves tasks behind, which complain when they are collected: here, not amid another test."""
    yield
    gc.collect()


def files_of(directory):
    return sorted(path for path in directory.rglob('*') if path.is_file())


@pytest.mark.parametrize('field', ['average', 'collecting'])
@pytest.mark.parametrize('wanted', [False, True])
def test_a_checkpoint_from_before_there_was_an_average_is_read(wanted, field, monkeypatch, tmp_path):
    def saved_then(state, leaf):
        learned = {name: part for name, part in vars(state.learner).items() if name != field}
        return jax.tree.map(leaf, {'learner': learned, 'key': state.key})

    state = make_state()
    with monkeypatch.context() as then:
        then.setattr(checkpoint, '_saved', saved_then)
        then.setattr(checkpoint, '_check_saved', lambda *arguments: None)
        checkpoint.save(tmp_path / 'saved', state, PROGRESS)
    if wanted:
        like = state.replace(learner=state.learner.replace(**{field: state.learner.params}))
        with pytest.raises(checkpoint.CheckpointError, match=f'learner/{field}/cell/bias is None there'):
            checkpoint.restore(tmp_path / 'saved', like)
    else:
        restored, _ = checkpoint.restore(tmp_path / 'saved', state)
        assert getattr(restored.learner, field) is None
        chex.assert_trees_all_equal(restored.learner, state.learner, strict=True)


@pytest.mark.parametrize('settings', [{}, {'adam_epsilon_hat': True}], ids=['epsilon', 'epsilon_hat'])
def test_what_is_saved_is_restored_exactly(settings, tmp_path):
    state = make_state(**settings)
    checkpoint.save(tmp_path / 'saved', state, PROGRESS)
    like = jax.tree.map(jnp.zeros_like, make_state(**settings, slots=5))
    restored, progress = checkpoint.restore(tmp_path / 'saved', like)
    assert progress == PROGRESS
    for found, expected in ((restored.learner, state.learner), (restored.key, state.key)):
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        for left, right in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert (left.shape, left.dtype) == (right.shape, right.dtype)
            assert np.asarray(left).tobytes() == np.asarray(right).tobytes()
    assert restored.replay is like.replay
    assert [path.name for path in tmp_path.iterdir()] == ['saved']


def equal(state, other):
    """Bit for bit."""
    left, right = (jax.tree.leaves((one.learner, one.key)) for one in (state, other))
    return [np.asarray(leaf).tobytes() for leaf in left] == [np.asarray(leaf).tobytes() for leaf in right]


@pytest.mark.parametrize('name', [
    'lr=[1,2]', '*', 'back\\slash', 'gs:', '{a} ~$%41#', 'two\nlines', os.fsdecode(b'\xff is no text')])
def test_any_path_is_taken_literally(name, state, tmp_path):
    """Orbax globs what it is given, and so left out the arrays where there is a [; tensorstore turns backslashes."""
    directory = tmp_path / name / '000002-000000007'
    checkpoint.save(directory, state, PROGRESS)
    checkpoint.verify(directory)
    assert equal(checkpoint.restore(directory, jax.tree.map(jnp.zeros_like, state))[0], state)
    assert os.listdir(tmp_path) == [name] and os.listdir(directory.parent) == [directory.name]


def test_without_a_place_for_a_link_the_path_is_refused(state, tmp_path, monkeypatch):
    for place, why in ((tmp_path / 'absent', 'No such file'), (tmp_path / '[there]', 'such a character too')):
        monkeypatch.setattr(tempfile, 'tempdir', str(place))
        with pytest.raises(checkpoint.CheckpointError, match=f'does not take literally, .*{why}.* TMPDIR'):
            checkpoint.save(tmp_path / 'a[b' / '000001-000000001', state, PROGRESS)
        (tmp_path / '[there]').mkdir(exist_ok=True)


def lose_the_arrays(directory):
    (directory / checkpoint.ARRAYS).unlink()


def write_other_arrays(directory):
    for path in directory.rglob('state'):
        shutil.rmtree(path)
    tree = checkpoint._saved(make_state(), lambda leaf: np.array(leaf) + 1)
    with orbax.checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(directory / 'state', tree)


def write_other_progress(directory):
    (directory / 'progress.json').write_text('{"updates": 8}')


@pytest.mark.parametrize('damage, told', [
    (lose_the_arrays, 'just written cannot be read'), (write_other_arrays, 'is not what was to be saved'),
    (write_other_progress, 'is not what was to be saved')])
def test_what_cannot_be_read_back_is_no_checkpoint(damage, told, state, tmp_path, monkeypatch, orbax_has_spoken):
    """What is damaged before its digests are taken agrees with them."""
    digests, damages = checkpoint._digests, [damage]

    def damage_once(directory, paths):
        if damages:
            damages.pop()(directory)
        return digests(directory, checkpoint._paths(directory))

    monkeypatch.setattr(checkpoint, '_digests', damage_once)
    directory = tmp_path / '000002-000000007'
    with pytest.raises(checkpoint.CheckpointError, match=told):
        checkpoint.save(directory, state, PROGRESS)
    assert not directory.exists()
    monkeypatch.undo()
    checkpoint.save(directory, state, PROGRESS)
    assert equal(checkpoint.restore(directory, state)[0], state)


def test_a_checkpoint_without_its_arrays_is_not_called_whole(copied):
    """As an earlier version left it where the path has a [ in it: with right digests."""
    (copied / checkpoint.ARRAYS).unlink()
    sign(copied)
    with pytest.raises(checkpoint.CheckpointError, match='written without its arrays'):
        checkpoint.verify(copied)


def test_a_good_checkpoint_verifies(saved):
    checkpoint.verify(saved)
    manifest = json.loads((saved / 'manifest.json').read_text())
    assert manifest['schema'] == checkpoint.SCHEMA
    names = {path.relative_to(saved).as_posix() for path in files_of(saved)}
    assert set(manifest['files']) == names - {'manifest.json'} and len(names) > 4


def test_one_flipped_bit_in_any_file_is_noticed(copied, state):
    rng = random.Random(0)
    for path in files_of(copied):
        whole = path.read_bytes()
        for position in {rng.randrange(len(whole)) for _ in range(10)}:
            damaged = bytearray(whole)
            damaged[position] ^= 1 << rng.randrange(8)
            path.write_bytes(damaged)
            for function in (lambda: checkpoint.verify(copied), lambda: checkpoint.restore(copied, state)):
                with pytest.raises(checkpoint.CheckpointError, match=str(copied)) as caught:
                    function()
            if path.name not in ('manifest.json', 'progress.json'):
                assert str(path) in str(caught.value)
        path.write_bytes(whole)
    checkpoint.verify(copied)


@pytest.mark.parametrize('content', [
    None, '', '{', 'null', '[]', '{}', '{"schema": 1}', '{"schema": 1, "files": null}', '{"schema": 1, "files": [1]}',
    '{"schema": 1, "files": {}}', '{"schema": 1, "files": [[1, "a"], ["b", "c"]]}', '{"schema": "1", "files": {}}',
    '[' * 10**6, b'\xff\xfe', b'{"schema": \xe4}'])
def test_a_missing_or_unreadable_manifest_is_noticed(content, copied):
    path = copied / 'manifest.json'
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(checkpoint.CheckpointError, match=str(copied)):
        checkpoint.verify(copied)


def test_added_and_removed_files_are_noticed(copied):
    added = copied / 'state' / 'added'
    added.write_bytes(b'')
    with pytest.raises(checkpoint.CheckpointError, match='added is not as it was written'):
        checkpoint.verify(copied)
    added.unlink()
    for path in files_of(copied):
        if path.name != 'manifest.json':
            whole = path.read_bytes()
            path.unlink()
            with pytest.raises(checkpoint.CheckpointError, match=path.name):
                checkpoint.verify(copied)
            path.write_bytes(whole)
    checkpoint.verify(copied)
    shutil.rmtree(copied / 'state')
    with pytest.raises(checkpoint.CheckpointError, match='nor are .* other files'):
        checkpoint.verify(copied)


def test_what_is_no_checkpoint_is_refused(tmp_path, state):
    (tmp_path / 'empty').mkdir()
    for name in ('empty', 'absent'):
        with pytest.raises(checkpoint.CheckpointError, match=name):
            checkpoint.restore(tmp_path / name, state)


@pytest.mark.parametrize('schema', [0, 41])
def test_another_schema_is_refused_naming_both(schema, copied, state):
    """Case 17 of docs/reliability.md; before anything else is read, for another schema may have other files."""
    path = copied / 'manifest.json'
    path.write_text(json.dumps({'schema': schema, 'files': {}}))
    with pytest.raises(checkpoint.CheckpointError, match=rf'schema {schema}, .* schema {checkpoint.SCHEMA}\.'):
        checkpoint.restore(copied, state)


# Case 20 of docs/reliability.md: a checkpoint from a stranger, whose digests are right.


def sign(directory):
    """Writes the manifest anew, for whatever is there."""
    files = {path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
             for path in files_of(directory) if path != directory / 'manifest.json'}
    (directory / 'manifest.json').write_text(json.dumps({'schema': checkpoint.SCHEMA, 'files': files}))


def swap_state_for_a_link(directory):
    shutil.move(directory / 'state', directory.parent / 'elsewhere')
    (directory / 'state').symlink_to(directory.parent / 'elsewhere')


def swap_progress_for_a_link(directory):
    shutil.move(directory / 'progress.json', directory.parent)
    (directory / 'progress.json').symlink_to(directory.parent / 'progress.json')


def link_within(directory):
    (directory / 'state' / 'twin').symlink_to('manifest.ocdbt')


def link_to_nothing(directory):
    (directory / 'nothing').symlink_to('/nowhere')


def add_a_pipe(directory):
    os.mkfifo(directory / 'state' / 'pipe')


@pytest.mark.parametrize('change', [swap_state_for_a_link, swap_progress_for_a_link, link_within, link_to_nothing,
                                    add_a_pipe])
def test_links_and_special_files_are_refused(change, copied, state):
    change(copied)
    for signed in (False, True):
        if signed and change is not add_a_pipe:
            sign(copied)
        with pytest.raises(checkpoint.CheckpointError, match='is a link or another special file'):
            checkpoint.restore(copied, state)


@pytest.mark.parametrize('name', ['../outside', '/etc/hostname', 'state/../../outside'])
def test_the_manifest_reaches_nothing_outside(name, copied):
    (copied.parent / 'outside').write_text('')
    path = copied / 'manifest.json'
    manifest = json.loads(path.read_text())
    manifest['files'][name] = hashlib.sha256(b'').hexdigest()
    path.write_text(json.dumps(manifest))
    with pytest.raises(checkpoint.CheckpointError, match='is not as it was written'):
        checkpoint.verify(copied)


@pytest.mark.parametrize('name', ['manifest.json', 'progress.json'])
def test_a_huge_file_is_not_parsed(name, copied, state):
    with open(copied / name, 'r+b') as file:
        file.truncate(2**28)
    if name != 'manifest.json':
        sign(copied)
    tracemalloc.start()
    try:
        with pytest.raises(checkpoint.CheckpointError, match=f'{name}.* more than'):
            checkpoint.restore(copied, state)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize('content', ['', '[]', '"text"', '[' * 10**6])
def test_progress_that_is_no_object_is_refused(content, copied, state):
    (copied / 'progress.json').write_text(content)
    sign(copied)
    with pytest.raises(checkpoint.CheckpointError, match='no readable progress.json'):
        checkpoint.restore(copied, state)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


def test_nothing_is_unpickled_or_run(copied, state, tmp_path, orbax_has_spoken):
    sprung = tmp_path / 'sprung'
    trap = pickle.dumps(Trap(sprung))
    array = io.BytesIO()
    np.save(array, np.array([Trap(sprung)], object))
    refused = 0
    for path in files_of(copied / 'state'):
        whole = path.read_bytes()
        for content in (trap, array.getvalue(), b'', json.dumps({'py/object': str(sprung)}).encode()):
            path.write_bytes(content)
            sign(copied)
            try:
                checkpoint.restore(copied, state)
            except checkpoint.CheckpointError as error:
                assert str(copied) in str(error)
                refused += 1
        path.write_bytes(whole)
    # The file that orbax once wrote instead of all these.
    (copied / 'state' / 'checkpoint').write_bytes(trap)
    (copied / 'state' / '_METADATA').unlink()
    sign(copied)
    with pytest.raises(checkpoint.CheckpointError):
        checkpoint.restore(copied, state)
    assert refused >= 12 and not sprung.exists()  # _METADATA, manifest.ocdbt and the arrays; the others are not read
    pickle.loads(trap).close()
    assert sprung.exists()


def test_what_is_no_array_is_refused(copied, state, orbax_has_spoken):
    shutil.rmtree(copied / 'state')
    tree = {'learner': state.learner.replace(params='os.system'), 'key': state.key}
    with orbax.checkpoint.PyTreeCheckpointer() as checkpointer:
        checkpointer.save(copied / 'state', tree)
    sign(copied)
    with pytest.raises(checkpoint.CheckpointError, match=str(copied)):
        checkpoint.restore(copied, state)


@pytest.mark.parametrize('like, told', [
    (lambda: make_state(units=4), r'bias is \(\(3,\).* there and \(\(4,\).* here'),
    (lambda: make_state(dtype=jnp.float16), 'float32.* there and .*float16'),
    (lambda: make_state(adam_epsilon_hat=True), 'does not fit'),
    (lambda: make_state().replace(key=jnp.zeros(4, jnp.uint32)), 'key is'),
], ids=['shape', 'dtype', 'optimizer', 'key'])
def test_arrays_of_another_configuration_are_refused(like, told, saved):
    with pytest.raises(checkpoint.CheckpointError, match=told):
        checkpoint.restore(saved, like())


def test_nothing_is_overwritten(copied):
    before = {path: path.read_bytes() for path in files_of(copied)}
    with pytest.raises(FileExistsError, match='never overwritten'):
        checkpoint.save(copied, make_state(units=5), {})
    assert {path: path.read_bytes() for path in files_of(copied)} == before
    empty = copied.parent / 'empty'
    empty.mkdir()
    with pytest.raises(FileExistsError):
        checkpoint.save(empty, make_state(), {})


@pytest.mark.parametrize('target', [
    'orbax.checkpoint.StandardCheckpointer.save', 'json.dumps', 'os.fsync', 'os.replace'])
def test_a_crash_while_saving_leaves_no_finished_checkpoint(target, state, tmp_path, monkeypatch):
    def crash(*arguments, **options):
        raise OSError('No space left on device')

    directory = tmp_path / '000001-000000001'
    with monkeypatch.context() as patched:
        patched.setattr(target, crash)
        with pytest.raises(OSError, match='No space'):
            checkpoint.save(directory, state, PROGRESS)
    assert not directory.exists()
    assert all(path.name.startswith('.') for path in tmp_path.iterdir())
    checkpoint.save(directory, state, PROGRESS)
    assert checkpoint.restore(directory, state)[1] == PROGRESS
    assert os.listdir(tmp_path) == [directory.name]


def test_a_saved_state_may_be_donated(tmp_path):
    state = make_state()
    advance = jax.jit(lambda learned: jax.tree.map(lambda leaf: leaf + 1, learned), donate_argnums=0)
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state.learner)]
    expected = [np.asarray(leaf + 1) for leaf in jax.tree.leaves(state.learner)]
    checkpoint.save(tmp_path / 'saved', state, PROGRESS)
    learned = advance(state.learner)
    assert all(map(np.array_equal, jax.tree.leaves(learned), expected))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.learner))
    assert sorted(leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(learned)) == sorted(pointers)
    restored, _ = checkpoint.restore(tmp_path / 'saved', make_state())
    assert restored.learner.updates == learned.updates - 1
