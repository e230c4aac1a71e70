"""Episodes on disk: one compressed NumPy archive each, written once."""

import hashlib
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from planet_jax import replay
from planet_jax.config import Spec
from planet_jax.storage import files
from planet_jax.types import Trajectory

FIELDS = ('observation', 'action', 'reward', 'length')
TERMINATED = 'terminated'
"""Member of the files of tasks that can terminate; earlier versions did not write it."""
OVERHEAD = 2**14
"""Bytes that headers and the list of members may take, at most."""


def write(path: Path, episode: Trajectory) -> str:
    """Writes an episode so that the file is either whole or absent, also after a crash.

    Args:
        path: of the file, ending in .npz; a file that is there already is replaced.
        episode: without batch axes, as NumPy arrays; stored up to its length.

    Returns:
        the SHA-256 of the file, in hexadecimal.
    """
    length = int(episode.length)
    rows = {name: np.asarray(array)[:length] for name, array in {
        **named_parts(episode.observation), 'action': episode.action, 'reward': episode.reward}.items()}
    with files.replacing(path) as partial, open(partial, 'wb') as file:
        ends = {} if episode.terminated is None else {TERMINATED: np.bool_(episode.terminated)}
        np.savez_compressed(file, **rows, length=np.int32(length), **ends)
    return digest(path)


def named_parts(observation: Any) -> dict[str, Any]:
    """The arrays of an observation by their names in a file: observation, or observation.NAME for each part."""
    if isinstance(observation, dict):
        return {f'observation.{name}': part for name, part in observation.items()}
    return {'observation': observation}


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        ValueError: it is a link or another special file.
    """
    _check_regular(path)
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
    _check_regular(path)
    rows = spec.steps + 1
    parts = spec.parts or (('', spec.observation_shape, spec.observation_dtype),)
    seen = {f'observation.{name}' if name else 'observation': (shape, dtype) for name, shape, dtype in parts}
    widths = *(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in seen.values()), 4 * spec.action_size, 4
    try:
        # What cannot be compressed grows by less than a thousandth.
        if path.stat().st_size > 1.01 * rows * sum(widths) + OVERHEAD:
            raise ValueError(f'it is larger than {rows} rows can be')
        with zipfile.ZipFile(path) as archive:
            names = sorted(archive.namelist())
            told = spec.ends and f'{TERMINATED}.npy' in names
            fields = *seen, *FIELDS[1:]
            if names != sorted(f'{name}.npy' for name in (*fields, *[TERMINATED] * told)):
                raise ValueError(f'it does not hold {", ".join(fields)}, each once and nothing else')
            length = int(_array(archive, 'length', (), 'int32'))
            if not 1 <= length <= rows:
                raise ValueError(f'it has {length} rows, where 1 to {rows} are possible')
            arrays = {
                **{name: _array(archive, name, (length, *shape), dtype) for name, (shape, dtype) in seen.items()},
                'action': _array(archive, 'action', (length, spec.action_size), 'float32'),
                'reward': _array(archive, 'reward', (length,), 'float32'),
            }
            terminated = _array(archive, TERMINATED, (), 'bool') if told else False
    except Exception as error:  # zipfile, zlib and NumPy each fail in ways of their own, many of them undocumented
        raise ValueError(f'{path} is not an episode of this task: {error}.') from error
    if not all(np.isfinite(arrays[name]).all() for name in ('action', 'reward')):
        raise ValueError(f'{path} is not an episode of this task: an action or a reward is not a finite number.')
    padded = {name: np.concatenate([values, np.zeros((rows - length, *values.shape[1:]), values.dtype)])
              for name, values in arrays.items()}
    observation = {name: padded[f'observation.{name}'] for name, *_ in spec.parts} or padded['observation']
    return Trajectory(observation, padded['action'], padded['reward'], np.int32(length),
                      np.bool_(terminated) if spec.ends else None)


def empty(spec: Spec) -> Trajectory:
    """An episode with T + 1 invalid rows, which fills a slot without being learned from."""
    rows = spec.steps + 1
    return Trajectory(replay.zeros(spec, (rows,)), np.zeros((rows, spec.action_size), np.float32),
                      np.zeros(rows, np.float32), np.int32(0), np.bool_(False) if spec.ends else None)


def _check_regular(path: Path) -> None:
    """Refuses links and special files before they are opened, since a special file may be endless."""
    if path.is_symlink() or path.exists() and not path.is_file():
        raise ValueError(f'{path} is a link or another special file, which no episode is.')


def _array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """A member of the archive. Memory is allocated only if its header states this shape and dtype."""
    info, size = archive.getinfo(f'{name}.npy'), math.prod(shape) * np.dtype(dtype).itemsize
    # Other compression methods unpack without a limit, and NumPy trusts the length of a header.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.file_size > size + OVERHEAD:
        raise ValueError(f'its {name} is compressed by another method, or larger than {dtype} {shape}')
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        stated_shape, _, stated_dtype = header(file)
    if (stated_shape, stated_dtype) != (shape, np.dtype(dtype)):
        raise ValueError(f'its {name} is {stated_dtype} {stated_shape}, not {dtype} {shape}')
    with archive.open(info) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        if file.read(1):  # Reading to the end is also what makes zipfile compare its checksum.
            raise ValueError(f'its {name} goes on after its end')
    return array
