"""Case 11 of docs/reliability.md: without OpenGL one message says what to do, and everything without images works."""

import pytest

COMMAND = ['train', '--task', 'cartpole_swingup', '--preset', 'debug', '--logdir', '.', '--episodes', 3,
           '--env.action-repeat', 250]


def test_a_run_that_needs_pictures_is_refused(tmp_path, run_planet_jax):
    status, printed = run_planet_jax(*COMMAND, cwd=tmp_path, MUJOCO_GL='bogus')
    assert status == 2 and 'Traceback' not in printed, printed
    assert printed.count('Images of cartpole_swingup cannot be rendered') == 1
    assert 'run `export MUJOCO_GL=egl`, and start again.' in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.faults
def test_a_run_on_vectors_needs_none(tmp_path, run_planet_jax):
    status, printed = run_planet_jax(*COMMAND, '--env.observation', 'state', cwd=tmp_path, MUJOCO_GL='bogus')
    assert status == 0 and '3 episodes, 4 updates' in printed, printed
    status, printed = run_planet_jax('evaluate', '--run', 'cartpole_swingup/rssm-debug/0', '--episodes', 1,
                                     cwd=tmp_path, MUJOCO_GL='bogus')
    assert status == 0, printed
