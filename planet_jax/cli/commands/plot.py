"""`planet-jax plot`: curves and tables of the scores of any number of runs, beside what others report."""

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
"""Endings of files that are no pictures."""


@dataclass(frozen=True)
class Plot:
    """Draw or tabulate the scores of many runs beside published ones."""

    directories: Annotated[tuple[Path, ...], tyro.conf.arg(name='dir', metavar='DIR...'), tyro.conf.Positional]
    """Run folders, LOGDIR/TASK/METHOD/SEED, or folders above them; scores.csv alone will do, of any tool."""
    out: tuple[Path, ...] = ()
    """Files to write, by their ending pictures (.png, .pdf, .svg) or tables (.md, .csv); none, and no --table:
    scores.png."""
    table: bool = False
    """Print a table."""
    x: Literal['episodes', 'env_steps'] | None = None
    """Horizontal axis; none: episodes, or environment steps if some files do not tell episodes."""
    bin: int = 1
    """Evaluations within so many episodes or environment steps are taken together."""
    statistic: Literal['median', 'iqm'] = 'median'
    """Of a curve: the median of all returns, with 5 to 95 percentiles, or the interquartile mean (IQM) of the seeds,
    with a bootstrap interval. Over several tasks it is always the IQM."""
    title: str = 'Return'
    """Of the picture."""
    overwrite: bool = False
    """Replace files that are there."""

    def __post_init__(self):
        if not self.directories:
            raise ValueError('No folder is named: name at least one that holds runs.')
        at_least(self, bin=1)
        for path in self.out:
            if path.suffix.lower() not in ('.png', '.pdf', '.svg', '.md', '.csv'):
                raise ValueError(f'The file to write is {path}, but must end in .png, .pdf or .svg for a picture, or '
                                 f'in .md or .csv for a table.')


def run(command: Plot, arguments: Sequence[str], console: Console) -> int:
    """Draws curves, and prints or writes tables.

    Raises:
        FolderError: a file is there already, or see `tables.collect`.
    """
    from planet_jax.scores import tables
    from planet_jax.storage.files import write_text
    from planet_jax.storage.run_folder import FolderError

    del arguments
    out = command.out or (() if command.table else (Path('scores.png'),))
    for path in out:
        if path.exists() and not command.overwrite:
            raise FolderError(f'{path} is there already: name another file by --out, or replace it with '
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
    """The rows for a person, a part for each task."""
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
