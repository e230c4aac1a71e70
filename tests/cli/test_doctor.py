"""`planet-jax doctor`: its findings on a healthy machine, and on broken ones."""

import dataclasses
import re
from pathlib import Path

import pytest

from planet_jax import config
from planet_jax.cli.commands.doctor import checks as doctor
from planet_jax.cli.main import main
from planet_jax.runs.run import Run


def patient(logdir, task='toy_point', preset='debug', **groups):
    settings = dataclasses.replace(config.preset(preset), **groups).resolve()
    return doctor.Patient(Run(task, preset, 0, settings), Path(logdir), quick=True)


def test_a_machine_that_is_well(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '300')
    assert main(['doctor', '--task', 'toy_point', '--preset', 'debug', '--logdir', str(tmp_path / 'new'),
                 '--quick']) == 0
    printed = capsys.readouterr().out
    rows = dict(re.findall(r'^ +(\w+) +(ok +.*?) *$', printed, re.MULTILINE))
    assert list(rows) == list(doctor.CHECKS) and 'All is well.' in printed and 'Fix' not in printed
    assert re.search(r'toy_point: first frame \S+ s, then \S+ ms a step', rows['rendering'])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_hours_are_those_of_the_updates_and_steps_of_a_run(tmp_path):
    well = dataclasses.replace(patient(tmp_path), quick=False, steps={'toy_point': 0.5})
    hours, update, step = map(float, re.search(
        r'(\S+) hours for 1000 episodes, by extrapolation: an update (\S+) s, a planned step (\S+) s',
        doctor.check_speed(well).told).groups())
    # Of 1000 episodes of 25 steps, 998 after 4 updates each and planned; 500 evaluations of 2 episodes.
    assert hours * 3600 == pytest.approx(998 * 4 * update + 25 * (1998 * step + 2000 * 0.5), rel=0.1)


def test_a_driver_that_crashes_is_a_failed_check_and_not_the_end(tmp_path, monkeypatch, capsys):
    (tmp_path / 'sitecustomize.py').write_text('import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    monkeypatch.setenv('MUJOCO_GL', 'egl')
    assert main(['doctor', '--task', 'toy_point', '--preset', 'debug', '--logdir', str(tmp_path), '--quick']) == 1
    printed = ' '.join(capsys.readouterr().out.split())
    assert 'the process that rendered toy_point ended with SIGSEGV' in printed
    assert 'Fix: export MUJOCO_GL=osmesa' in printed
    assert '1 failed, 0 warnings.' in printed and 'not measured: --quick' in printed


def test_no_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.setenv('IMAGEIO_FFMPEG_EXE', str(tmp_path / 'nothing'))
    found = doctor.check_video(patient(tmp_path))
    assert found.state == 'failed' and 'no video can be written' in found.told and 'imageio-ffmpeg' in found.fix


def test_no_opengl(tmp_path, monkeypatch):
    monkeypatch.setenv('MUJOCO_GL', 'bogus')
    found = doctor.check_rendering(patient(tmp_path, 'cartpole_balance'))
    assert (found.state, 'cannot be rendered' in found.told) == ('failed', True)
    assert '`export MUJOCO_GL=egl`' in found.fix


def test_packages_that_do_not_fit(tmp_path, monkeypatch):
    assert doctor.check_versions(patient(tmp_path)).state == 'ok'
    monkeypatch.setattr('importlib.metadata.requires', lambda name: [
        'numpy>=999', 'no-such-package', 'jax>=0.1', 'ray<0; extra == "ray"'])
    found = doctor.check_versions(patient(tmp_path))
    assert found.state == 'failed' and 'numpy is 2' in found.told and 'no-such-package is not installed' in found.told
    assert found.fix.endswith("-m pip install 'numpy>=999' no-such-package")


def test_too_little_room(tmp_path):
    found = doctor.check_memory(patient(tmp_path, replay=config.Replay(capacity=10**9)))
    assert found.state == 'failed' and 'GB of memory' in found.told and '--replay.capacity' in found.fix
    nowhere = patient('/proc/nowhere')
    assert doctor.check_disk(nowhere).state == doctor.check_checkpoint(nowhere).state == 'failed'
    assert '--logdir' in doctor.check_disk(nowhere).fix and '--logdir' in doctor.check_checkpoint(nowhere).fix


def test_tasks_that_there_are_not(capsys):
    assert main(['doctor', '--task', 'toy_poin', '--quick']) == 2
    assert "'toy_poin'" in capsys.readouterr().err


@pytest.fixture
def cache():
    """Names the folder of compiled programs for a test."""
    before = doctor.jax.config.jax_compilation_cache_dir
    yield lambda folder: doctor.jax.config.update('jax_compilation_cache_dir', folder)
    doctor.jax.config.update('jax_compilation_cache_dir', before)


def test_the_cache_of_compiled_programs(tmp_path, cache):
    cache(None)
    assert doctor.check_cache(patient(tmp_path)).state == 'warning'
    cache(str(tmp_path / 'a b'))
    found = doctor.check_cache(patient(tmp_path))
    assert (found.state, '0 MB of compiled programs' in found.told) == ('ok', True)
    (tmp_path / 'a b').mkdir()
    (tmp_path / 'a b' / 'program').write_bytes(bytes(3_000_000))
    assert doctor.check_cache(patient(tmp_path)).told == (
        f"3 MB of compiled programs in {tmp_path}/a b; to empty it: rm -r '{tmp_path}/a b'")
