"""A disk that is full or cannot be written to, and whether a run may or must be there (fault case 4)."""

import collections
import shutil
import subprocess
import sys

import pytest

from planet_jax.cli.main import main
from planet_jax.storage import run_folder

TOY = ['train', '--task', 'toy_point', '--preset', 'debug', '--replay.capacity', '6', '--checkpoint-minutes', '0']


def test_too_little_space_is_told_before_anything_is_written(tmp_path, monkeypatch, capsys):
    usage = collections.namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(10**9, 10**9, 1000))
    assert main([*TOY, '--logdir', str(tmp_path / 'logs')]) == 2
    told = ' '.join(capsys.readouterr().err.split())
    assert f'0.00 GB free in {tmp_path}, but the run writes' in told and '--logdir' in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('free, warned', [(500, True), (5000, False)])
def test_space_that_may_not_suffice_is_said(free, warned, tmp_path, monkeypatch):
    usage = collections.namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(10**9, 0, free))
    assert (run_folder.check_space(tmp_path / 'a' / 'b', 100, 1000) is not None) == warned


def test_a_disk_that_fills_up_is_one_sentence_and_costs_no_checkpoint(tmp_path, run_planet_jax):
    command = [*TOY, '--logdir', 'logs', '--episodes', '3']
    status, printed = run_planet_jax(*command, cwd=tmp_path)
    assert status == 0, printed
    run = tmp_path / 'logs' / 'toy_point' / 'rssm-debug' / '0'
    checkpoints = sorted(path.name for path in (run / 'checkpoints').iterdir())

    # No file may be larger than 5 kB: writing the next episode fails as on a full disk.
    program = ('import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n'
               'from planet_jax.cli.main import main; sys.exit(main(sys.argv[1:]))')
    ran = subprocess.run([sys.executable, '-c', program, *command[:-1], '5'], cwd=tmp_path, text=True,
                         capture_output=True)
    assert ran.returncode == 2, ran.stdout + ran.stderr
    told = ' '.join(ran.stderr.split())
    assert 'cannot be read or written: File too large. Nothing that a checkpoint holds is lost' in told
    assert 'Traceback' not in ran.stderr
    assert sorted(path.name for path in (run / 'checkpoints').iterdir() if path.name[0] != '.') == checkpoints
    status, printed = run_planet_jax(*command, cwd=tmp_path)
    assert status == 0 and 'nothing is left to do' in printed, printed


def test_whether_a_run_may_or_must_be_there(tmp_path, capsys):
    command = [*TOY, '--logdir', str(tmp_path), '--episodes', '3', '--resume']
    assert main([*command, 'must']) == 2
    assert 'has no checkpoint to continue from' in capsys.readouterr().err and not list(tmp_path.iterdir())
    assert main([*command, 'never']) == 0
    assert main([*command, 'must']) == 0
    assert 'nothing is left to do' in capsys.readouterr().out
    assert main([*command, 'never']) == 2
    assert 'holds a run already' in capsys.readouterr().err
