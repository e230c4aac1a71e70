"""The settings that a command starts from: those of an existing run folder, or the preset's."""

import dataclasses
import json
from pathlib import Path

import pytest

from planet_jax import config
from planet_jax.cli import parsing
from planet_jax.cli.commands.train import Train

TASK = 'toy_point'


@pytest.fixture
def begun(tmp_path):
    """Writes config.json of a run of preset cpu that was begun before some fields were there; returns its settings."""
    def write(method='rssm-cpu', seed=0, task=TASK, interval=None, **learner):
        cpu = config.preset('cpu')
        settings = dataclasses.replace(
            cpu, objective=config.Objective(), learner=config.Learner(batch=16, **{'image_shift': None} | learner),
            collector=dataclasses.replace(cpu.collector, collect_interval=interval)).resolve(task)
        values = config.to_dict(settings)
        for name in ('image_scale', 'kl_balance'):
            del values['objective'][name]
        path = tmp_path / task / method / str(seed) / 'config.json'
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({'task': task, 'preset': 'cpu', 'seed': seed, 'action_repeat': {task: 1},
                                    'config': values}))
        return settings
    return write


def start(tmp_path, *arguments):
    return parsing.starting_point(['--task', TASK, '--logdir', str(tmp_path), *arguments])


@pytest.mark.parametrize('arguments', [[], ['--preset', 'cpu'], ['--preset', 'cpu', '--seeds', '0:3'],
                                       ['--method', 'rssm-cpu'], ['--learner.batch', '3']])
def test_a_run_goes_on_with_the_settings_that_it_was_begun_with(begun, tmp_path, arguments):
    settings = begun()
    name, why, found = start(tmp_path, *arguments)
    assert (name, found.resolve(TASK)) == ('cpu', settings) and found.objective.kl_balance is None
    assert str(Path(TASK, 'rssm-cpu', '0', 'config.json')) in why and 'some differ from those of the preset' in why


@pytest.mark.parametrize('arguments', [['--seed', '1', '--preset', 'cpu'], ['--preset', 'debug'],
                                       ['--preset', 'cpu', '--method', 'other'],
                                       ['--preset', 'cpu', '--model.cell', 'ssm']])
def test_another_run_starts_from_the_preset(begun, tmp_path, arguments):
    begun()
    name, _, found = start(tmp_path, *arguments)
    assert found == config.preset(name)


def test_runs_of_different_settings_start_from_the_preset(begun, tmp_path):
    begun()
    begun(seed=1, chunk_length=9)
    assert start(tmp_path, '--preset', 'cpu', '--seeds', '0:2')[2] == config.preset('cpu')


def test_tasks_with_settings_of_their_own_go_on_together(begun, tmp_path):
    """The runs differ in these numbers alone, which each task finds again."""
    tasks = 'finger_spin', 'walker_walk', 'cup_catch', 'reacher_easy'
    settings = [begun(task=task) for task in tasks]
    found = parsing.starting_point(['--task', *tasks, '--logdir', str(tmp_path), '--preset', 'cpu'])[2]
    assert (found.collector.collect_interval, found.collector.noise) == (None, None)
    assert [found.resolve(task) for task in tasks] == settings


def test_updates_that_are_not_the_tasks_own_stay(begun, tmp_path):
    settings = begun(task='finger_spin', interval=100)
    found = parsing.starting_point(['--task', 'finger_spin', '--logdir', str(tmp_path), '--preset', 'cpu'])[2]
    assert found.resolve('finger_spin') == settings and found.collector.collect_interval == 100


def test_what_is_typed_is_still_another_run(begun, tmp_path):
    settings = begun()
    options = parsing.read(Train, ['--task', TASK, '--preset', 'cpu', '--learner.batch', '3'],
                           Train(task=TASK, preset='cpu', config=start(tmp_path)[2]))
    learner = dataclasses.replace(settings.learner, batch=3)
    assert options.config.resolve(TASK) == dataclasses.replace(settings, learner=learner)
