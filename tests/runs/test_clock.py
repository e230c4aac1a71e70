"""The paces of the clock, with a fake time."""

import dataclasses

import pytest

from planet_jax import config
from planet_jax.runs.training import clock as clock_module
from planet_jax.runs.training.clock import Clock


@pytest.fixture
def spend(monkeypatch):
    """A function that measures a phase which takes so many seconds."""
    now = [0.0]
    monkeypatch.setattr(clock_module.time, 'monotonic', lambda: now[0])
    clock = Clock({})

    def spend(phase, seconds, units=1):
        with clock.measure(phase, units):
            now[0] += seconds

    return clock, spend


@pytest.mark.parametrize('done, updates, learn', [(0, 0, 4), (2, 0, 4), (2, 3, 1), (2, 4, 0), (3, 6, 0), (6, 20, 0)])
def test_updates_during_an_episode_are_part_of_it(done, updates, learn):
    settings = config.preset('debug')  # 2 seed episodes, 4 updates before an episode.
    settings = dataclasses.replace(settings, collector=dataclasses.replace(settings.collector, while_learning=True))
    left = clock_module.units_left(settings, 1, 6, done, updates)
    assert (left['seed'], left['learn'], left['collect']) == (max(2 - done, 0), learn, min(6 - done, 4))


def test_the_first_time_says_nothing_of_the_pace(spend):
    clock, spend = spend
    assert clock.pace('learn') is None
    spend('learn', 20)
    spend('learn', 1, units=2)
    assert clock.pace('learn') == 0.5 and clock.seconds['learn'] == 21


def test_one_update_that_compiles_does_not_change_the_time_left(spend):
    clock, spend = spend
    for seconds in (20, 0.1, 0.1, 0.1, 15, 0.1):
        spend('learn', seconds)
    assert clock.remaining({'learn': 100}, {}) == pytest.approx(10)


def test_parts_and_paces_are_no_phases():
    seconds = {'learn': 5.0, 'learn_xla': 2.0, 'learn_each': 0.1, 'open_loop': 1.0, 'open_loop_xla': 0.5,
               'collect': 3.0, 'collect_simulator': 1.0}
    assert clock_module.phases(seconds) == {'learn': 5.0, 'open_loop': 1.0, 'collect': 3.0}


def test_a_lasting_change_of_the_pace_is_seen(spend):
    clock, spend = spend
    for seconds in [20] + 20 * [0.1] + 9 * [0.4]:
        spend('learn', seconds)
    assert clock.pace('learn') == pytest.approx(0.4)
