"""Episodes on disk: one compressed NumPy archive each, written once."""

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np

from planet_jax.config import Spec
from planet_jax.types import Trajectory

FIELDS = ('observation', 'action', 'reward', 'length')


def write(path: Path, episode: Trajectory) -> str:
    """Writes an episode so that the file is either whole or absent, also after a crash.

    Args:
        path: of the file, ending in .npz; a file that is there already is replaced.
        episode: without batch axes, as NumPy arrays; stored up to its length.

    Returns:
        the SHA-256 of the file, in hexadecimal.
    """
    length = int(episode.length)
    rows = {name: np.asarray(getattr(episode, name))[:length] for name in FIELDS[:3]}
    partial = path.with_name(f'.{path.name}.partial')
    with open(partial, 'wb') as file:
        np.savez_compressed(file, **rows, length=np.int32(length))
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    return digest(path)


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def read(path: Path, spec: Spec) -> Trajectory:
    """Reads an episode; nothing in the file is executed, and nothing is allocated before its stated size is checked.

    Args:
        path: of the file.
        spec: what the episode must fit: its shapes and dtypes, and at most T + 1 rows.

    Returns:
        the episode as NumPy arrays, padded with zeros to T + 1 rows.

    Raises:
        ValueError: the file is damaged, or is not an episode of such an environment; the message names it and says why.
    """
    rows = spec.steps + 1
    try:
        with zipfile.ZipFile(path) as archive:
            length = int(_array(archive, 'length', (), 'int32'))
            if not 1 <= length <= rows:
                raise ValueError(f'it has {length} rows, where 1 to {rows} are possible')
            shape = (length, *spec.observation_shape)
            fields = {
                'observation': _array(archive, 'observation', shape, spec.observation_dtype),
                'action': _array(archive, 'action', (length, spec.action_size), 'float32'),
                'reward': _array(archive, 'reward', (length,), 'float32'),
            }
    except Exception as error:  # zipfile, zlib and NumPy each fail in ways of their own, many of them undocumented
        raise ValueError(f'{path} is not an episode of this task: {error}.') from error
    if not all(np.isfinite(fields[name]).all() for name in ('action', 'reward')):
        raise ValueError(f'{path} is not an episode of this task: an action or a reward is not a finite number.')
    padded = {name: np.concatenate([values, np.zeros((rows - length, *values.shape[1:]), values.dtype)])
              for name, values in fields.items()}
    return Trajectory(**padded, length=np.int32(length))


def _array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """A member of the archive, once its header states this shape and dtype: only then is memory taken for it."""
    with archive.open(f'{name}.npy') as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        stated_shape, _, stated_dtype = header(file)
    if (stated_shape, stated_dtype) != (shape, np.dtype(dtype)):
        raise ValueError(f'its {name} is {stated_dtype} {stated_shape}, not {dtype} {shape}')
    with archive.open(f'{name}.npy') as file:
        return np.lib.format.read_array(file, allow_pickle=False)
