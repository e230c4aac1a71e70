"""Checkpoints: what a seed has learned, with digests that are checked before anything is used.

A checkpoint is a folder with the learner's state and the root key (by orbax), `progress.json` with whatever the caller
must know besides (counts, the episodes' digests), and `manifest.json`, written last, with the schema and the SHA-256
of every other file. The replay's data is not in it: its episodes are on disk already, each written once.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint

from planet_jax.types import TrainState

SCHEMA = 1
"""Of the folder; a checkpoint with another one is refused."""
LARGEST_JSON = 2**24
"""Bytes; no longer file is parsed."""


class CheckpointError(ValueError):
    """A checkpoint is damaged, incomplete or of another version; the message is a sentence that says which and why."""


def save(directory: Path, state: TrainState, progress: dict[str, Any]) -> None:
    """Saves one seed's state, so that the folder is either whole or absent, also after a crash.

    Args:
        directory: to be made.
        state: without [P]; its arrays are copied, so it may be donated afterwards.
        progress: what else belongs to it, as JSON can hold it.

    Raises:
        FileExistsError: the directory is there already; nothing is overwritten.
    """
    if directory.exists():
        raise FileExistsError(f'{directory} exists already, and checkpoints are never overwritten.')
    partial = directory.with_name(f'.{directory.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    checkpointer = orbax.checkpoint.StandardCheckpointer()
    try:
        checkpointer.save((partial / 'state').absolute(), _saved(state, np.array))
        checkpointer.wait_until_finished()
    finally:
        checkpointer.close()
    for path in (partial / 'state').glob('commit_success*'):
        path.write_text('saved')  # Orbax puts the folder's path there, which is nobody's business elsewhere.
    (partial / 'progress.json').write_text(json.dumps(progress))
    manifest = {'schema': SCHEMA, 'files': _digests(partial, _paths(partial))}
    with open(partial / 'manifest.json', 'w') as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, directory)


def verify(directory: Path) -> None:
    """Checks that every file of a checkpoint is as it was written.

    The digests tell of damage, not of who wrote them: see SECURITY.md.

    Raises:
        CheckpointError: a file is missing, added, changed or a link, or the checkpoint was written by another version.
    """
    paths = _paths(directory)
    manifest = _read_json(directory / 'manifest.json')
    schema, files = manifest.get('schema'), manifest.get('files')
    if not isinstance(schema, int) or not isinstance(files, dict):
        raise CheckpointError(f'{directory} has no readable manifest.json: it states no schema or no files.')
    if schema != SCHEMA:
        raise CheckpointError(f'{directory} was written with schema {schema}, but this version reads schema {SCHEMA}.')
    found = _digests(directory, paths)
    changed = sorted(name for name in {*found, *files} if found.get(name) != files.get(name))
    if changed:
        # A name in the manifest is a stranger's text; only what was found is ever opened.
        name = directory / changed[0] if changed[0] in found else f'{directory}, where {changed[0]!r} belongs,'
        raise CheckpointError(f'{name} is not as it was written'
                              + (f', nor are {len(changed) - 1} other files.' if len(changed) > 1 else '.'))


def restore(directory: Path, like: TrainState) -> tuple[TrainState, dict[str, Any]]:
    """Reads a checkpoint, after `verify`; the replay of `like` stays as it is, for its episodes to be added again.

    Args:
        directory: of the checkpoint.
        like: a state of the same configuration, without [P]; only shapes and dtypes of the learner matter.

    Returns:
        the state, its learner and key as NumPy arrays, and the progress that was saved with it.

    Raises:
        CheckpointError: it does not verify, or holds anything but arrays of the shapes and dtypes of `like`.
    """
    verify(directory)
    progress = _read_json(directory / 'progress.json')
    target = _saved(like, lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype))
    checkpointer = orbax.checkpoint.StandardCheckpointer()
    try:
        stored = checkpointer.metadata((directory / 'state').absolute()).item_metadata
        _compare(directory, stored, target)
        device = jax.sharding.SingleDeviceSharding(jax.local_devices(backend='cpu')[0])
        on_host = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), target)
        restored = jax.tree.map(np.array, checkpointer.restore((directory / 'state').absolute(), on_host))
    except CheckpointError:
        raise
    except Exception as error:  # orbax and tensorstore fail in ways of their own on what they did not write
        raise CheckpointError(f'{directory} is as it was written, but is no state that can be read: {error}') from error
    finally:
        checkpointer.close()
    return like.replace(learner=restored['learner'], key=restored['key']), progress


def _saved(state: TrainState, leaf) -> dict[str, Any]:
    return jax.tree.map(leaf, {'learner': state.learner, 'key': state.key})


def _compare(directory: Path, stored: Any, target: Any) -> None:
    """Orbax casts another dtype in silence, so shapes and dtypes are compared before it may."""

    def described(tree):
        leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
        return {_name(path): (tuple(leaf.shape), np.dtype(leaf.dtype)) for path, leaf in leaves}

    stored, target = described(stored), described(target)
    for name in sorted({*stored, *target}):
        if stored.get(name) != target.get(name):
            raise CheckpointError(f'{directory} does not fit this configuration: {name} is {stored.get(name)} there '
                                  f'and {target.get(name)} here.')


def _name(path: tuple[Any, ...]) -> str:
    return '/'.join(str(getattr(part, 'key', getattr(part, 'name', getattr(part, 'idx', part)))) for part in path)


def _paths(directory: Path) -> list[Path]:
    """Every file in the folder, however deep, once it is certain that there are only files and folders."""
    paths = sorted(directory.rglob('*'))
    for path in paths:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise CheckpointError(f'{path} is a link or another special file, which no checkpoint holds.')
    return [path for path in paths if path.is_file()]


def _digests(directory: Path, paths: list[Path]) -> dict[str, str]:
    digests = {}
    for path in paths:
        if path != directory / 'manifest.json':
            with open(path, 'rb') as file:
                digests[path.relative_to(directory).as_posix()] = hashlib.file_digest(file, 'sha256').hexdigest()
    return digests


def _read_json(path: Path) -> dict[str, Any]:
    try:
        with open(path, 'rb') as file:
            content = file.read(LARGEST_JSON + 1)
        if len(content) > LARGEST_JSON:
            raise ValueError(f'it has more than {LARGEST_JSON} bytes')
        value = json.loads(content)
        if not isinstance(value, dict):
            raise ValueError('it holds no object')
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f'{path.parent} has no readable {path.name}: it was not finished or is damaged ({error}).'
                              ) from error
    return value
