"""The comparison of a reproduction with the shipped curves; trainings are replaced by score files."""

import dataclasses
import json

import pytest

from experiments import reproduce, runs
from planet_jax import config
from planet_jax.cli import parsing
from planet_jax.cli.commands.train import Train
from planet_jax.scores import shipped
from planet_jax.scores.shipped import Evaluation

SHIPPED = {seed: (Evaluation('walker_walk', 'cpu', seed, 1, 20, 10.0, 100.0, 2),
                  Evaluation('walker_walk', 'cpu', seed, 1, 100, 60.0, last, 10))
           for seed, last in ((0, 380.0), (1, 420.0))}


@pytest.fixture
def trainings(monkeypatch):
    """Commands that were run; each writes the score files of a training whose last mean is as asked for."""
    commands, last = [], {'mean': 400.0, 'status': 0, 'episodes': None}

    def run(command):
        commands.append(command)
        option = {name: value for name, value in zip(command, command[1:]) if name.startswith('--')}
        for seed in option['--seeds'].split(','):
            folder = reproduce.Path(option['--logdir']) / option['--task'] / option['--method'] / seed
            folder.mkdir(parents=True, exist_ok=True)
            (folder / 'config.json').write_text(json.dumps({
                'task': option['--task'], 'preset': option['--preset'], 'seed': int(seed)}))
            lines = [('uniform', 0, [50.0]), ('planet', 20, [90.0]),
                     ('planet', last['episodes'] or int(option['--episodes']), [last['mean']])]
            (folder / 'evaluations.jsonl').write_text(''.join(json.dumps(
                {'agent': agent, 'task': option['--task'], 'episodes': episodes, 'returns': returns}) + '\n'
                for agent, episodes, returns in lines))
        return last['status']

    monkeypatch.setattr(runs, 'run', run)
    monkeypatch.setattr(shipped, 'curves', lambda task, preset: SHIPPED if task == 'walker_walk' else {})
    cpu = config.preset('cpu').resolve('walker_walk')
    noisy = dataclasses.replace(cpu, collector=dataclasses.replace(cpu.collector, noise=0.7))
    monkeypatch.setattr(shipped, 'settings', lambda: {('walker_walk', 'cpu'): noisy})
    return commands, last


def call(tmp_path, *arguments):
    return reproduce.main(['--task', 'walker_walk', '--logdir', str(tmp_path), *arguments])


def test_a_score_like_the_shipped_one_is_a_reproduction(trainings, tmp_path, capsys):
    commands, _ = trainings
    assert call(tmp_path) == 0
    assert [command[command.index(name) + 1] for command in commands for name in ('--seeds', '--episodes')] == [
        '0,1', '100']
    assert commands[0][-2:] == ['--collector.noise', '0.7']
    printed = capsys.readouterr().out
    assert '| 100 | 400 (380 to 420, 2 seeds) | 400 (400 to 400, 2 seeds) |' in printed
    assert 'reproduced' in printed


def test_a_score_under_the_floor_ends_with_status_1(trainings, tmp_path, capsys):
    _, last = trainings
    last['mean'] = 250.0  # The floor is 50 + 0.6 * 350 = 260.
    assert call(tmp_path) == 1
    assert 'the floor 260: NOT reproduced' in capsys.readouterr().out


def test_a_training_that_was_stopped_is_told_and_not_compared(trainings, tmp_path, capsys):
    commands, last = trainings
    last['episodes'] = 60
    assert call(tmp_path, '--time-limit', '5') == 1
    assert commands[0][-4:-2] == ['--time-limit', '5.0']
    assert 'Not every seed has 100 episodes' in capsys.readouterr().err
    last['status'] = 3
    assert call(tmp_path) == 3


def test_a_task_without_a_curve_is_refused(trainings, tmp_path, capsys):
    assert reproduce.main(['--task', 'cup_catch', '--logdir', str(tmp_path)]) == 2
    assert 'no shipped curve of cup_catch' in capsys.readouterr().err


def test_smoke_trains_at_debug_size_elsewhere(trainings, tmp_path, capsys):
    commands, _ = trainings
    assert call(tmp_path, '--smoke') == 0
    assert all('debug' in command and str(tmp_path) not in command for command in commands)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('shipped_preset', ['planet', 'paper', 'debug', 'cpu'])
def test_the_options_give_the_shipped_settings(monkeypatch, shipped_preset):
    wanted = config.preset(shipped_preset).resolve('walker_walk')
    monkeypatch.setattr(shipped, 'settings', lambda: {('walker_walk', 'cpu'): wanted})
    options = reproduce.options('walker_walk', 'cpu')
    assert bool(options) == (shipped_preset != 'cpu')
    command = parsing.read(Train, ['--task', 'walker_walk', *options],
                           Train(task='walker_walk', preset='cpu', config=config.preset('cpu')))
    assert command.config.resolve('walker_walk') == wanted
