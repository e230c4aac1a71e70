"""The numbers that tables and figures take from score files."""

import csv
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from planet_jax.scores import reading, statistics

RESULTS = Path(__file__).parents[2] / 'experiments' / 'results'


def test_points_are_over_seeds_and_episodes_together(two_seeds):
    points = statistics.curve(two_seeds)
    # Of 0, 100, 200, 300: the 5th percentile lies at 0.15 of the way through the three gaps.
    assert points[0] == statistics.Point(10, 2, mean=150, middle=150, low=pytest.approx(15), high=pytest.approx(285))
    assert [(point.x, point.seeds, point.middle) for point in points] == [(10, 2, 150), (20, 2, 550),
                                                                                 (25, 1, 1000)]


def test_the_last_evaluation_is_one_that_all_seeds_have(two_seeds, tmp_path, write_scores):
    assert statistics.last(two_seeds) == statistics.curve(two_seeds)[1]
    assert statistics.last(two_seeds[:1]).mean == 1000
    write_scores(tmp_path / 'cup_catch' / 'rssm-cpu' / '4', [('zero', 0, [0])])
    begun = reading.read_run(tmp_path / 'cup_catch' / 'rssm-cpu' / '4')
    assert statistics.last([*two_seeds, *begun]) == statistics.last(two_seeds)
    assert statistics.last(begun) is None and statistics.last([]) is None


def test_agents_that_look_at_nothing_are_averaged_over_all_starts(two_seeds):
    assert statistics.baseline(two_seeds, 'zero') == 20
    assert statistics.baseline(two_seeds, 'uniform') == 50
    assert statistics.baseline([], 'zero') is None


@pytest.mark.parametrize('directory', reading.find_runs(RESULTS), ids=lambda path: '/'.join(path.parts[-3:]))
def test_results_of_this_project_agree_with_their_means(directory):
    points = [(point.mean, point.seeds) for entry in reading.read_run(directory) for point in statistics.curve([entry])]
    if not (directory / 'scores.csv').exists():
        assert points == []
        return
    with open(directory / 'scores.csv') as file:
        rewards = [float(row['reward']) for row in csv.DictReader(file)]
    np.testing.assert_allclose([mean for mean, _ in points], rewards)
    assert rewards


def run(seed, values, task='cup_catch'):
    return reading.Scores(task, task, 'a', 'cpu', seed, (reading.Evaluation('planet', 10, tuple(values)),))


def test_interquartile_mean_and_its_interval():
    four = [run(seed, [value, value + 20]) for seed, value in enumerate([-10, 0, 10, 500])]
    [point] = statistics.interquartile_curve({'cup_catch': four})
    assert (point.x, point.seeds, point.mean, point.middle) == (10, 4, 135, 15)
    # The least and the largest that four draws of 0, 10, 20 and 510 make likely; all equal has 1 in 256.
    assert point.low == 0 and point.high == pytest.approx(510)
    assert point == statistics.interquartile_curve({'cup_catch': four})[0]  # The same draws every time.
    # Seeds are drawn within their task only, so tasks that differ make no interval.
    constant = {'cup_catch': [run(0, [1]), run(1, [1])], 'walker_walk': [run(0, [9]), run(1, [9])]}
    [point] = statistics.interquartile_curve(constant)
    assert (point.middle, point.low, point.high) == (5, 5, 5)
    [point] = statistics.interquartile_curve({'cup_catch': [run(0, [3])]})
    assert point.middle == 3 and np.isnan([point.low, point.high]).all()


@pytest.mark.parametrize('count', [1, 3, 4, 5, 10])
def test_the_interquartile_mean_is_scipys_trimmed_mean(count):
    scores = np.random.default_rng(count).normal(size=(3, count))
    np.testing.assert_allclose(statistics._interquartile_mean(scores, axis=-1),
                               scipy.stats.trim_mean(scores, 0.25, axis=-1))
