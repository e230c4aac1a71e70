"""The command `sweep`: every seed equals the run of `train`, whatever is trained beside it."""

import gc
import json
import shutil
import types
import weakref

import jax
import numpy as np
import pytest

from planet_jax.cli.commands.sweep import arguments_of_a_run
from planet_jax.cli.main import main
from planet_jax.runs.options import Options
from planet_jax.runs.training.reporter import Reporter
from planet_jax.sweeps import here
from planet_jax.sweeps import on_ray as ray_launcher

TOY = ['--task', 'toy_point', '--preset', 'debug', '--env.observation', 'state', '--replay.capacity', '6',
       '--checkpoint-minutes', '0']


def run(*arguments):
    return main([str(argument) for argument in arguments])


def folder(logdir, seed):
    return logdir / 'toy_point' / 'rssm-debug' / str(seed)


@pytest.fixture(scope='module')
def single(tmp_path_factory):
    """Seed 1 by itself. It is not to be changed."""
    logdir = tmp_path_factory.mktemp('single')
    assert run('train', *TOY, '--seed', 1, '--logdir', logdir, '--episodes', 5) == 0
    return folder(logdir, 1)


@pytest.mark.faults
def test_two_seeds_on_two_devices_and_a_remainder(single, tmp_path, capsys, assert_same):
    command = ['sweep', *TOY, '--logdir', tmp_path, '--seeds']
    # Saved before its first episode; the others have not begun.
    assert run('train', *TOY, '--seed', 1, '--logdir', tmp_path, '--episodes', 3, '--time-limit', 1e-4) == 0
    assert run(*command, '0:3', '--episodes', 3) == 0
    printed = capsys.readouterr().out
    assert 'seeds 0, 1, on' in printed and 'seed 2, on' in printed and 'to rounding only' not in printed
    assert printed.count('Going on after 0 episodes') == 1
    # One of them goes on by itself, then all together: they are no longer equally far.
    assert run('train', *TOY, '--seed', 1, '--logdir', tmp_path, '--episodes', 4) == 0
    assert run(*command, '0:3', '--episodes', 5) == 0
    printed = capsys.readouterr().out
    assert 'seeds 0, 2, on' in printed and 'Going on after 3 episodes' in printed
    assert 'seed 1, on' in printed and 'Going on after 4 episodes' in printed
    summary = printed[printed.index('best score'):]
    assert summary.count('toy_point') == 4 and 'over 3 seeds' in summary and 'nan' not in printed
    # The evaluation that ended each part is one more than `single` made.
    for name in ('evaluations.jsonl', 'scores.csv', 'open_loop.jsonl'):
        made = folder(tmp_path, 1) / name
        assert set(made.read_text().splitlines()) > set((single / name).read_text().splitlines())
        shutil.copy(single / name, made)
    for picture in folder(tmp_path, 1).glob('open_loop/000003.*'):
        picture.unlink()
    assert_same(folder(tmp_path, 1), single)
    scores = {seed: (folder(tmp_path, seed) / 'scores.csv').read_text() for seed in range(3)}
    assert len({text.replace(f',{seed}\n', '') for seed, text in scores.items()}) == 3


@pytest.mark.faults
def test_seeds_that_share_a_device_are_said_to_be_equal_to_rounding_only(single, tmp_path, capsys):
    assert run('sweep', *TOY, '--logdir', tmp_path, '--seeds', '0,1,2,3', '--seeds-per-device', 2, '--episodes', 3) == 0
    rounding = 'equals its single run to rounding only'
    assert f'2 seeds on a device: each {rounding}' in capsys.readouterr().out
    found, expected = (json.loads((directory / 'metrics.jsonl').read_text().splitlines()[2])
                       for directory in (folder(tmp_path, 1), single))
    np.testing.assert_allclose(found['loss'], expected['loss'], rtol=1e-3)
    assert found['updates'] == expected['updates'] == 4
    # Fault case 16 of docs/reliability.md: it goes on in another layout, and never loses the mark.
    for _ in range(2):
        assert run('train', *TOY, '--seed', 1, '--logdir', tmp_path, '--episodes', 3) == 0
        assert f'1 or 2 seeds on a device: each {rounding}' in capsys.readouterr().out.splitlines()[1]


def test_another_run_in_one_folder_is_found_before_any_begins(toy_run, tmp_path, capsys):
    other, = toy_run[0].glob('*/toy_point/rssm-debug/0')
    shutil.copytree(other, folder(tmp_path, 7))
    assert run('sweep', *TOY, '--logdir', tmp_path, '--seeds', '5:8') == 2
    assert 'belongs to a run with other settings' in capsys.readouterr().err
    assert [path.name for path in folder(tmp_path, 7).parent.iterdir()] == ['7']


def test_a_round_is_freed_before_the_next_begins(tmp_path, monkeypatch):
    begun = []

    class Round:
        """A training, whose parts refer to each other."""

        def __init__(self, group, *others):
            assert [earlier() for earlier in begun] == [None] * len(begun)
            begun.append(weakref.ref(self))
            self.itself, self.stop = self, types.SimpleNamespace(reason=None)

        def main(self):
            return 0

    monkeypatch.setattr(here, 'Training', Round)
    members = here.make_members(Options(preset='debug', logdir=tmp_path), ['toy_point'], range(3))
    gc.disable()  # It would come at some time of its own.
    try:
        assert here.train(members, Options(preset='debug', logdir=tmp_path), Reporter(), 1) == 0
    finally:
        gc.enable()
    assert len(begun) == -(-3 // len(jax.devices()))


@pytest.mark.parametrize('seeds', ['', '3:3', '5:2', '0:', '1,1', '-1:2', 'a'])
def test_seeds_that_are_no_range_are_refused(seeds, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run('sweep', *TOY, '--logdir', tmp_path, f'--seeds={seeds}')
    assert 'must be a range such as 0:5' in ' '.join(capsys.readouterr().err.replace('│', ' ').split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('typed', [
    ['--seeds_per_device', '2'], ['--seeds-per-device=2'], ['--launcher', 'ray', '--resume', 'must', '--logdir', 'x'],
    ['--task', 'a', 'b', '--seeds=0:3', '--preset', 'cpu']])
def test_what_is_of_the_sweep_alone_reaches_no_run(typed):
    assert arguments_of_a_run([*typed, '--time_limit', '5']) == ['--time_limit', '5']
    assert arguments_of_a_run(['--planner.horizon', '7', *typed]) == ['--planner.horizon', '7']


def test_what_a_cluster_is_given_makes_the_runs_of_the_sweep(tmp_path, monkeypatch, capsys):
    given = []

    def launch(jobs, say):
        given.extend(jobs)
        return [run(*job.arguments) for job in jobs for _ in range(2)][::2]  # Again, as after a loss.

    monkeypatch.setattr(ray_launcher, 'launch', launch)
    monkeypatch.chdir(tmp_path)
    assert run('sweep', *TOY, '--logdir=logs', '--seeds', '3,4', '--episodes', 3, '--launcher', 'ray', '--resume=never',
               '--seeds-per-device', 1) == 0
    assert [job.directory for job in given] == [folder(tmp_path / 'logs', seed) for seed in (3, 4)]
    for job in given:
        assert job.episodes == len((job.directory / 'metrics.jsonl').read_text().splitlines()) == 3
    printed = capsys.readouterr().out
    assert printed.count('nothing is left to do') == 2 and 'over 2 seeds' in printed
