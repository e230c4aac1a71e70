"""Statistics over the scores of several seeds: means, percentiles, and the interquartile mean with its interval."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from planet_jax.scores.reading import Axis, Scores

RESAMPLES = 2000
"""Draws of a bootstrap interval, the same in every process."""


@dataclass(frozen=True)
class Point:
    """The scores of a method's seeds at one place of the axis.

    Attributes:
        x: episodes of data, or environment steps.
        seeds: number of seeds that were evaluated there; over several tasks, the smallest such number.
        mean: of the returns of all seeds together (the paper's table 1).
        middle: median of these returns (the paper's figures), or the interquartile mean of the seeds' scores.
        low: 5th percentile of the returns, or the lower end of the interquartile mean's interval.
        high: 95th percentile, or the upper end; NaN without an interval.
    """

    x: int
    seeds: int
    mean: float
    middle: float
    low: float
    high: float


def curve(runs: Iterable[Scores], axis: Axis = 'episodes', width: int = 1) -> tuple[Point, ...]:
    """The points of one method on one task, one for each place where any seed was evaluated."""
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
    """Interquartile mean of one method over its seeds on one or more tasks, at each place that all seeds share.

    A seed's score on a task is the mean of its returns. The interval is the middle 95% of a bootstrap that resamples
    seeds within each task (Agarwal et al. 2021); with one seed on a task there is no interval.

    Args:
        tasks: name of each task to its runs; runs without an evaluation are left out.
        axis: of the places.
        width: of a place.
    """
    found = [[run.places(axis, width) for run in runs if run.trained] for runs in tasks.values()]
    points = []
    for x in sorted(set.intersection(*(set(places) for runs in found for places in runs)) if all(found) else []):
        means = [np.array([np.mean(places[x]) for places in runs]) for runs in found]
        low = high = math.nan
        if all(len(of_task) > 1 for of_task in means):
            import scipy.stats  # Takes longer than all the rest.

            low, high = scipy.stats.bootstrap(means, _interquartile_mean, n_resamples=RESAMPLES, method='percentile',
                                              rng=np.random.default_rng(0)).confidence_interval
        points.append(Point(x, min(map(len, means)), *map(float, (
            np.concatenate(means).mean(), _interquartile_mean(*means), low, high))))
    return tuple(points)


def _interquartile_mean(*tasks: np.ndarray, axis: int = -1) -> np.ndarray:
    """The mean of the middle half of all scores, over all tasks."""
    scores = np.sort(np.concatenate(tasks, axis), axis)
    cut = scores.shape[axis] // 4
    return np.take(scores, range(cut, scores.shape[axis] - cut), axis).mean(axis)


def last(runs: Sequence[Scores], axis: Axis = 'episodes', width: int = 1) -> Point | None:
    """The last evaluation that all seeds of a method share, or None.

    Seeds without an evaluation are left out.
    """
    seeds = sum(bool(run.trained) for run in runs)
    return next((point for point in reversed(curve(runs, axis, width)) if point.seeds == seeds), None)


def baseline(runs: Iterable[Scores], agent: str) -> float | None:
    """Mean return of a baseline over the starts of all these runs; None if it was not run."""
    returns = [entry.returns for run in runs for entry in run.evaluations if entry.agent == agent]
    return float(np.concatenate(returns).mean()) if returns else None
