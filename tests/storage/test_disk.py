"""A disk that is full or not writable, and `--resume must` and `never` (fault case 4)."""

import collections
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from planet_jax.cli.main import main
from planet_jax.storage import run_files

TOY = ['train', '--task', 'toy_point', '--preset', 'debug', '--replay.capacity', '6', '--checkpoint-minutes', '0']
RUN = Path('logs', 'toy_point', 'rssm-debug', '0')


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
    assert (run_files.check_space(tmp_path / 'a' / 'b', 100, 1000) is not None) == warned


@pytest.fixture
def finished(toy_run, tmp_path, monkeypatch):
    """A copy of a finished run; the command is started beside it."""
    run, = toy_run[0].glob('*/toy_point/rssm-debug/0')
    shutil.copytree(run, tmp_path / RUN)
    monkeypatch.chdir(tmp_path)
    return tmp_path / RUN


def test_a_disk_that_fills_up_is_one_sentence_and_costs_no_checkpoint(finished, tmp_path, environment, capsys):
    command, run = [*TOY, '--logdir', 'logs', '--episodes'], finished
    checkpoints = sorted(path.name for path in (run / 'checkpoints').iterdir())

    # No file may be larger than 5 kB: writing the next episode fails as on a full disk.
    program = ('import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n'
               'from planet_jax.cli.main import main; sys.exit(main(sys.argv[1:]))')
    ran = subprocess.run([sys.executable, '-c', program, *command, '8'], cwd=tmp_path, text=True, capture_output=True,
                         env=environment({}))
    assert ran.returncode == 2, ran.stdout + ran.stderr
    told = ' '.join(ran.stderr.split())
    assert 'cannot be read or written: File too large. Nothing that a checkpoint holds is lost' in told
    assert 'Traceback' not in ran.stderr
    assert sorted(path.name for path in (run / 'checkpoints').iterdir() if path.name[0] != '.') == checkpoints
    assert main([*command, '6']) == 0
    assert 'nothing is left to do' in capsys.readouterr().out


def test_whether_a_run_may_or_must_be_there(finished, tmp_path, capsys):
    command = [*TOY, '--episodes', '6', '--resume']
    assert main([*command, 'must', '--logdir', 'new']) == 2
    assert 'has no checkpoint to continue from' in capsys.readouterr().err and not (tmp_path / 'new').exists()
    command += ['must', '--logdir', 'logs']
    assert main(command) == 0
    assert 'nothing is left to do' in capsys.readouterr().out
    command[-3] = 'never'  # `tests/sweeps/test_here.py` begins with it.
    assert main(command) == 2
    assert 'holds a run already' in capsys.readouterr().err
