"""Several renderers in one process: every frame equals that of the task alone."""

import functools

import gymnasium
import numpy as np
import pytest

from planet_jax import envs
from planet_jax.config import Env
from planet_jax.envs.wrappers import opengl

PENDULUM, DOUBLE, CARTPOLE = f'{__name__}:pendulum', f'{__name__}:double', 'cartpole_swingup'
SMALL = Env(size=16, quality='fast', action_repeat=1, steps=9)


def pendulum(render_mode=None):
    """Gymnasium's, drawn small: its own size takes ten times as long."""
    return gymnasium.make('InvertedPendulum-v5', render_mode=render_mode, width=32, height=32)


def double(render_mode=None):
    """Another model."""
    return gymnasium.make('InvertedDoublePendulum-v5', render_mode=render_mode, width=32, height=32)


def steps(env, seed=5):
    """The frames of an episode, one at a time."""
    yield env.reset(seed=seed)[0]
    for _ in range(3):
        yield env.step(np.full(env.action_space.shape, 0.3))[0]


@functools.cache
def alone(task):
    """The frames of a task when it is the only one; environments that are closed leave nothing behind."""
    env = envs.make(task, SMALL)
    frames = np.stack([*steps(env)])
    env.close()
    return frames


@pytest.mark.parametrize('tasks', [(PENDULUM, CARTPOLE), (CARTPOLE, PENDULUM), (PENDULUM, DOUBLE)])
def test_two_renderers_in_one_process(tasks):
    expected = [alone(task) for task in tasks]
    pair = [envs.make(task, SMALL) for task in tasks]
    frames = zip(*zip(*map(steps, pair), strict=True), strict=True)
    assert all(np.array_equal(np.stack(found), right) for found, right in zip(frames, expected, strict=True))
    pair[0].close()
    assert np.array_equal(np.stack([*steps(pair[1])]), expected[1])
    pair[1].close()


@pytest.mark.parametrize('task', [PENDULUM, CARTPOLE])
def test_beside_a_renderer_of_somebody_elses(task):
    from dm_control import suite
    expected, (other, theirs) = alone(task), (pendulum('rgb_array'), suite.load('walker', 'walk', {'random': 1}))
    other.reset(seed=1), theirs.reset()
    right = other.render(), theirs.physics.render(16, 16)
    other.close(), theirs.physics.free()
    for draws_first in (True, False):
        other, env = pendulum('rgb_array'), envs.make(task, SMALL)
        other.reset(seed=1)
        if draws_first:
            other.render()
        frames = []
        for frame in steps(env):
            frames.append(frame)
            assert np.array_equal(other.render(), right[0])
        assert np.array_equal(np.stack(frames), expected)
        other.close()
        env.close()
    theirs, env = suite.load('walker', 'walk', {'random': 1}), envs.make(task, SMALL)
    theirs.reset()
    for frame, expected_frame in zip(steps(env), expected, strict=True):
        assert np.array_equal(frame, expected_frame)
        assert np.array_equal(theirs.physics.render(16, 16), right[1])
    theirs.physics.free()
    env.close()


def test_an_environment_that_is_dropped_takes_nothing_with_it():
    env = envs.make(PENDULUM, SMALL)
    [*steps(env)]
    env = envs.make(CARTPOLE, SMALL)
    assert np.array_equal(np.stack([*steps(env)]), alone(CARTPOLE))
    env.close()


def test_an_episode_is_drawn_as_if_it_were_the_first():
    env = envs.make(PENDULUM, SMALL)
    assert not np.array_equal(np.stack([*steps(env, 6)]), alone(PENDULUM))
    assert np.array_equal(np.stack([*steps(env)]), alone(PENDULUM))
    env.close()


def test_renderers_that_do_not_mix_are_put_into_processes(monkeypatch):
    made = []
    monkeypatch.setattr(envs, 'AsyncVectorEnv', lambda makers, **options: made.append(len(makers)))
    monkeypatch.setattr(opengl, 'mixes', lambda: False)
    envs.make_vector([PENDULUM], SMALL)
    envs.make_vector([CARTPOLE, PENDULUM], SMALL)
    assert made == [1, 2]
    for tasks, options in ((['toy_point'], {}), ([PENDULUM], {'blind': True}), ([PENDULUM], {'workers': 0})):
        envs.make_vector(tasks, SMALL, **options).close()
    envs.make_vector([PENDULUM], Env(observation='state')).close()
    assert made == [1, 2]
