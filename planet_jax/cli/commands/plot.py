"""`planet-jax plot`: draws and tabulates the scores of any number of runs beside published ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from planet_jax.cli.options import at_least

TABLES = ('.md', '.csv')
"""Endings of table files."""


@dataclass(frozen=True)
class Plot:
    """Draw or tabulate the scores of many runs beside published ones."""

    directories: Annotated[tuple[Path, ...], tyro.conf.arg(name='dir', metavar='DIR...'), tyro.conf.Positional]
    """Run folders, LOGDIR/TASK/METHOD/SEED, or folders above them; a scores.csv of any tool is enough."""
    out: tuple[Path, ...] = ()
    """Files to write: pictures (.png, .pdf, .svg) or tables (.md, .csv); by default scores.png, or nothing if a
    table is printed."""
    table: bool = False
    """Print the scores as a table."""
    x: Literal['episodes', 'env_steps'] | None = None
    """Horizontal axis; by default episodes, or environment steps where a file does not count episodes."""
    bin: int = 1
    """Pool evaluations within this many episodes or environment steps."""
    statistic: Literal['median', 'iqm'] = 'median'
    """What a curve shows: the median of all returns with the 5th to 95th percentiles, or the interquartile mean (IQM)
    of the seeds with a bootstrap interval. The curve over several tasks is always the IQM."""
    title: str = 'Return'
    """Title of the picture."""
    overwrite: bool = False
    """Replace existing files."""

    def __post_init__(self):
        if not self.directories:
            raise ValueError('No folder is named: give at least one folder with runs.')
        at_least(self, bin=1)
        for path in self.out:
            if path.suffix.lower() not in ('.png', '.pdf', '.svg', '.md', '.csv'):
                raise ValueError(f'The file to write is {path}, but must end in .png, .pdf or .svg for a picture, or '
                                 f'in .md or .csv for a table.')


def run(command: Plot, arguments: Sequence[str], console: Console) -> int:
    """Draws curves, and prints or writes tables.

    Raises:
        FolderError: a file exists already, or see `tables.collect`.
    """
    from planet_jax.scores import tables
    from planet_jax.storage.files import write_text
    from planet_jax.storage.run_files import FolderError

    del arguments
    out = command.out or (() if command.table else (Path('scores.png'),))
    for path in out:
        if path.exists() and not command.overwrite:
            raise FolderError(f'{path} exists already: name another file by --out, or replace it with '
                              f'--overwrite.')

    def say(sentence: str) -> None:
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    collection = tables.collect(command.directories, command.x, command.bin, say)
    rows = tables.make_rows(collection)
    if command.table:
        print_table(rows, collection.axis, console)
    for sentence in tables.notes(collection):
        say(sentence)
    for path in out:
        if path.suffix.lower() in TABLES:
            write_text(path, tables.write_table(rows, collection.axis, path.suffix.lower()))
        else:
            from planet_jax.pictures import curves, scores  # matplotlib takes longer than a table.

            curves.save(scores.draw(collection, command.statistic, command.title), path)
        say(f'Wrote {path}.')
    return 0


def print_table(rows: Sequence[dict[str, Any]], axis: str, console: Console) -> None:
    """Prints the rows, grouped by task."""
    from planet_jax.scores import tables

    def within(row, middle, low, high):
        told = tables.short(row[middle])
        return told if row[low] is None else f'{told} ({tables.short(row[low])} to {tables.short(row[high])})'

    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        'seeds': lambda row: tables.short(row['seeds']),
        axis.replace('_', ' '): lambda row: tables.short(row['at']),
        'mean': lambda row: tables.short(row['mean']),
        'median (5 to 95%)': lambda row: within(row, 'median', '5%', '95%'),
        'IQM (95%)': lambda row: within(row, 'IQM', 'IQM low', 'IQM high'),
    }
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), collapse_padding=True)
    table.add_column('agent', overflow='fold', min_width=16)
    for name in columns:
        table.add_column(name, justify='right', no_wrap=True)
    for number, row in enumerate(rows):
        if number == 0 or row['task'] != rows[number - 1]['task']:
            table.add_row('')
            table.add_row(row['task'], style='bold')
        table.add_row(Padding(row['agent'], (0, 0, 0, 2)), *(tell(row) for tell in columns.values()))
    console.print(table)
