"""Reading score files, and the numbers that tables and figures take from them."""

import csv
from pathlib import Path

import numpy as np
import pytest

from planet_jax.scores import reading as scores
from planet_jax.storage.run_folder import FolderError

RESULTS = Path(__file__).parents[2] / 'experiments' / 'results'


@pytest.fixture
def two_seeds(tmp_path, write_scores):
    runs = tmp_path / 'cup_catch' / 'rssm-cpu'
    write_scores(runs / '0', [('zero', 0, [10, 30]), ('uniform', 0, [50]), ('planet', 10, [0, 100]),
                              ('planet', 20, [400, 500]), ('planet', 25, [1000, 1000])])
    write_scores(runs / '3', [('zero', 0, [20]), ('planet', 10, [200, 300]), ('planet', 20, [600, 700])])
    return [entry for number in ('0', '3') for entry in scores.read_run(runs / number)]


def test_a_run_is_read_as_it_was_written(two_seeds):
    first, second = two_seeds
    assert (first.task, first.trained_on, first.method, first.preset, first.seed, second.seed) == (
        'cup_catch', 'cup_catch', 'rssm-cpu', 'cpu', 0, 3)
    assert first.evaluations[0] == scores.Evaluation('zero', 0, (10, 30))
    assert [entry.episodes for entry in first.trained] == [10, 20, 25]
    assert (first.episodes, second.episodes) == (25, 20)


def test_points_are_over_seeds_and_episodes_together(two_seeds):
    points = scores.curve(two_seeds)
    # Of 0, 100, 200, 300: the 5th percentile lies at 0.15 of the way through the three gaps.
    assert points[0] == scores.Point(10, 2, mean=150, middle=150, low=pytest.approx(15), high=pytest.approx(285))
    assert [(point.x, point.seeds, point.middle) for point in points] == [(10, 2, 150), (20, 2, 550),
                                                                                 (25, 1, 1000)]


def test_the_last_evaluation_is_one_that_all_seeds_have(two_seeds, tmp_path, write_scores):
    assert scores.last(two_seeds) == scores.curve(two_seeds)[1]
    assert scores.last(two_seeds[:1]).mean == 1000
    write_scores(tmp_path / 'cup_catch' / 'rssm-cpu' / '4', [('zero', 0, [0])])
    begun = scores.read_run(tmp_path / 'cup_catch' / 'rssm-cpu' / '4')
    assert scores.last([*two_seeds, *begun]) == scores.last(two_seeds)
    assert scores.last(begun) is None and scores.last([]) is None


def test_agents_that_look_at_nothing_are_averaged_over_all_starts(two_seeds):
    assert scores.baseline(two_seeds, 'zero') == 20
    assert scores.baseline(two_seeds, 'uniform') == 50
    assert scores.baseline([], 'zero') is None


def test_a_run_on_several_tasks_has_scores_of_each(tmp_path, write_scores):
    directory = tmp_path / 'all' / 'rssm-debug' / '1'
    write_scores(directory, [('zero', 0, [1], 'cup_catch'), ('zero', 0, [2], 'finger_spin'),
                             ('planet', 4, [3], 'cup_catch'), ('planet', 4, [5], 'finger_spin')], preset='debug')
    cup, finger = scores.read_run(directory)
    assert (cup.task, finger.task, cup.trained_on, finger.trained_on) == ('cup_catch', 'finger_spin', 'all', 'all')
    assert [entry.returns for entry in finger.evaluations] == [(2,), (5,)]


def test_descriptions_say_what_the_files_hold(two_seeds, tmp_path, write_scores):
    assert scores.describe(two_seeds) == '1 to 2 seeds and 2 episodes per evaluation; preset cpu'
    assert scores.heading('Scores', two_seeds) == 'Scores'
    write_scores(tmp_path / 'all' / 'rssm-debug' / '1', [('planet', 4, [5], 'cup_catch')], preset='debug')
    [other] = scores.read_run(tmp_path / 'all' / 'rssm-debug' / '1')
    assert scores.describe([other]) == '1 seed and 1 episode per evaluation; preset debug'
    # Another method on the same task is another curve, and no further seed.
    assert scores.describe([*two_seeds, other]) == (
        '1 to 2 seeds and 1 to 2 episodes per evaluation; presets cpu and debug')
    assert scores.heading('Scores', [*two_seeds, other]) == 'DEBUG: Scores'


def test_runs_are_found_below_any_folder(two_seeds, tmp_path):
    found = [tmp_path / 'cup_catch' / 'rssm-cpu' / number for number in ('0', '3')]
    for folder in (tmp_path, tmp_path / 'cup_catch', tmp_path / 'cup_catch' / 'rssm-cpu'):
        assert scores.find_runs(folder) == found
    assert scores.find_runs(found[0]) == found[:1]


def test_damage_is_told_by_the_name_of_the_file(tmp_path, write_scores, monkeypatch):
    with pytest.raises(FolderError, match='is not a run folder'):
        scores.read_run(tmp_path)
    directory = tmp_path / 'cup_catch' / 'rssm-cpu' / '0'
    write_scores(directory, [('planet', 10, [1, 2])])
    with open(directory / 'evaluations.jsonl', 'a') as file:
        file.write('{"agent": "planet", "epi')
    # From within, and while the run is writing.
    monkeypatch.chdir(directory)
    [run] = scores.read_run(Path())
    assert (run.method, run.episodes) == ('rssm-cpu', 10)
    for broken in ('{"agent": "planet", "epi\n', '{"agent": "planet", "episodes": 20}\n', '[]\n'):
        (directory / 'evaluations.jsonl').write_text(broken)
        with pytest.raises(FolderError, match='evaluations.jsonl cannot be read'):
            scores.read_run(directory)
    (directory / 'config.json').write_text('[]')
    with pytest.raises(FolderError, match='config.json cannot be read'):
        scores.read_run(directory)


@pytest.mark.parametrize('directory', scores.find_runs(RESULTS), ids=lambda path: '/'.join(path.parts[-3:]))
def test_results_of_this_project_agree_with_their_means(directory):
    points = [(point.mean, point.seeds) for entry in scores.read_run(directory) for point in scores.curve([entry])]
    if not (directory / 'scores.csv').exists():
        assert points == []
        return
    with open(directory / 'scores.csv') as file:
        rewards = [float(row['reward']) for row in csv.DictReader(file)]
    np.testing.assert_allclose([mean for mean, _ in points], rewards)
    assert len(rewards) > 3
