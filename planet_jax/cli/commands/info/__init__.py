"""`planet-jax info`: what is installed, and what runs are, how far, how fast and on what."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console


@dataclass(frozen=True)
class Info:
    """Show what is installed, or how far and how fast runs are."""

    run: Annotated[Path | None, tyro.conf.arg(name='dir'), tyro.conf.Positional] = None
    """Folder of a run, LOGDIR/TASK/METHOD/SEED, or one above several runs, of which each gets a line."""


def run(command: Info, arguments: Sequence[str], console: Console) -> int:
    """Prints what is known.

    Raises:
        FolderError: there is no run, or the only one cannot be read.
    """
    from planet_jax.cli.commands.info import words

    del arguments
    if command.run:
        words.describe(command.run, console)
    else:
        words.describe_installation(console)
    return 0
