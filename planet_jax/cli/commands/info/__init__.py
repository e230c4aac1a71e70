"""`planet-jax info`: shows the installation, or the settings, progress and pace of runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console


@dataclass(frozen=True)
class Info:
    """Show the installation, or the progress and pace of runs."""

    run: Annotated[Path | None, tyro.conf.arg(name='dir'), tyro.conf.Positional] = None
    """Folder of a run, LOGDIR/TASK/METHOD/SEED; for a folder above several runs, each has a line."""


def run(command: Info, arguments: Sequence[str], console: Console) -> int:
    """Prints the facts.

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
