"""Shipping finished runs: their curves, settings and score files."""

import dataclasses
import json

import pytest

from experiments import ship
from planet_jax import config
from planet_jax.scores import shipped

CPU = config.preset('cpu').resolve('cheetah_run')
NOISY = dataclasses.replace(CPU, collector=dataclasses.replace(CPU.collector, noise=0.7))
OLD = [shipped.Evaluation('cheetah_run', 'cpu', seed, 1, 20, 3.0, 7.0, 2) for seed in (0, 1)]


@pytest.fixture
def run(tmp_path, write_scores):
    """Writes the folder of a run with an evaluation after 20 episodes, which took 90 seconds."""
    def write(seed, returns=(100, 300)):
        folder = tmp_path / 'cheetah_run' / 'rssm-cpu' / str(seed)
        write_scores(folder, [('zero', 0, [1]), ('planet', 20, returns)])
        (folder / 'metrics.jsonl').write_text(json.dumps(
            {'episodes': 20, 'seconds': {'learn': 60.0, 'collect': 30.0, 'learn_each': 5.0}}) + '\n')
        return folder
    return write


def test_runs_replace_their_seeds_and_settings(run):
    before = {('cheetah_run', 'cpu'): NOISY, ('walker_walk', 'cpu'): NOISY}
    other = dataclasses.replace(OLD[0], task='walker_walk')
    runs = {folder: ship.evaluations(folder, 2) for folder in (run(0), run(1))}
    curves, settings = ship.ship(runs, [*OLD, other], before)
    assert curves == [other, *(shipped.Evaluation('cheetah_run', 'cpu', seed, 2, 20, 1.5, 200.0, 2) for seed in (0, 1))]
    assert settings == before | {('cheetah_run', 'cpu'): CPU}


def test_seeds_of_a_task_have_the_same_settings(run):
    folder = run(0)
    runs = {folder: ship.evaluations(folder, 1)}
    with pytest.raises(ValueError, match=r'other settings .* of cheetah_run \(collector.noise 0.1, not 0.7\)'):
        ship.ship(runs, OLD, {('cheetah_run', 'cpu'): NOISY})
    curves, settings = ship.ship(runs, OLD, {('cheetah_run', 'cpu'): CPU})
    assert [row.mean for row in sorted(curves, key=lambda row: row.seed)] == [200.0, 7.0]
    assert settings == {('cheetah_run', 'cpu'): CPU}


def test_files_are_copied_and_written(run, tmp_path, monkeypatch, capsys):
    for name in ('CURVES', 'SETTINGS', 'RESULTS'):
        monkeypatch.setattr(ship, name, tmp_path / name)
    (tmp_path / 'CURVES').write_text(shipped.write(OLD))
    (tmp_path / 'SETTINGS').write_text(shipped.write_settings({('cheetah_run', 'cpu'): NOISY}))
    folder = run(1)
    for name in ship.FILES:
        (folder / name).touch()
    arguments = ['--cores', '1', '--method', 'new', '--runs', str(folder)]
    assert ship.main(arguments) == 2
    assert 'ship all seeds of a task' in capsys.readouterr().err
    assert not (tmp_path / 'RESULTS').exists()
    assert ship.main([*arguments, str(run(0))]) == 2  # The folder of seed 0 lacks a file.
    (run_0 := tmp_path / 'cheetah_run' / 'rssm-cpu' / '0' / 'scores.csv').touch()
    assert ship.main([*arguments, str(run_0.parent)]) == 0
    kept = tmp_path / 'RESULTS' / 'cheetah_run' / 'new' / '1'
    assert all((kept / name).read_bytes() == (folder / name).read_bytes() for name in ship.FILES)
    assert {row.mean for row in shipped.parse((tmp_path / 'CURVES').read_text())} == {200.0}
    assert shipped.parse_settings((tmp_path / 'SETTINGS').read_text()) == {('cheetah_run', 'cpu'): CPU}
