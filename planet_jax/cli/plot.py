"""`planet-jax plot`: curves and tables of the scores of any number of runs, beside what others report."""

import collections
import csv
import dataclasses
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from planet_jax.pictures import curves as figures
from planet_jax.scores import published
from planet_jax.scores import reading as scores
from planet_jax.scores.reading import Axis, Point, Scores
from planet_jax.storage.run_folder import FolderError

TABLES = ('.md', '.csv')
"""Endings of files that are no pictures."""
LABELS = {'episodes': 'episodes collected', 'env_steps': 'environment steps'}
COLUMNS = ('task', 'agent', 'seeds', 'at', 'mean', 'median', '5%', '95%', 'IQM', 'IQM low', 'IQM high')
"""Of a table; `at` is the place on the axis."""
PAPER = published.PUBLISHED[0]
"""The row of the published numbers that is drawn."""


@dataclasses.dataclass(frozen=True)
class Collection:
    """Runs, sorted into curves.

    Attributes:
        tasks: name of each task, the paper's first, to the runs of each method on it.
        axis: what scores are drawn over.
        width: of a place on the axis.
    """

    tasks: dict[str, dict[str, list[Scores]]]
    axis: Axis
    width: int

    @property
    def runs(self) -> list[Scores]:
        """All of them."""
        return [run for methods in self.tasks.values() for runs in methods.values() for run in runs]

    def on_all_tasks(self) -> dict[str, dict[str, list[Scores]]]:
        """Each method that was run on all tasks, to its runs on each; nothing if there is one task only."""
        methods = dict.fromkeys(label for methods in self.tasks.values() for label in methods)
        if len(self.tasks) == 1:
            return {}
        return {label: {task: of_task[label] for task, of_task in self.tasks.items()} for label in methods
                if all(label in of_task for of_task in self.tasks.values())}


def collect(directories: Sequence[Path], axis: Axis | None, width: int, console: Console) -> Collection:
    """Reads all runs at or below some folders; what cannot be read is left out, and said.

    Args:
        directories: each a LOGDIR, a folder in it, or a run's.
        axis: what scores are drawn over; none: episodes, if all runs know them.
        width: of a place on the axis.
        console: where to say it.

    Raises:
        FolderError: nothing is left, or a run does not know what the axis counts.
    """
    found: dict[Path, tuple[Path, list[Scores]]] = {}
    for directory in directories:
        runs = scores.find_runs(directory)
        if not runs:
            raise FolderError(f'{directory} holds no scores: name a LOGDIR, or a folder LOGDIR/TASK/METHOD/SEED with '
                              f'the scores.csv of a run.')
        for run in runs:
            try:
                entries = [entry for entry in scores.read_run(run) if entry.trained]
            except (FolderError, OSError) as error:
                console.print(f'Left out: {error}', highlight=False, markup=False, soft_wrap=True)
                continue
            if not entries:
                console.print(f'Left out: {run} has no evaluation yet.', highlight=False, markup=False, soft_wrap=True)
            found.setdefault(run.resolve(), (directory, entries))
    if not any(entries for _, entries in found.values()):
        raise FolderError('No run there was evaluated yet, so there is nothing to compare.')
    labelled = [(directory, dataclasses.replace(entry, method=_label(entry, len(entries))))
                for directory, entries in found.values() for entry in entries]
    seen = collections.Counter((entry.task, entry.method, entry.seed) for _, entry in labelled)
    # Folders that hold different seeds are parts of one method, those with the same seeds are to be compared.
    twice = {method for (_, method, _), count in seen.items() if count > 1}
    runs = [dataclasses.replace(entry, method=f'{entry.method} in {directory}') if entry.method in twice else entry
            for directory, entry in labelled]
    if axis is None:
        axis = 'episodes' if all(_knows(run, 'episodes') for run in runs) else 'env_steps'
    for run in runs:
        if not _knows(run, axis):
            raise FolderError(f'The scores of {run.method} on {run.task}, seed {run.seed}, do not tell the number of '
                              f'{LABELS[axis]}: choose the other axis, --x '
                              f'{"env_steps" if axis == "episodes" else "episodes"}.')
    names = {run.task for run in runs}
    tasks = {task: {} for task in [*published.TASKS, *sorted(names - set(published.TASKS))] if task in names}
    for run in sorted(runs, key=lambda run: run.method):
        tasks[run.task].setdefault(run.method, []).append(run)
    return Collection(tasks, axis, width)


def _label(run: Scores, tasks: int) -> str:
    """Of its curve; an agent that has learned several tasks is another one."""
    return run.method if tasks <= 1 or run.trained_on == run.task else f'{run.method}, one agent for {tasks} tasks'


def _knows(run: Scores, axis: Axis) -> bool:
    return all(getattr(entry, axis) is not None for entry in run.trained)


def make_panels(collection: Collection, statistic: Literal['median', 'iqm']) -> list[figures.Panel]:
    """A panel for each task; with several, one of the interquartile mean over all of them.

    Args:
        collection: what to draw.
        statistic: the curves of a task: median and percentiles of returns, or interquartile mean of seeds and its
            interval.
    """
    where, panels = (collection.axis, collection.width), []
    for task, methods in collection.tasks.items():
        runs = [run for of_method in methods.values() for run in of_method]
        lines = {f'{agent} actions': scores.baseline(runs, agent) for agent in ('uniform', 'zero')}
        lines[f'PlaNet in the paper, {PAPER.episodes} episodes'] = dict(zip(published.TASKS, PAPER.returns)).get(task)
        curves = {label: scores.interquartile_curve({task: of_method}, *where) if statistic == 'iqm'
                  else scores.curve(of_method, *where) for label, of_method in methods.items()}
        panels.append(figures.Panel(task, curves, {name: value for name, value in lines.items() if value is not None}))
    everywhere = {label: points for label, tasks in collection.on_all_tasks().items()
                  if (points := scores.interquartile_curve(tasks, *where))}
    if everywhere:
        panels.append(figures.Panel(f'IQM of {len(collection.tasks)} tasks', everywhere))
    return panels


def draw(collection: Collection, statistic: Literal['median', 'iqm'], title: str) -> figures.Figure:
    """The curves; see `make_panels`."""
    panels = make_panels(collection, statistic)
    iqm = 'interquartile mean (IQM) of the seeds, from two seeds on with its 95% bootstrap interval'
    told = f'{iqm[0].upper()}{iqm[1:]}' if statistic == 'iqm' else 'Median and 5 to 95 percentiles of the returns'
    if statistic == 'median' and len(panels) > len(collection.tasks):
        told += f'; over all tasks the {iqm}'
    return figures.draw(panels, title=scores.heading(title, collection.runs), x_label=LABELS[collection.axis], caption=(
        f'{told}. {scores.describe(collection.runs, collection.axis, collection.width)}.'))


def make_rows(collection: Collection) -> list[dict[str, Any]]:
    """A table's rows, by `COLUMNS`; what is not known is none.

    Each method stands there at the last evaluation that its seeds have in common, then what looks at nothing, and what
    others report on the same task.
    """
    rows = []
    for task, methods in collection.tasks.items():
        for label, runs in methods.items():
            rows.append(_row(task, label, scores.last(runs, collection.axis, collection.width),
                             scores.interquartile_curve({task: runs}, collection.axis, collection.width)))
        runs = [run for of_method in methods.values() for run in of_method]
        rows += [dict(task=task, agent=f'{agent} actions', mean=mean) for agent in ('zero', 'uniform')
                 if (mean := scores.baseline(runs, agent)) is not None]
        for entry in published.PUBLISHED if task in published.TASKS else ():
            place = {'episodes': entry.episodes, 'env_steps': entry.episodes and 1000 * entry.episodes}
            rows.append(dict(task=task, agent=entry.agent, at=place[collection.axis],
                             mean=entry.returns[published.TASKS.index(task)]))
    for label, tasks in collection.on_all_tasks().items():
        points = scores.interquartile_curve(tasks, collection.axis, collection.width)
        if points:
            rows.append(_row(f'all {len(tasks)} tasks', label, None, points))
    return [dict.fromkeys(COLUMNS) | row for row in rows]


def _row(task: str, label: str, last: Point | None, interquartile: Sequence[Point]) -> dict[str, Any]:
    """Of a method; where its seeds have no place in common, it has a name only."""
    row: dict[str, Any] = {'task': task, 'agent': label}
    if interquartile:
        point = interquartile[-1]
        row |= {'seeds': point.seeds, 'at': point.x, 'mean': point.mean, 'IQM': point.middle}
        row |= {} if math.isnan(point.low) else {'IQM low': point.low, 'IQM high': point.high}
    if last:
        row |= {'seeds': last.seeds, 'at': last.x, 'mean': last.mean, 'median': last.middle, '5%': last.low,
                '95%': last.high}
    return row


def write_table(rows: Sequence[dict[str, Any]], axis: Axis, ending: str) -> str:
    """The rows as text.

    Args:
        rows: see `make_rows`.
        axis: of the column `at`.
        ending: '.csv', with every digit, or '.md'.
    """
    names = [LABELS[axis] if name == 'at' else name for name in COLUMNS]
    if ending == '.csv':
        text = io.StringIO()
        csv.writer(text, lineterminator='\n').writerows([names, *(row.values() for row in rows)])
        return text.getvalue()
    lines = [names, ['---', '---', *['---:'] * (len(names) - 2)], *(map(_short, row.values()) for row in rows)]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def print_table(rows: Sequence[dict[str, Any]], axis: Axis, console: Console) -> None:
    """The rows for a person, a part for each task."""
    def within(row, middle, low, high):
        return _short(row[middle]) + (f' ({_short(row[low])}–{_short(row[high])})' if row[low] is not None else '')

    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        'seeds': lambda row: _short(row['seeds']),
        axis.replace('_', ' '): lambda row: _short(row['at']),
        'mean': lambda row: _short(row['mean']),
        'median (5–95%)': lambda row: within(row, 'median', '5%', '95%'),
        'IQM (95%)': lambda row: within(row, 'IQM', 'IQM low', 'IQM high'),
    }
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), collapse_padding=True)
    table.add_column('agent')
    for name in columns:
        table.add_column(name, justify='right', no_wrap=True)
    for number, row in enumerate(rows):
        if number == 0 or row['task'] != rows[number - 1]['task']:
            table.add_row('')
            table.add_row(row['task'], style='bold')
        table.add_row(Padding(row['agent'], (0, 0, 0, 2)), *(tell(row) for tell in columns.values()))
    console.print(table)


def _short(value: Any) -> str:
    """A value of a table as a person reads it."""
    if value is None:
        return ''
    return f'{value:.0f}' if isinstance(value, float) else f'{value:,}' if isinstance(value, int) else value


def plot(directories: Sequence[Path], *, out: Sequence[Path], table: bool, axis: Axis | None, width: int,
         statistic: Literal['median', 'iqm'], title: str, overwrite: bool, console: Console) -> None:
    """Draws curves, and prints or writes tables.

    Args:
        directories: with runs, see `collect`.
        out: files to write, each a picture or a table as its name ends.
        table: whether to print the table.
        axis: see `collect`.
        width: of a place on the axis.
        statistic: see `make_panels`.
        title: of a picture.
        overwrite: whether a file that is there may be replaced.
        console: for a person.

    Raises:
        FolderError: a file is there already, or see `collect`.
    """
    for path in out:
        if path.exists() and not overwrite:
            raise FolderError(f'{path} is there already: name another file by --out, or replace it with '
                              f'--overwrite.')
    collection = collect(directories, axis, width, console)
    rows = make_rows(collection)
    if table:
        print_table(rows, collection.axis, console)
    for path in out:
        if path.suffix.lower() in TABLES:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(write_table(rows, collection.axis, path.suffix.lower()))
        else:
            figures.save(draw(collection, statistic, title), path)
        console.print(f'Wrote {path}.', highlight=False, markup=False, soft_wrap=True)
