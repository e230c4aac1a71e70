"""Score files of any number of runs: reading them, and what is told of them in tables and figures.

A run of this project has every return in `evaluations.jsonl`. Where there is none, `scores.csv` is read, which holds
the means alone: `step,reward,seed`, as other tools write it in folders TASK/METHOD/SEED or TASK/METHOD.
"""

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.stats

from planet_jax.storage.files import read_lines
from planet_jax.storage.run_folder import FolderError

TRAINED = 'planet'
"""The agent of an evaluation that was trained; the others look at nothing."""
Axis = Literal['episodes', 'env_steps']
"""What scores are drawn over."""
RESAMPLES = 2000
"""Of a bootstrap interval; each draw is the same in every process."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of one agent on one task.

    Attributes:
        agent: 'planet', or one that looks at nothing: 'zero' or 'uniform'.
        episodes: collected of this task when it was made; 0 for agents that look at nothing, none if not known.
        returns: of the evaluation's episodes, or their mean alone.
        env_steps: collected when it was made, of all tasks that its agent learns; none if not known.
    """

    agent: str
    episodes: int | None
    returns: tuple[float, ...]
    env_steps: int | None = None


@dataclass(frozen=True)
class Scores:
    """What one run scored on one task; a run on several tasks has one for each.

    Attributes:
        task: that was evaluated.
        trained_on: name of the run's task folder: the same, or that of several tasks.
        method: name of the run's method folder.
        preset: that its configuration started from; none for a run of another tool.
        seed: of the run.
        evaluations: in the order of the file.
    """

    task: str
    trained_on: str
    method: str
    preset: str | None
    seed: int
    evaluations: tuple[Evaluation, ...]

    @property
    def trained(self) -> tuple[Evaluation, ...]:
        """Evaluations of the trained agent."""
        return tuple(evaluation for evaluation in self.evaluations if evaluation.agent == TRAINED)

    @property
    def episodes(self) -> int:
        """Collected until the last evaluation of the trained agent; 0 if there was none."""
        return max((evaluation.episodes or 0 for evaluation in self.trained), default=0)

    def places(self, axis: Axis = 'episodes', width: int = 1) -> dict[int, list[float]]:
        """Returns of the trained agent at each place of an axis.

        Args:
            axis: what the places count.
            width: of a place, which is named by its end: evaluations within it are taken together.
        """
        found: dict[int, list[float]] = {}
        for entry in sorted(self.trained, key=lambda entry: getattr(entry, axis)):
            found.setdefault(-(-getattr(entry, axis) // width) * width, []).extend(entry.returns)
        return found


@dataclass(frozen=True)
class Point:
    """What the seeds of a method score at one place of the axis.

    Attributes:
        x: episodes collected of the task, or environment steps.
        seeds: that were evaluated there; of several tasks, the least.
        mean: of the returns of all seeds together (the paper's table 1).
        middle: their median (the paper's figures), or the interquartile mean of the seeds' scores.
        low: 5th percentile of the returns, or the lower end of the interval of the interquartile mean.
        high: 95th percentile, or the upper end; not a number where there is no interval.
    """

    x: int
    seeds: int
    mean: float
    middle: float
    low: float
    high: float


def find_runs(path: Path) -> list[Path]:
    """Folders with scores at or below a path: a LOGDIR, a task's or a method's folder in it, or a run's."""
    return sorted({found.parent for depth in ('', '*/', '*/*/', '*/*/*/') for name in ('config.json', 'scores.csv')
                   for found in path.glob(f'{depth}{name}')})


def read_run(directory: Path) -> tuple[Scores, ...]:
    """What a run scored, for each task that it was evaluated on; nothing if it was not evaluated yet.

    Args:
        directory: LOGDIR/TASK/METHOD/SEED; that of another tool may hold several seeds, and be LOGDIR/TASK/METHOD.

    Raises:
        FolderError: it is no run folder, or a file in it is damaged.
    """
    directory = directory.resolve()
    path = directory / 'scores.csv'
    try:
        if path.exists() and not (directory / 'evaluations.jsonl').exists():
            return _read_means(path)
        path = directory / 'config.json'
        if not path.exists():
            raise FolderError(f'{directory} is not a run folder: it has no config.json.')
        record = json.loads(path.read_text())
        task, preset, seed = (record[name] for name in ('task', 'preset', 'seed'))
        path = directory / 'evaluations.jsonl'
        lines = [(line.get('task', task), Evaluation(line['agent'], line['episodes'], tuple(line['returns']),
                                                     line.get('env_steps'))) for line in read_lines(path)]
    except FolderError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise FolderError(f'{path} cannot be read: {type(error).__name__}, {error}. Remove its run folder, or go on '
                          f'with the run if it is only half written.') from error
    trained_on, method = directory.parts[-3:-1]
    return tuple(Scores(name, trained_on, method, preset, seed, tuple(entry for task, entry in lines if task == name))
                 for name in dict.fromkeys(task for task, _ in lines))


def _read_means(path: Path) -> tuple[Scores, ...]:
    """The runs of a `scores.csv`, one for each seed in it; the folders above it name task and method."""
    *above, last = path.parent.parts
    # A seed's folder is a number, perhaps with a word before it; whatever else it is called is a method.
    task, method = above[-2:] if re.fullmatch(r'(seed)?[-_]?\d+', last) else (above[-1], last)
    seeds: dict[int, list[Evaluation]] = {}
    with open(path, newline='') as file:
        for row in csv.DictReader(file, skipinitialspace=True):
            step, reward, seed = (float(row[name]) for name in ('step', 'reward', 'seed'))
            if not (math.isfinite(reward) and step >= 0 and step == int(step) and seed == int(seed)):
                raise ValueError(f'the line of step {row["step"]}, reward {row["reward"]} and seed {row["seed"]}')
            seeds.setdefault(int(seed), []).append(Evaluation(TRAINED, None, (reward,), int(step)))
    return tuple(Scores(task, task, method, None, seed, tuple(entries)) for seed, entries in seeds.items())


def curve(runs: Iterable[Scores], axis: Axis = 'episodes', width: int = 1) -> tuple[Point, ...]:
    """The seeds of one method on one task, at each place of the axis where any of them was evaluated."""
    found = [run.places(axis, width) for run in runs]
    points = []
    for x in sorted({x for places in found for x in places}):
        returns = [places[x] for places in found if x in places]
        pooled = np.concatenate(returns)
        low, median, high = np.percentile(pooled, [5, 50, 95])
        points.append(Point(x, len(returns), *map(float, (pooled.mean(), median, low, high))))
    return tuple(points)


def interquartile_curve(tasks: Mapping[str, Sequence[Scores]], axis: Axis = 'episodes', width: int = 1,
                        ) -> tuple[Point, ...]:
    """Interquartile mean of one method over its seeds on one or more tasks, at each place that all of them have.

    A seed's score on a task is the mean of its returns. The interval is the middle 95% of a bootstrap that draws seeds
    anew within each task (Agarwal et al. 2021); there is none if a task has one seed.

    Args:
        tasks: name of each task to the runs on it; those that were not evaluated yet are left out.
        axis: what the places count.
        width: of a place.
    """
    found = [[run.places(axis, width) for run in runs if run.trained] for runs in tasks.values()]
    points = []
    for x in sorted(set.intersection(*(set(places) for runs in found for places in runs)) if all(found) else []):
        means = [np.array([np.mean(places[x]) for places in runs]) for runs in found]
        low = high = math.nan
        if all(len(of_task) > 1 for of_task in means):
            low, high = scipy.stats.bootstrap(means, _interquartile_mean, n_resamples=RESAMPLES, method='percentile',
                                              rng=np.random.default_rng(0)).confidence_interval
        points.append(Point(x, min(map(len, means)), *map(float, (
            np.concatenate(means).mean(), _interquartile_mean(*means), low, high))))
    return tuple(points)


def _interquartile_mean(*tasks: np.ndarray, axis: int = -1) -> np.ndarray:
    """The mean of the middle half of all scores, whichever task they are of."""
    return scipy.stats.trim_mean(np.concatenate(tasks, axis), 0.25, axis)


def last(runs: Sequence[Scores], axis: Axis = 'episodes', width: int = 1) -> Point | None:
    """The last evaluation that all seeds of a method have in common; none if there is none.

    Seeds that were not evaluated yet are left out.
    """
    seeds = sum(bool(run.trained) for run in runs)
    return next((point for point in reversed(curve(runs, axis, width)) if point.seeds == seeds), None)


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


def describe(runs: Sequence[Scores], axis: Axis = 'episodes', width: int = 1) -> str:
    """Seeds, episodes of an evaluation and presets, as the files have them."""
    points = [point for group in by_method(runs).values() for point in curve(group, axis, width)]
    counts = [len(entry.returns) for run in runs for entry in run.trained if run.preset]
    presets = sorted({run.preset for run in runs if run.trained and run.preset})
    told = span([point.seeds for point in points], 'seed')
    if presets:
        told += (f' and {span(counts, "episode")} per evaluation; preset{"s" * (len(presets) > 1)} '
                 f'{" and ".join(presets)}')
    means = sorted({run.method for run in runs if not run.preset})
    return told + (f'; of {" and ".join(means)} the means of evaluations alone' if means else '')


def heading(title: str, runs: Iterable[Scores]) -> str:
    """A title that says so if a run is of the debug preset, whose scores mean nothing."""
    return f'DEBUG: {title}' if any(run.preset == 'debug' for run in runs) else title


def span(counts: Sequence[int], noun: str = '') -> str:
    """From the least to the most in words, with the noun in the plural where it must be."""
    low, high = min(counts), max(counts)
    told = f'{low}' if low == high else f'{low} to {high}'
    return f'{told} {noun}{"s" * (high != 1)}' if noun else told
