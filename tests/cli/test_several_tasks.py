"""One agent that learns several tasks."""

import csv
import json
import re

import numpy as np
import pytest

from planet_jax.cli.main import main
from planet_jax.scores.numbers import significant

COMMAND = ['train', '--task', 'toy_point,cartpole_balance', '--preset', 'debug', '--replay.capacity', '4',
           '--env.action-repeat', '20', '--checkpoint-minutes', '0']
TASKS = ['toy_point', 'cartpole_balance']
STEPS = [25 // 20, 1000 // 20]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope='module')
def logdir(tmp_path_factory):
    """Of a run without interruption."""
    folder = tmp_path_factory.mktemp('several')
    assert main([*COMMAND, '--logdir', str(folder), '--episodes', '4']) == 0
    return folder


@pytest.fixture(scope='module')
def finished(logdir):
    return logdir / 'toy_point,cartpole_balance' / 'rssm-debug' / '0'


def test_an_episode_of_each_task_after_the_updates_for_all(finished):
    metrics = lines(finished / 'metrics.jsonl')
    assert [(line['task'], line['episodes'], line['updates']) for line in metrics] == [
        (task, episodes, updates) for episodes, updates in [(1, 0), (2, 0), (3, 8), (4, 16)] for task in TASKS]
    assert [line['agent_steps'] for line in metrics[1::2]] == [sum(STEPS) * number for number in range(1, 5)]
    assert [line['env_steps'] for line in metrics[1::2]] == [20 * sum(STEPS) * number for number in range(1, 5)]
    for number, path in enumerate(sorted((finished / 'episodes').iterdir())):
        with np.load(path, allow_pickle=False) as episode:
            task = number % 2
            assert episode['action'].shape == (STEPS[task] + 1, 2)  # Padded: cartpole has one.
            assert metrics[number]['return'] == pytest.approx(episode['reward'].sum(dtype=np.float64))


def test_each_task_is_evaluated_and_the_score_is_their_mean(finished):
    evaluations = lines(finished / 'evaluations.jsonl')
    assert [(line['agent'], line['task']) for line in evaluations] == [
        (agent, task) for agent in ('zero', 'uniform', 'planet') for task in TASKS]
    *_, toy, cartpole = evaluations
    assert toy['env_steps'] == cartpole['env_steps'] == 80 * sum(STEPS)
    with open(finished / 'scores.csv') as file:
        (_, row) = csv.reader(file)
    assert float(row[1]) == np.mean([np.mean(toy['returns']), np.mean(cartpole['returns'])])


def test_only_an_episode_that_is_long_enough_is_predicted(finished):
    assert [(line['task'], line['episodes']) for line in lines(finished / 'open_loop.jsonl')] == [(TASKS[1], 4)]
    assert sorted(path.name for path in (finished / 'open_loop').iterdir()) == [
        '000004-cartpole_balance.mp4', '000004-cartpole_balance.png']


@pytest.mark.slow
def test_it_continues(logdir, finished, tmp_path, capsys, assert_same):
    for episodes in ('3', '4'):
        assert main([*COMMAND, '--logdir', str(tmp_path), '--episodes', episodes, '--evaluation.every', '4']) == 0
    assert 'Going on after 3 episodes and 8 updates.' in capsys.readouterr().out
    other = tmp_path / finished.relative_to(logdir)
    # The first part ended with an evaluation of its own.
    for name in ('evaluations.jsonl', 'open_loop.jsonl'):
        text = ''.join(line for line in (other / name).read_text().splitlines(True)
                       if json.loads(line)['episodes'] != 3)
        (other / name).write_text(text)
    for path in other.glob('open_loop/000003-cartpole_balance.*'):
        path.unlink()
    (other / 'scores.csv').write_text((finished / 'scores.csv').read_text())
    assert_same(other, finished)


def test_evaluate_and_info_tell_of_each_task(finished, capsys):
    assert main(['evaluate', '--run', str(finished), '--episodes', '2']) == 0
    printed = capsys.readouterr().out
    toy, cartpole = (np.mean(line['returns']) for line in lines(finished / 'evaluations.jsonl')[-2:])
    assert f'toy_point, planet agent after 4 episodes and 16 updates: mean {significant(toy)}' in printed
    assert f'cartpole_balance, planet agent after 4 episodes and 16 updates: mean {significant(cartpole)}' in printed
    assert 'There is no mean over the 2 tasks, since their returns have different scales.' in printed
    assert main(['info', str(finished)]) == 0
    printed = capsys.readouterr().out
    assert 'toy_point (action repeat 20), cartpole_balance (action repeat 20)' in ' '.join(printed.split())
    assert re.search(rf'score on cartpole_balance +{significant(cartpole)} after 4', printed)


def test_a_task_cannot_be_named_twice(tmp_path, capsys):
    assert main(['train', '--task', 'toy_point,toy_point', '--logdir', str(tmp_path)]) == 2
    assert 'each can be named only once' in capsys.readouterr().err and not list(tmp_path.iterdir())
