"""Sorts scores into curves and tables, with their captions."""

import collections
import csv
import dataclasses
import io
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from planet_jax.scores import published, reading, statistics
from planet_jax.scores.numbers import significant
from planet_jax.scores.reading import Axis, Scores, by_method
from planet_jax.scores.statistics import Point
from planet_jax.storage.run_files import FolderError

LABELS = {'episodes': 'episodes collected', 'env_steps': 'environment steps'}
COLUMNS = ('task', 'agent', 'seeds', 'at', 'mean', 'median', '5%', '95%', 'IQM', 'IQM low', 'IQM high')
"""Columns of a table; `at` is the place on the axis."""


@dataclasses.dataclass(frozen=True)
class Collection:
    """Runs, sorted into curves.

    Attributes:
        tasks: for each task, the paper's first, the runs of each method.
        axis: horizontal axis.
        width: of a place on the axis.
    """

    tasks: dict[str, dict[str, list[Scores]]]
    axis: Axis
    width: int

    @property
    def runs(self) -> list[Scores]:
        """All runs."""
        return [run for methods in self.tasks.values() for runs in methods.values() for run in runs]

    def on_all_tasks(self) -> dict[str, dict[str, list[Scores]]]:
        """For each method with runs on all tasks, these runs; empty if a mean over the tasks makes no sense."""
        methods = dict.fromkeys(label for methods in self.tasks.values() for label in methods)
        if len(self.tasks) == 1 or not published.one_scale(self.tasks):
            return {}
        return {label: {task: of_task[label] for task, of_task in self.tasks.items()} for label in methods
                if all(label in of_task for of_task in self.tasks.values())}


def collect(directories: Sequence[Path], axis: Axis | None, width: int, say: Callable[[str], None]) -> Collection:
    """Reads all runs at or below some folders. Runs that cannot be read are left out and reported.

    Args:
        directories: each is a LOGDIR, a folder in it, or a run folder.
        axis: horizontal axis; by default episodes, if all runs count them.
        width: of a place on the axis.
        say: called with a sentence for each run that is left out.

    Raises:
        FolderError: no run is left, or a run lacks the counts of the axis.
    """
    found: dict[Path, tuple[Path, list[Scores]]] = {}
    for directory in directories:
        runs = reading.find_runs(directory)
        if not runs:
            raise FolderError(f'{directory} holds no scores: name a LOGDIR, or a folder LOGDIR/TASK/METHOD/SEED with '
                              f'the scores.csv of a run.')
        for run in runs:
            try:
                entries = [entry for entry in reading.read_run(run) if entry.trained]
            except (FolderError, OSError) as error:
                say(f'Left out: {error}')
                continue
            if not entries:
                say(f'Left out: {run} has no evaluation yet.')
            found.setdefault(run.resolve(), (directory, entries))
    if not any(entries for _, entries in found.values()):
        raise FolderError('None of these runs has been evaluated yet, so there is nothing to compare.')
    labelled = [(directory, dataclasses.replace(entry, method=_label(entry, len(entries))))
                for directory, entries in found.values() for entry in entries]
    seen = collections.Counter((entry.task, entry.method, entry.seed) for _, entry in labelled)
    # Folders with different seeds are parts of one method; folders with the same seeds are compared.
    twice = {method for (_, method, _), count in seen.items() if count > 1}
    merged = [dataclasses.replace(entry, method=f'{entry.method} in {directory}') if entry.method in twice else entry
            for directory, entry in labelled]
    if axis is None:
        axis = 'episodes' if all(_knows(run, 'episodes') for run in merged) else 'env_steps'
    for entry in merged:
        if not _knows(entry, axis):
            raise FolderError(f'The scores of {entry.method} on {entry.task}, seed {entry.seed}, do not have the '
                              f'number of {LABELS[axis]}: choose the other axis, --x '
                              f'{"env_steps" if axis == "episodes" else "episodes"}.')
    names = {run.task for run in merged}
    tasks: dict[str, dict[str, list[Scores]]] = {
        task: {} for task in [*published.TASKS, *sorted(names - set(published.TASKS))] if task in names}
    for entry in sorted(merged, key=lambda entry: entry.method):
        tasks[entry.task].setdefault(entry.method, []).append(entry)
    return Collection(tasks, axis, width)


def _label(run: Scores, tasks: int) -> str:
    """The label of a run's curve. An agent that learned several tasks has a curve of its own."""
    return run.method if tasks <= 1 or run.trained_on == run.task else f'{run.method}, one agent for {tasks} tasks'


def _knows(run: Scores, axis: Axis) -> bool:
    return all(getattr(entry, axis) is not None for entry in run.trained)


def make_rows(collection: Collection) -> list[dict[str, Any]]:
    """A table's rows, by `COLUMNS`; unknown values are None.

    Each task has its methods at the last evaluation that their seeds share, then the baselines, then published scores.
    """
    rows = []
    for task, methods in collection.tasks.items():
        for label, runs in methods.items():
            rows.append(_row(task, label, statistics.last(runs, collection.axis, collection.width),
                             statistics.interquartile_curve({task: runs}, collection.axis, collection.width)))
        runs = [run for of_method in methods.values() for run in of_method]
        rows += [dict(task=task, agent=f'{agent} actions', mean=mean) for agent in ('zero', 'uniform')
                 if (mean := statistics.baseline(runs, agent)) is not None]
        for entry in published.PUBLISHED if task in published.TASKS else ():
            place = {'episodes': entry.episodes, 'env_steps': entry.episodes and 1000 * entry.episodes}
            rows.append(dict(task=task, agent=entry.agent, at=place[collection.axis],
                             mean=entry.returns[published.TASKS.index(task)]))
    for label, tasks in collection.on_all_tasks().items():
        points = statistics.interquartile_curve(tasks, collection.axis, collection.width)
        if points:
            rows.append(_row(f'all {len(tasks)} tasks', label, None, points))
    return [dict.fromkeys(COLUMNS) | row for row in rows]


def _row(task: str, label: str, last: Point | None, interquartile: Sequence[Point]) -> dict[str, Any]:
    """The row of a method, with a name only if its seeds share no place."""
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
    lines = [names, ['---', '---', *['---:'] * (len(names) - 2)], *(map(short, row.values()) for row in rows)]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def short(value: Any) -> str:
    """A value of a table as text."""
    if value is None:
        return ''
    return significant(value, 3) if isinstance(value, float) else f'{value:,}' if isinstance(value, int) else value


def notes(collection: Collection) -> list[str]:
    """Sentences on what a table or a figure leaves out: means over tasks, and seeds that share no place."""
    told, where = [], (collection.axis, collection.width)
    places = f'{LABELS[collection.axis]}; --bin pools places that are close'
    if len(collection.tasks) > 1 and not published.one_scale(collection.tasks):
        told.append(published.no_mean(len(collection.tasks)))
    for task, methods in collection.tasks.items():
        told += [f'The seeds of {label} on {task} were never all evaluated at the same number of {places}.'
                 for label, runs in methods.items() if statistics.last(runs, *where) is None]
    told += [f'{label} was not evaluated on all tasks at the same number of {places}.'
             for label, tasks in collection.on_all_tasks().items() if not statistics.interquartile_curve(tasks, *where)]
    return told


def describe(runs: Sequence[Scores], axis: Axis = 'episodes', width: int = 1) -> str:
    """Numbers of seeds and evaluation episodes, presets and versions of MuJoCo, from the files."""
    points = [point for group in by_method(runs).values()
              for point in statistics.curve(group, axis, width)]
    counts = [len(entry.returns) for run in runs for entry in run.trained if run.preset]
    presets = sorted({run.preset for run in runs if run.trained and run.preset})
    told = span([point.seeds for point in points], 'seed')
    if presets:
        told += (f' and {span(counts, "episode")} per evaluation; preset{"s" * (len(presets) > 1)} '
                 f'{" and ".join(presets)}')
    versions = sorted({run.mujoco for run in runs if run.trained and run.mujoco})
    told += f'; mujoco {" and ".join(versions)}' if versions else ''
    means = sorted({run.method for run in runs if not run.preset})
    return told + (f'; only the means of evaluations of {" and ".join(means)}' if means else '')


def heading(title: str, runs: Iterable[Scores]) -> str:
    """A title, marked if a run has the debug preset, whose scores mean nothing."""
    return f'DEBUG: {title}' if any(run.preset == 'debug' for run in runs) else title


def span(counts: Sequence[int], noun: str = '') -> str:
    """The range of counts in words, with the noun in the plural if needed."""
    low, high = min(counts), max(counts)
    told = f'{low}' if low == high else f'{low} to {high}'
    return f'{told} {noun}{"s" * (high != 1)}' if noun else told
