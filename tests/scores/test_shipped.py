"""The curves of shipped runs, and the sentence about them."""

import dataclasses

from planet_jax import config
from planet_jax.scores import shipped
from planet_jax.scores.shipped import Evaluation


def row(seed, episodes, minutes, mean, task='walker_walk'):
    return Evaluation(task, 'cpu', seed, 1, episodes, minutes, mean, 2)


ROWS = [row(1, 100, 62.0, 420.0), row(0, 20, 12.5, 100.0), row(0, 50, 31.0, 300.0), row(1, 40, 29.0, 200.0),
        row(0, 100, 64.0, 380.0)]


def test_a_file_is_read_as_it_was_written():
    assert shipped.parse(shipped.write(ROWS)) == tuple(sorted(ROWS, key=lambda row: (row.seed, row.episodes)))


def test_the_expectation_is_a_mean_of_the_latest_scores_of_that_minute():
    found = {0: tuple(r for r in sorted(ROWS, key=lambda row: row.episodes) if r.seed == 0),
             1: tuple(r for r in sorted(ROWS, key=lambda row: row.episodes) if r.seed == 1)}
    told = shipped.expectation(found)
    assert told == ('30 minutes: about 150; 60 minutes: about 250; 100 episodes, in 64 minutes: about 400 '
                    '(two runs, each on one core).')


def test_minutes_that_a_run_had_not_reached_are_not_told():
    told = shipped.expectation({0: (row(0, 100, 25.0, 500.0),)})
    assert told == '100 episodes, in 25 minutes: about 500 (one run on one core).'
    assert shipped.expectation({}) is None


def test_runs_are_compared_where_the_shortest_ends():
    found = {0: (row(0, 100, 16.0, 180.0), row(0, 240, 41.0, 270.0)), 1: (row(1, 100, 19.0, 160.0),)}
    assert shipped.expectation(found) == '100 episodes, in 19 minutes: about 170 (two runs, each on one core).'


def test_settings_are_read_as_they_were_written():
    settings = {(task, 'cpu'): config.preset('cpu').resolve(task) for task in ('walker_walk', 'finger_spin')}
    assert shipped.parse_settings(shipped.write_settings(settings)) == settings


def test_every_shipped_curve_has_its_settings():
    assert set(shipped.settings()) == {(row.task, row.preset) for row in shipped.evaluations()}


def test_settings_without_an_effect_on_scores_are_no_difference():
    cpu = config.preset('cpu').resolve('walker_walk')
    other = dataclasses.replace(cpu, evaluation=config.Evaluation(), replay=config.Replay(100, 'host'))
    assert shipped.effective_differences(cpu, other, 100) == {}
    assert shipped.effective_differences(cpu, other, 101) == {'replay.capacity': (None, 100)}
    noisy = dataclasses.replace(cpu, collector=dataclasses.replace(cpu.collector, noise=0.7))
    assert shipped.effective_differences(noisy, other, 100) == {'collector.noise': (0.7, cpu.collector.noise)}
