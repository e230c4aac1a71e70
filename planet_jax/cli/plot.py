"""`planet-jax plot`: curves and tables of the scores of any number of runs, beside what others report."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from planet_jax.scores import published, statistics, tables
from planet_jax.scores.reading import Axis
from planet_jax.scores.tables import LABELS, Collection
from planet_jax.storage.files import write_text
from planet_jax.storage.run_folder import FolderError

if TYPE_CHECKING:
    from planet_jax.pictures import curves as figures  # matplotlib takes longer than a table.

TABLES = ('.md', '.csv')
"""Endings of files that are no pictures."""
PAPER = published.PUBLISHED[0]
"""The row of the published numbers that is drawn."""


def make_panels(collection: Collection, statistic: Literal['median', 'iqm']) -> 'list[figures.Panel]':
    """A panel for each task; with several, one of the interquartile mean over all of them.

    Args:
        collection: what to draw.
        statistic: the curves of a task: median and percentiles of returns, or interquartile mean of seeds and its
            interval.
    """
    from planet_jax.pictures import curves as figures

    where, panels = (collection.axis, collection.width), []
    for task, methods in collection.tasks.items():
        runs = [run for of_method in methods.values() for run in of_method]
        lines = {f'{agent} actions': statistics.baseline(runs, agent) for agent in ('uniform', 'zero')}
        lines[f'PlaNet in the paper, {PAPER.episodes} episodes'] = dict(zip(published.TASKS, PAPER.returns)).get(task)
        curves = {label: statistics.interquartile_curve({task: of_method}, *where) if statistic == 'iqm'
                  else statistics.curve(of_method, *where) for label, of_method in methods.items()}
        lines = {name: value for name, value in lines.items() if value is not None}
        panels.append(figures.Panel(task, curves, lines, published.SUITE_RETURNS if published.in_suite(task) else None))
    everywhere = {label: points for label, tasks in collection.on_all_tasks().items()
                  if (points := statistics.interquartile_curve(tasks, *where))}
    if everywhere:
        panels.append(figures.Panel(f'IQM of {len(collection.tasks)} tasks', everywhere,
                                    limits=published.SUITE_RETURNS))
    return panels


def draw(collection: Collection, statistic: Literal['median', 'iqm'], title: str) -> 'figures.Figure':
    """Curves with their caption; see `make_panels`."""
    from planet_jax.pictures import curves as figures

    panels = make_panels(collection, statistic)
    iqm = 'interquartile mean (IQM) of the seeds, from two seeds on with its 95% bootstrap interval'
    told = f'{iqm[0].upper()}{iqm[1:]}' if statistic == 'iqm' else 'Median and 5 to 95 percentiles of the returns'
    if statistic == 'median' and len(panels) > len(collection.tasks):
        told += f'; over all tasks the {iqm}'
    described = tables.describe(collection.runs, collection.axis, collection.width)
    return figures.draw(panels, title=tables.heading(title, collection.runs), x_label=LABELS[collection.axis],
                        caption=' '.join([f'{told}.', f'{described}.', *tables.notes(collection)]))


def print_table(rows: Sequence[dict[str, Any]], axis: Axis, console: Console) -> None:
    """The rows for a person, a part for each task."""
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


def plot(directories: Sequence[Path], *, out: Sequence[Path], table: bool, axis: Axis | None, width: int,
         statistic: Literal['median', 'iqm'], title: str, overwrite: bool, console: Console) -> None:
    """Draws curves, and prints or writes tables.

    Args:
        directories: with runs, see `tables.collect`.
        out: files to write, each a picture or a table as its name ends.
        table: whether to print the table.
        axis: see `tables.collect`.
        width: of a place on the axis.
        statistic: see `make_panels`.
        title: of a picture.
        overwrite: whether a file that is there may be replaced.
        console: for a person.

    Raises:
        FolderError: a file is there already, or see `tables.collect`.
    """
    for path in out:
        if path.exists() and not overwrite:
            raise FolderError(f'{path} is there already: name another file by --out, or replace it with '
                              f'--overwrite.')

    def say(sentence: str) -> None:
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    collection = tables.collect(directories, axis, width, say)
    rows = tables.make_rows(collection)
    if table:
        print_table(rows, collection.axis, console)
    for sentence in tables.notes(collection):
        say(sentence)
    for path in out:
        if path.suffix.lower() in TABLES:
            write_text(path, tables.write_table(rows, collection.axis, path.suffix.lower()))
        else:
            from planet_jax.pictures import curves as figures

            figures.save(draw(collection, statistic, title), path)
        say(f'Wrote {path}.')
