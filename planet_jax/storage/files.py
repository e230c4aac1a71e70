"""Writes files that are whole or absent: a file takes its place only once it is complete.

Text is UTF-8, whatever the locale says.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from planet_jax.storage import names


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Writes a file that takes its place only once it is whole and on the disk. An existing file is replaced.

    Args:
        path: of the file; its folder is made if it is missing.

    Yields:
        the path to write to, in the same folder. If the block raises, nothing is left there, and a file that was at
        `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.partial')
    try:
        yield partial
        with open(partial, 'r+b') as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text as UTF-8, see `replacing`. Bytes of a file name that are not text are escaped."""
    with replacing(path) as partial:
        partial.write_text(text, encoding='utf-8', errors='backslashreplace')


def write_json(path: Path, record: Any, indent: int | None = None) -> None:
    """Writes JSON, see `replacing`."""
    write_text(path, json.dumps(record, indent=indent))


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Adds a line to a .jsonl file."""
    with open(path, 'a', encoding='utf-8') as file:
        file.write(json.dumps(record) + '\n')


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
    """
    return path.read_text(encoding='utf-8')


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a .jsonl file with today's names of metrics; empty if there is no file.

    A last line that a crash cut short is left out.

    Raises:
        ValueError: a line is not JSON.
    """
    if not path.exists():
        return []
    return [names.today(json.loads(line)) for line in read_text(path).split('\n')[:-1]]


def free_bytes(directory: Path) -> tuple[int, Path]:
    """Free bytes on the disk of a folder, and the nearest existing folder, which was asked."""
    there = next(path for path in [directory.absolute(), *directory.absolute().parents] if path.is_dir())
    return shutil.disk_usage(there).free, there
