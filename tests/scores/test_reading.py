"""Reading score files, also of other tools."""

from pathlib import Path

import pytest

from planet_jax.scores import reading
from planet_jax.storage.run_files import FolderError


def test_a_run_is_read_as_it_was_written(two_seeds):
    first, second = two_seeds
    assert (first.task, first.trained_on, first.method, first.preset, first.seed, second.seed) == (
        'cup_catch', 'cup_catch', 'rssm-cpu', 'cpu', 0, 3)
    assert first.evaluations[0] == reading.Evaluation('zero', 0, (10, 30))
    assert [entry.episodes for entry in first.trained] == [10, 20, 25]
    assert (first.episodes, second.episodes) == (25, 20)


def test_a_run_on_several_tasks_has_scores_of_each(tmp_path, write_scores):
    directory = tmp_path / 'all' / 'rssm-debug' / '1'
    write_scores(directory, [('zero', 0, [1], 'cup_catch'), ('zero', 0, [2], 'finger_spin'),
                             ('planet', 4, [3], 'cup_catch'), ('planet', 4, [5], 'finger_spin')], preset='debug')
    cup, finger = reading.read_run(directory)
    assert (cup.task, finger.task, cup.trained_on, finger.trained_on) == ('cup_catch', 'finger_spin', 'all', 'all')
    assert [entry.returns for entry in finger.evaluations] == [(2,), (5,)]


def test_runs_are_found_below_any_folder(two_seeds, tmp_path):
    found = [tmp_path / 'cup_catch' / 'rssm-cpu' / number for number in ('0', '3')]
    for folder in (tmp_path, tmp_path / 'cup_catch', tmp_path / 'cup_catch' / 'rssm-cpu'):
        assert reading.find_runs(folder) == found
    assert reading.find_runs(found[0]) == found[:1]


def test_damage_is_told_by_the_name_of_the_file(tmp_path, write_scores, monkeypatch):
    with pytest.raises(FolderError, match='is not a run folder'):
        reading.read_run(tmp_path)
    directory = tmp_path / 'cup_catch' / 'rssm-cpu' / '0'
    write_scores(directory, [('planet', 10, [1, 2])])
    with open(directory / 'evaluations.jsonl', 'a') as file:
        file.write('{"agent": "planet", "epi')
    # From within, and while the run is writing.
    monkeypatch.chdir(directory)
    [run] = reading.read_run(Path())
    assert (run.method, run.episodes) == ('rssm-cpu', 10)
    for broken in ('{"agent": "planet", "epi\n', '{"agent": "planet", "episodes": 20}\n', '[]\n'):
        (directory / 'evaluations.jsonl').write_text(broken)
        with pytest.raises(FolderError, match='evaluations.jsonl cannot be read'):
            reading.read_run(directory)
    (directory / 'config.json').write_text('[]')
    with pytest.raises(FolderError, match='config.json cannot be read'):
        reading.read_run(directory)


@pytest.mark.parametrize('content, told', [
    ('step;reward;seed\n1000;1,5;0\n', 'semicolons between its columns, but a score file needs commas'),
    ('step\treward\tseed\n1000\t1.5\t0\n', 'tabs between its columns'),
    ('step,reward\n1000,1\n', 'no column seed: a score file begins with a line that names its columns'),
    ('', 'no column step and no column reward'),
    ('step,reward,seed\n1000,1,0\n2000,nan,0\n', 'line 3: the reward is nan, which cannot be averaged'),
    ('step,reward,seed\n1000,...,0\n', "line 2: the reward is '...', which is not a number"),
    ('step,reward,seed\n1000,1.5\n', 'line 2, has no seed: it may be cut short'),
    ('step,reward,seed\n1000.5,1,0\n', 'line 2: the step is 1000.5 .* whole numbers'),
    ('step,reward,seed\n"' + 'x' * 200_000 + '",1,0\n', 'cannot be read: field larger'),
    ('step,reward,seed\n1000,1,0\n'.encode('utf-16'), 'is not UTF-8 text'),
])
def test_what_is_wrong_with_a_score_file_is_told(content, told, tmp_path):
    path = tmp_path / 'cup_catch' / 'other' / '0' / 'scores.csv'
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FolderError, match=told) as caught:
        reading.read_run(path.parent)
    assert str(caught.value).startswith(str(path)) and 'emove' not in str(caught.value)


def test_a_byte_order_mark_is_passed_over(tmp_path):
    path = tmp_path / 'cup_catch' / 'other' / '0' / 'scores.csv'
    path.parent.mkdir(parents=True)
    path.write_bytes('step, reward, seed\r\n1000, 1.5, 4\r\n'.encode('utf-8-sig'))
    [run] = reading.read_run(path.parent)
    assert (run.seed, run.evaluations) == (4, (reading.Evaluation('planet', None, (1.5,), 1000),))
