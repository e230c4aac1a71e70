"""Score files of any number of runs: reading them, and what is told of them in tables and figures.

`evaluations.jsonl` holds every return, so nothing is read from `scores.csv`, which holds the means alone.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from planet_jax.cli.run_folder import FolderError, read_lines

TRAINED = 'planet'
"""The agent of an evaluation that was trained; the others look at nothing."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of one agent on one task.

    Attributes:
        agent: 'planet', or one that looks at nothing: 'zero' or 'uniform'.
        episodes: collected of this task when it was made; 0 for agents that look at nothing.
        returns: of the evaluation's episodes.
    """

    agent: str
    episodes: int
    returns: tuple[float, ...]


@dataclass(frozen=True)
class Scores:
    """What one run scored on one task; a run on several tasks has one for each.

    Attributes:
        task: that was evaluated.
        trained_on: name of the run's task folder: the same, or that of several tasks.
        method: name of the run's method folder.
        preset: that its configuration started from.
        seed: of the run.
        evaluations: in the order of the file.
    """

    task: str
    trained_on: str
    method: str
    preset: str
    seed: int
    evaluations: tuple[Evaluation, ...]

    @property
    def trained(self) -> tuple[Evaluation, ...]:
        """Evaluations of the trained agent."""
        return tuple(evaluation for evaluation in self.evaluations if evaluation.agent == TRAINED)

    @property
    def episodes(self) -> int:
        """Collected until the last evaluation of the trained agent; 0 if there was none."""
        return max((evaluation.episodes for evaluation in self.trained), default=0)


@dataclass(frozen=True)
class Point:
    """What the seeds of a method score after so many episodes, over the returns of all of them together.

    Attributes:
        episodes: collected of the task.
        seeds: that were evaluated there.
        mean: of the returns (the paper's table 1).
        median: of the returns (the paper's figures).
        low: 5th percentile.
        high: 95th percentile.
    """

    episodes: int
    seeds: int
    mean: float
    median: float
    low: float
    high: float


def find_runs(path: Path) -> list[Path]:
    """Run folders at or below a path: a LOGDIR, a task's or a method's folder in it, or a run's."""
    return sorted(found.parent for depth in ('', '*/', '*/*/', '*/*/*/') for found in path.glob(f'{depth}config.json'))


def read_run(directory: Path) -> tuple[Scores, ...]:
    """What a run scored, for each task that it was evaluated on.

    Args:
        directory: LOGDIR/TASK/METHOD/SEED.

    Raises:
        FolderError: it is no run folder, or a file in it is damaged.
    """
    directory = directory.resolve()
    path = directory / 'config.json'
    if not path.exists():
        raise FolderError(f'{directory} is not a run folder: it has no config.json.')
    try:
        record = json.loads(path.read_text())
        task, preset, seed = (record[name] for name in ('task', 'preset', 'seed'))
        path = directory / 'evaluations.jsonl'
        lines = [(line.get('task', task), Evaluation(line['agent'], line['episodes'], tuple(line['returns'])))
                 for line in read_lines(path)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FolderError(f'{path} cannot be read: {type(error).__name__}, {error}. Remove its run folder, or go on '
                          f'with the run if it is only half written.') from error
    trained_on, method = directory.parts[-3:-1]
    return tuple(Scores(name, trained_on, method, preset, seed, tuple(entry for task, entry in lines if task == name))
                 for name in dict.fromkeys(task for task, _ in lines))


def curve(runs: Iterable[Scores]) -> tuple[Point, ...]:
    """The seeds of one method on one task, at each number of episodes where any of them was evaluated."""
    entries = sorted(((entry.episodes, entry.returns) for run in runs for entry in run.trained),
                     key=lambda entry: entry[0])
    points = []
    for episodes, group in groupby(entries, key=lambda entry: entry[0]):
        returns = [values for _, values in group]
        pooled = np.concatenate(returns)
        low, median, high = np.percentile(pooled, [5, 50, 95])
        points.append(Point(episodes, len(returns), *map(float, (pooled.mean(), median, low, high))))
    return tuple(points)


def last(runs: Sequence[Scores]) -> Point | None:
    """The last evaluation that all seeds of a method have in common; none if there is none.

    Seeds that were not evaluated yet are left out.
    """
    seeds = sum(bool(run.trained) for run in runs)
    return next((point for point in reversed(curve(runs)) if point.seeds == seeds), None)


def baseline(runs: Iterable[Scores], agent: str) -> float | None:
    """Mean return of an agent that looks at nothing, over the starts of all these runs; none if it was not run."""
    returns = [entry.returns for run in runs for entry in run.evaluations if entry.agent == agent]
    return float(np.concatenate(returns).mean()) if returns else None


def by_method(runs: Iterable[Scores]) -> dict[tuple[str, str, str], list[Scores]]:
    """The seeds that make a curve, by the task evaluated, the task folder and the method."""
    groups = {}
    for run in runs:
        groups.setdefault((run.task, run.trained_on, run.method), []).append(run)
    return groups


def describe(runs: Sequence[Scores]) -> str:
    """Seeds, episodes of an evaluation and preset, as the files have them."""
    points = [point for group in by_method(runs).values() for point in curve(group)]
    counts = [len(entry.returns) for run in runs for entry in run.trained]
    presets = sorted({run.preset for run in runs if run.trained})
    return (f'{span([point.seeds for point in points], "seed")} and {span(counts, "episode")} per evaluation; '
            f'preset{"s" * (len(presets) > 1)} {" and ".join(presets)}')


def heading(title: str, runs: Iterable[Scores]) -> str:
    """A title that says so if a run is of the debug preset, whose scores mean nothing."""
    return f'DEBUG: {title}' if any(run.preset == 'debug' for run in runs) else title


def span(counts: Sequence[int], noun: str = '') -> str:
    """From the least to the most in words, with the noun in the plural where it must be."""
    low, high = min(counts), max(counts)
    told = f'{low}' if low == high else f'{low} to {high}'
    return f'{told} {noun}{"s" * (high != 1)}' if noun else told
