"""Checkpoints: the learned state of a seed, with digests that are checked before anything is used.

A checkpoint is a folder with the learner's state and the root key (by orbax), `progress.json` with the
caller's counts and the episodes' digests, and `manifest.json`, written last, with the schema and the SHA-256
of every other file. The replay's data is not in it: its episodes are on disk already, each written once.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planet_jax.storage import files

# JAX and orbax are imported only where arrays are read or written; verifying and listing need neither.
if TYPE_CHECKING:
    import orbax.checkpoint

    from planet_jax.types import TrainState

SCHEMA = 1
"""Version of the folder's layout; other versions are refused."""
LARGEST_JSON = 2**24
"""Bytes of the largest JSON file that is parsed."""
LITERAL = re.compile(r'(?:[\w/ .,=+@-]|:(?!/|$))+')
"""Paths that orbax takes literally. It reads *, ? and [ as patterns, a backslash as a slash, and gs:/ as a cloud."""
ARRAYS = 'state/manifest.ocdbt'
"""File that orbax writes once all arrays are in place; without it, a state can be verified, but not read."""


class CheckpointError(ValueError):
    """A checkpoint is damaged, incomplete or of another version. The message says which one, and why."""


def save(directory: Path, state: 'TrainState', progress: dict[str, Any]) -> None:
    """Saves one seed's state, so that the folder is either whole or absent, also after a crash.

    The folder gets its name only after everything was read back and compared.

    Args:
        directory: of the new checkpoint.
        state: without [P]; its arrays are copied, so it may be donated afterwards.
        progress: of the run, as JSON.

    Raises:
        FileExistsError: the directory exists; nothing is overwritten.
        CheckpointError: the written checkpoint cannot be read, or differs from the state.
    """
    if directory.exists():
        raise FileExistsError(f'{directory} exists already, and checkpoints are never overwritten.')
    partial = directory.with_name(f'.{directory.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    tree = _saved(state, np.array)
    with _orbax(partial) as (checkpointer, path):
        checkpointer.save(path, tree)
        checkpointer.wait_until_finished()
    for path in (partial / 'state').glob('commit_success*'):
        path.write_text('saved')  # Orbax writes the folder's path there, which may be private.
    files.write_json(partial / 'progress.json', progress)
    files.write_json(partial / 'manifest.json', {'schema': SCHEMA, 'files': _digests(partial, _paths(partial))}, 1)
    _check_saved(partial, state, tree, progress)
    os.replace(partial, directory)


def _check_saved(partial: Path, state: 'TrainState', tree: dict[str, Any], progress: dict[str, Any]) -> None:
    """Reads the new checkpoint and compares all of it with the state."""
    import jax

    try:
        restored, told = restore(partial, state)
    except CheckpointError as error:
        raise CheckpointError(f'The checkpoint that was just written cannot be read, so it does not count, and those '
                              f'before it are kept. {error}') from error
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(_saved(restored, np.asarray)), strict=True)
    # As bytes, since NaN is not equal to itself.
    if json.dumps(told) != json.dumps(progress) or not all(
            np.array_equal(one.reshape(-1).view(np.uint8), other.reshape(-1).view(np.uint8)) for one, other in pairs):
        raise CheckpointError(f'The checkpoint that was just written to {partial} is not what was to be saved, so it '
                              f'does not count, and those before it are kept: check this disk and this memory.')


@contextlib.contextmanager
def _orbax(directory: Path) -> 'Iterator[tuple[orbax.checkpoint.StandardCheckpointer, Path]]':
    """Orbax, and a path for `directory / 'state'` that orbax takes literally.

    Any other path is reached by a link.

    Raises:
        CheckpointError: no link can be made.
    """
    import orbax.checkpoint

    with contextlib.ExitStack() as stack:
        directory = directory.absolute()
        if not LITERAL.fullmatch(str(directory)):
            try:
                link = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='planet_jax-'))) / 'checkpoint'
                link.symlink_to(directory, target_is_directory=True)
            except OSError as error:
                raise CheckpointError(_no_link(directory, error.strerror or str(error))) from error
            if not LITERAL.fullmatch(str(link)):
                raise CheckpointError(_no_link(directory, f'{link} has such a character too'))
            directory = link
        checkpointer = orbax.checkpoint.StandardCheckpointer()
        stack.callback(checkpointer.close)
        yield checkpointer, directory / 'state'


def _no_link(directory: Path, why: str) -> str:
    return (f'The path {directory} has a character that orbax does not take literally, and no link to it can be made '
            f'in the folder for temporary files ({why}): name another --logdir, or set TMPDIR.')


def verify(directory: Path) -> None:
    """Checks that every file of a checkpoint is as it was written.

    The digests show damage, not who wrote the files; see SECURITY.md.

    Raises:
        CheckpointError: a file is missing, added, changed or a link, or the checkpoint was written by another version.
    """
    paths = _paths(directory)
    manifest = _read_json(directory / 'manifest.json')
    schema, listed = manifest.get('schema'), manifest.get('files')
    if not isinstance(schema, int) or not isinstance(listed, dict):
        raise CheckpointError(f'{directory} has no readable manifest.json: it states no schema or no files.')
    if schema != SCHEMA:
        raise CheckpointError(f'{directory} was written with schema {schema}, but this version reads schema {SCHEMA}.')
    found = _digests(directory, paths)
    changed = sorted(name for name in {*found, *listed} if found.get(name) != listed.get(name))
    if changed:
        # Names in the manifest are untrusted; only files that were found are opened.
        name = directory / changed[0] if changed[0] in found else f'{directory}, where {changed[0]!r} belongs,'
        raise CheckpointError(f'{name} is not as it was written'
                              + (f', nor are {len(changed) - 1} other files.' if len(changed) > 1 else '.'))
    if ARRAYS not in listed:
        raise CheckpointError(f'{directory} was written without its arrays, and cannot be read: versions before this '
                              f'one did so where the path has a character such as [ in it.')


def restore(directory: Path, like: 'TrainState') -> 'tuple[TrainState, dict[str, Any]]':
    """Verifies and reads a checkpoint. The replay of `like` is kept; its episodes must be added again.

    Args:
        directory: of the checkpoint.
        like: a state of the same configuration, without [P]; only shapes and dtypes of the learner matter.

    Returns:
        the state, with learner and key as NumPy arrays, and the saved progress.

    Raises:
        CheckpointError: the checkpoint does not verify, or its arrays differ from `like` in shape or dtype.
    """
    import jax

    verify(directory)
    progress = _read_json(directory / 'progress.json')
    target = _saved(like, lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype))
    try:
        with _orbax(directory) as (checkpointer, path):
            stored = checkpointer.metadata(path).item_metadata
            _compare(directory, stored, target)
            # A part that is None here may have been saved as None, or not have existed when the checkpoint was made.
            target['learner'] = {name: part for name, part in vars(target['learner']).items()
                                 if part is not None or name in stored['learner']}
            # Orbax reads NumPy arrays if the targets are NumPy arrays; broadcast ones take no memory.
            restored = checkpointer.restore(path, jax.tree.map(
                lambda leaf: np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape), target))
    except CheckpointError:
        raise
    except Exception as error:  # orbax and tensorstore fail in ways of their own on what they did not write
        raise CheckpointError(f'{directory} is as it was written, but is no state that can be read: {error}') from error
    return like.replace(learner=like.learner.replace(**restored['learner']), key=restored['key']), progress


def _saved(state: 'TrainState', leaf) -> dict[str, Any]:
    import jax

    return jax.tree.map(leaf, {'learner': state.learner, 'key': state.key})


def _compare(directory: Path, stored: Any, target: Any) -> None:
    """Compares shapes and dtypes, since orbax would cast another dtype silently."""
    import jax

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
    """Every file in the folder and below; links and special files are refused."""
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
