"""The tasks of examples/pendulums.py, as the command line trains them."""

import subprocess
import sys

import numpy as np
import pytest

from planet_jax import envs
from planet_jax.config import Env


def test_a_camera_beside_a_vector():
    env = envs.make('examples.pendulums:camera_and_vector', Env(size=32, keys=('camera', 'vector'), action_repeat=4))
    first, _ = env.reset(seed=0)
    assert {name: (part.shape, part.dtype) for name, part in first.items()} == {
        'camera': ((32, 32, 3), np.uint8), 'vector': ((3,), np.float32)}
    assert np.linalg.norm(first['vector'][:2]) == pytest.approx(1) and env.steps == 50
    later, *_ = env.step(np.ones(1))
    assert (later['camera'] != first['camera']).any() and (later['vector'] != first['vector']).any()


def test_stacks_of_gray_frames():
    env = envs.make('examples.pendulums:gray_frames', Env(image='own', action_repeat=1))
    frames, _ = env.reset(seed=0)
    assert frames.shape == (84, 84, 4) and frames.dtype == np.uint8
    assert (frames[..., :3] == frames[..., 3:]).all()  # the first frame four times
    later, *_ = env.step(np.ones(1))
    np.testing.assert_array_equal(later[..., :3], frames[..., 1:])
    assert (later[..., 3] != frames[..., 3]).any()


def test_pygame_finds_no_screen_and_is_silent(monkeypatch):
    for name in ('DISPLAY', 'WAYLAND_DISPLAY', 'XDG_RUNTIME_DIR', 'SDL_VIDEODRIVER'):
        monkeypatch.delenv(name, raising=False)
    program = ('from planet_jax import envs; from planet_jax.config import Env; '
               'print(envs.make("gymnasium:Pendulum-v1", Env(size=16)).reset(seed=0)[0].shape)')
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert '(16, 16, 3)' in done.stdout and 'XDG_RUNTIME_DIR' not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize('task, options', [('camera_and_vector', ('--env.keys', 'camera', 'vector')),
                                           ('gray_frames', ('--env.image', 'own'))])
def test_they_can_be_trained(task, options, run_planet_jax, tmp_path):
    status, printed = run_planet_jax(
        'train', '--task', f'examples.pendulums:{task}', '--preset', 'debug', *options, '--env.action-repeat', 4,
        '--episodes', 3, cwd=tmp_path)
    assert status == 0, printed
    run = tmp_path / 'logs' / f'examples.pendulums:{task}' / 'rssm-debug' / '0'
    assert (run / 'evaluations.jsonl').read_text().count('planet') >= 1
