"""The schedule of evaluations, their numbers of episodes, and that each is recorded once."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

from planet_jax.config import Evaluation, preset
from planet_jax.runs.training.clock import units_left

CPU = preset('cpu').evaluation


@pytest.mark.parametrize('settings, total, expected', [
    (Evaluation(every=25), 110, {25: 10, 50: 10, 75: 10, 100: 10, 110: 10}),
    (Evaluation(every=0), 110, {}),
    (Evaluation(every=20, first=6, full=100), 110, {6: 1, 9: 1, 14: 2, 20: 2, 40: 4, 60: 6, 80: 8, 100: 10, 110: 10}),
    (Evaluation(every=20, first=6, full=100), 60, {6: 1, 9: 1, 14: 2, 20: 2, 40: 4, 60: 10}),
    (Evaluation(every=20, spacing=0.2), 280, {
        **dict.fromkeys([20, 40, 60, 80, 100, 120, 160, 200, 240], 10), 280: 10}),
    (Evaluation(every=20, first=16, spacing=0.5), 50, {16: 10, 40: 10, 50: 10}),
    (Evaluation(every=10, first=20), 30, {10: 10, 20: 10, 30: 10}),
    (Evaluation(every=10, first=10), 20, {10: 10, 20: 10}),
    (Evaluation(every=5, first=1, growth=1.1, episodes=3, full=4), 6, {1: 1, 2: 2, 3: 3, 4: 3, 5: 3, 6: 3})])
def test_where_evaluations_are_and_how_large(settings, total, expected):
    there = [done for done in range(1, total + 1) if settings.due(done) or settings.every and done == total]
    assert {done: settings.count(done, total) for done in there} == expected
    assert settings.amount(0, total) == pytest.approx(sum(expected.values()) / settings.episodes)
    assert settings.amount(total, total) == 0


@pytest.mark.parametrize('total, most', [(60, 0.26), (100, 0.19), (200, 0.15), (500, 0.14)])
def test_a_cpu_evaluates_early_and_little(total, most):
    # The first planned episode is the sixth. On two cores an evaluated episode of walker_walk takes 0.6 of the time of
    # one of data, with its hundred updates, so that 0.18 are a tenth of the time.
    planned = total - preset('cpu').collector.seed_episodes
    assert CPU.due(6) and CPU.count(6, total) == 1 and CPU.count(total, total) == 10
    assert CPU.amount(0, total) * CPU.episodes <= most * planned


@pytest.mark.parametrize('name', ['planet', 'paper'])
def test_the_papers_presets_evaluate_as_ever(name):
    settings = preset(name).evaluation
    assert [done for done in range(101) if settings.due(done)] == [25, 50, 75, 100]
    assert {settings.count(done, 1000) for done in range(1, 1001)} == {10}


@pytest.mark.parametrize('changes, word', [
    ({'spacing': -1}, 'spacing'),
    ({'first': 0}, 'first'), ({'growth': 1.0}, 'growth'), ({'full': -1}, 'full'), ({'growth': float('nan')}, 'growth')])
def test_settings_that_make_no_schedule_are_refused(changes, word):
    with pytest.raises(ValueError, match=f'evaluation.{word} is .* must be at least'):
        Evaluation(**changes)


def test_what_is_left_counts_parts_of_evaluations():
    config = dataclasses.replace(preset('cpu'), evaluation=CPU)
    assert units_left(config, 2, 100, 20, 1500)['evaluate'] == pytest.approx(2 * (1 + 2 + 2 + 10) / 10)
    assert units_left(preset('planet'), 1, 60, 25, 2000)['evaluate'] == 2


def evaluations(trainer):
    return [(line['agent'], line['episodes'], len(line['returns']))
            for line in trainer.seeds[0].folder.lines('evaluations.jsonl')]


def test_early_evaluations_are_the_first_episodes_of_a_full_one(world, run_to_end):
    few = world(folder='few', evaluation={'every': 6, 'first': 3, 'growth': 1.3, 'full': 6})
    assert run_to_end(few)
    assert evaluations(few) == [('planet', 3, 1), ('planet', 4, 2), ('planet', 6, 2)]
    full = world(evaluation={'every': 3})
    assert run_to_end(full)
    assert evaluations(full) == [('planet', 3, 2), ('planet', 6, 2)]
    first, other = (trainer.seeds[0].folder.lines('evaluations.jsonl')[0]['returns'] for trainer in (few, full))
    assert first == other[:1]
    scores = full.seeds[0].folder.scores()
    assert [step for step, _ in scores] == [9, 18] and scores[0][1] == pytest.approx(sum(other) / 2)


def test_an_evaluation_that_a_crash_cut_short_is_made_once(world, run_to_end):
    trainer = world(numbers=(0, 1), evaluation={'every': 6})
    assert run_to_end(trainer)
    # One seed's line was written, the other's was not.
    path = trainer.seeds[1].folder.directory / 'evaluations.jsonl'
    text = path.read_text()
    path.unlink()
    again = world(numbers=(0, 1), evaluation={'every': 6})
    assert again.evaluator.due() and run_to_end(again)
    assert path.read_text() == text and len(again.seeds[0].folder.lines('evaluations.jsonl')) == 1
    assert not world(numbers=(0, 1), evaluation={'every': 6}).evaluator.due()


def test_baselines_are_evaluated_once(world):
    trainer = world()
    trainer.evaluator.baselines(trainer.state, trainer.clock)
    assert evaluations(trainer) == [('zero', 0, 2), ('uniform', 0, 2)]
    again = world()
    again.evaluator.baselines(again.state, again.clock)
    assert evaluations(again) == evaluations(trainer)
    assert trainer.reporter.named('baselines') == again.reporter.named('baselines') != []


def test_without_evaluations_there_are_no_baselines(world, run_to_end):
    trainer = world(evaluation={'every': 0})
    trainer.evaluator.baselines(trainer.state, trainer.clock)
    assert run_to_end(trainer) and evaluations(trainer) == [] and trainer.evaluator.baseline_means(['toy_point']) == {}


def test_a_measure_that_is_not_defined_is_left_out_of_the_sinks(world):
    """Episodes without any reward have no r2, of which TensorBoard would warn at each evaluation."""
    trainer, sent = world(), {}
    trainer.seeds[0].sinks = SimpleNamespace(scalars=lambda step, values: sent.update(values))
    trainer.evaluator.open_loop = SimpleNamespace(
        record=lambda *_: ({'horizon': [1], 'observation_error': [0.5]}, None),
        measure=lambda *_: {'r2': math.nan, 'kl': 2.0})
    trainer.evaluator._predict('toy_point', trainer.state, np.zeros((1, 1)), 20.0)
    assert sent == {'open_loop/observation_error/1': 0.5, 'model/kl': 2.0}
