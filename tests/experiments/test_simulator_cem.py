"""Planning with the true simulator: an interrupted episode, and the table of results."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from experiments import simulator_cem
from planet_jax.config import Planner

TINY = ['--task', 'reacher_easy', '--horizon', '3', '--iterations', '2', '--candidates', '20', '--elites', '4']


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A folder with an episode that nothing interrupted."""
    folder = tmp_path_factory.mktemp('whole')
    assert simulator_cem.main([*TINY, '--out', str(folder)]) == 0
    return folder


def read(folder, episode=0):
    return json.loads((folder / f'reacher_easy/0/{episode:06d}.json').read_text())


def copy(record, folder, **changes):
    record = record | changes
    path = folder / f'{record["task"]}/{record["seed"]}/{record["episode"]:06d}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def test_an_episode_reaches_the_target(whole):
    record = read(whole)
    assert (record['done'], record['steps'], record['settings']['action_repeat']) == (250, 250, 4)
    assert record['return'] == sum(record['rewards']) > 800
    assert np.shape(record['actions']) == (250, 2) and record['seconds'] > 0
    assert {'dm_control', 'mujoco', 'jax'} <= set(record['versions']) and 'cores' in record['machine']


@pytest.mark.slow  # `test_what_made_an_episode_until_then_is_kept` goes on with an episode, too.
def test_a_killed_episode_goes_on_to_the_same_numbers(whole, tmp_path):
    command = [sys.executable, simulator_cem.__file__, *TINY, '--out', tmp_path]
    path = tmp_path / 'reacher_easy/0/000000.json'
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        while process.poll() is None and not (path.exists() and read(tmp_path)['done'] > 10):
            time.sleep(0.001)
        process.kill()
    killed = read(tmp_path)
    assert 10 < killed['done'] < 250 and len(killed['actions']) == len(killed['rewards']) == killed['done']
    assert simulator_cem.main([*TINY, '--out', str(tmp_path)]) == 0
    expected, resumed = read(whole), read(tmp_path)
    assert resumed.pop('seconds') > killed['seconds'] and expected.pop('seconds')
    assert resumed == expected


def test_an_episode_of_a_planner_that_hands_its_plans_on_goes_on_to_the_same_numbers(tmp_path):
    command = simulator_cem.Command(task='reacher_easy', out=tmp_path, planner=Planner(
        method='icem', horizon=3, iterations=2, candidates=20, elites=4))
    whole, first = simulator_cem.Episode(command, 0), simulator_cem.Episode(command, 0)
    for _ in range(8):
        whole.step()
    for _ in range(4):
        first.step()
    first.write(1.0)
    second = simulator_cem.Episode(command, 0)
    for _ in range(4):
        second.step()
    assert second.record['actions'] == whole.record['actions'] and second.record['plan'] == whole.record['plan']
    assert np.shape(second.record['plan'][0]) == (3, 2) and np.shape(second.record['plan'][2]) == (3, 3, 2)


def test_episodes_that_are_there_are_kept(whole, tmp_path, capsys):
    copy(read(whole), tmp_path, seconds=1234.5)
    assert simulator_cem.main([*TINY, '--out', str(tmp_path), '--episodes', '2']) == 0
    assert read(tmp_path) == read(whole) | {'seconds': 1234.5}
    assert read(tmp_path, 1)['done'] == 250 and read(tmp_path, 1)['state'] != read(whole)['state']
    assert 'episode 1: return' in (printed := capsys.readouterr().out) and 'in 21 min' in printed


def test_other_settings_are_refused_and_named(whole, tmp_path, capsys):
    copy(read(whole), tmp_path)
    assert simulator_cem.main([*TINY, '--out', str(tmp_path), '--horizon', '4', '--elites', '5']) == 2
    error = capsys.readouterr().err
    assert 'horizon: 3 there, 4 now' in error and 'elites: 4 there, 5 now' in error and 'candidates' not in error
    assert read(tmp_path) == read(whole)


@pytest.mark.parametrize('field', ['rewards', 'state'])
def test_steps_that_lead_elsewhere_are_refused(whole, tmp_path, capsys, field):
    record = read(whole)
    record[field][-1] += 1e-9
    copy(record, tmp_path)
    assert simulator_cem.main([*TINY, '--out', str(tmp_path)]) == 2
    assert 'no longer lead to the saved state' in capsys.readouterr().err
    assert read(tmp_path) == record


def test_what_made_an_episode_until_then_is_kept(whole, tmp_path):
    before = read(whole)
    copy(before, tmp_path, machine='a slower one')
    assert simulator_cem.main([*TINY, '--out', str(tmp_path), '--episodes', '1']) == 0
    assert read(tmp_path) == before | {'machine': 'a slower one'}  # whole already: nothing was added
    first = {name: before[name][:230] for name in ('actions', 'rewards')}
    copy(before, tmp_path, machine='a slower one', done=230, state=state_after(before, 230),
         **first, **{'return': sum(first['rewards'])})
    assert simulator_cem.main([*TINY, '--out', str(tmp_path)]) == 0
    assert all(read(tmp_path)[name] == before[name] for name in ('done', 'actions', 'rewards', 'return', 'state'))
    [earlier] = read(tmp_path)['earlier']
    assert earlier == {'machine': 'a slower one', 'versions': before['versions'], 'commit': before['commit']}


def state_after(record, steps):
    command = simulator_cem.Command(task=record['task'])
    episode = simulator_cem.Episode(command, record['episode'])
    for action in record['actions'][:steps]:
        episode._env.step(np.array(action, np.float32))
    return episode._state()


def test_the_table(whole, tmp_path, monkeypatch):
    record = read(whole)
    copy(record, tmp_path, **{'return': 482.0}, seconds=600)
    copy(record, tmp_path, seed=1, done=7, **{'return': 28.25}, seconds=6, earlier=[{**record, 'commit': 'zero'}])
    copy(record, tmp_path, task='cartpole_swingup', **{'return': 935.0}, seconds=60)
    copy(record, tmp_path, task='fish_swim', **{'return': 5.0}, seconds=60)
    monkeypatch.setattr(simulator_cem, 'TABLE', tmp_path / 'table.md')
    assert simulator_cem.main(['--table', str(tmp_path)]) == 0
    text = (tmp_path / 'table.md').read_text()
    assert [line for line in text.splitlines() if line.startswith('|')][2:] == [
        '| cartpole_swingup | 850 | cem, 40 | 935.0 | 110% | 0 | 1 | 250 of 250 | 1 |',
        '| reacher_easy | 964 | cem, 40 | 482.0 | 50% | 0 | 1 | 250 of 250 | 10 |',
        '| reacher_easy | 964 | cem, 40 | 28.2 so far |  | 1 | 1 | 7 of 250 | 0 |',
        '| fish_swim |  | cem, 40 | 5.0 |  | 0 | 1 | 250 of 250 | 1 |']
    assert 'Horizon 3, 2 iterations, 20 candidates, 4 elites, std estimator `std`' in text
    assert f'mujoco {record["versions"]["mujoco"]}' in text and f'commit {record["commit"]} and zero' in text
    # Of another planner are only the tasks that this one has not finished.
    copy(record, tmp_path, task='cup_catch', done=3)
    for task in ('cup_catch', 'reacher_easy'):
        copy(record, tmp_path / 'others', task=task, settings={'planner': 'icem', 'sequences': 520}, **{
            'return': 993.0})
    assert simulator_cem.main(['--table', str(tmp_path), '--others', str(tmp_path / 'others')]) == 0
    rows = (tmp_path / 'table.md').read_text()
    assert '| cup_catch | 993 | icem, 520 | 993.0 | 100% | 0 | 1 | 250 of 250 |' in rows and 'so far' not in rows.split(
        'cup_catch')[1] and rows.count('icem') == 1
    copy(record, tmp_path, seed=2, settings=record['settings'] | {'horizon': 4})
    assert simulator_cem.main(['--table', str(tmp_path)]) == 2


@pytest.mark.parametrize('arguments, message', [
    (['--task', 'toy_point'], 'ToyPoint has no simulator'),
    (['--task', 'walker_fly'], "There is no task 'walker_fly'"),
    (['--table', 'nowhere'], 'has results of 0 settings'),
])
def test_what_cannot_be_done(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert simulator_cem.main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('arguments, message', [
    ({}, 'Name a task'), ({'task': 'walker_walk', 'episodes': 0}, 'at least 1'), ({'task': 'a', 'seed': -1}, 'is 0'),
    ({'task': 'walker_walk', 'planner': Planner(start='per_candidate')}, 'leave out --start'),
])
def test_commands_that_make_no_sense(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulator_cem.Command(**arguments)
