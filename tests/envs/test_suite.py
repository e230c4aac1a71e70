import hashlib
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from planet_jax import envs
from planet_jax.config import Env, Spec
from planet_jax.envs.suite import rendering

STATE = Env(observation='state')
SMALL = Env(size=16, quality='fast')


def episode(env, seed, steps=3):
    rng = np.random.default_rng(seed)
    observations, rewards = [env.reset(seed=seed)[0]], []
    for _ in range(steps):
        observation, reward, *_ = env.step(rng.uniform(-1, 1, env.action_space.shape))
        observations.append(observation)
        rewards.append(reward)
    return np.stack(observations), rewards


def digest(task, seed):
    env = envs.make(task, SMALL)
    observations, rewards = episode(env, seed)
    env.close()
    return hashlib.sha256(observations.tobytes() + np.array(rewards).tobytes()).hexdigest()


@pytest.mark.parametrize('task, steps, actions', [
    ('cartpole_swingup', 125, 1), ('reacher_easy', 250, 2), ('cheetah_run', 250, 6), ('finger_spin', 500, 2),
    ('cup_catch', 250, 2), ('walker_walk', 500, 6), ('cartpole_balance', 125, 1), ('pendulum_swingup', 500, 1),
])
def test_tasks_load_with_the_sizes_of_the_table(task, steps, actions):
    assert envs.spec(task, Env()) == Spec((64, 64, 3), 'uint8', actions, steps)
    env = envs.make(task, SMALL)
    observation, info = env.reset(seed=0)
    assert observation.shape == (16, 16, 3) and observation.dtype == np.uint8 and observation.std() > 5
    assert info == {'length': 0} and env.action_space == gymnasium.spaces.Box(-1, 1, (actions,), np.float32)
    observation, reward, terminated, truncated, info = env.step(np.zeros(actions, np.float32))
    assert observation in env.observation_space
    assert type(reward) is float and np.isfinite(reward)
    assert (terminated, truncated, info) == (False, False, {'length': 1})
    env.close()


def test_the_action_repeat_of_the_configuration_wins():
    assert envs.spec('cartpole_swingup', Env(action_repeat=3)).steps == 333
    with pytest.raises(ValueError, match='env.action_repeat is 1001, .* nearest valid value is 1000'):
        envs.spec('cartpole_swingup', Env(action_repeat=1001))


def test_rewards_are_those_of_stepping_dm_control_by_hand():
    from dm_control import suite
    env, by_hand = envs.make('cheetah_run', STATE), suite.load('cheetah', 'run', task_kwargs={'random': 7})
    observation, _ = env.reset(seed=7)
    rng = np.random.default_rng(0)
    timestep, rewards = by_hand.reset(), []
    for _ in range(10):
        assert np.array_equal(observation, np.concatenate(
            [timestep.observation['position'], timestep.observation['velocity']]).astype(np.float32))
        action = rng.uniform(-1, 1, 6).astype(np.float32)
        observation, reward, *_ = env.step(action)
        total = 0.0
        for _ in range(4):
            timestep = by_hand.step(action)
            total += timestep.reward
        assert reward == total
        rewards.append(reward)
    assert max(rewards) > 0


def test_an_episode_ends_at_its_step():
    env = envs.make('cartpole_swingup', Env(observation='state', action_repeat=200))
    env.reset(seed=0)
    ends = [env.step([0.0])[2:4] for _ in range(5)]
    assert ends == [(False, False)] * 4 + [(False, True)]
    with pytest.raises(RuntimeError, match='call reset'):
        env.step([0.0])


def test_the_suite_has_no_more_steps_than_the_repeat_leaves():
    env = envs.make('cartpole_swingup', Env(observation='state', action_repeat=300)).env
    assert isinstance(env, envs.AgentSteps)
    env.reset(seed=0)
    assert [env.step([0.0])[3] for _ in range(3)] == [False, False, True]


def test_the_repeat_stops_where_the_task_ends(monkeypatch):
    env = envs.make('cartpole_swingup', STATE)
    env.reset(seed=0)
    inner = env.unwrapped.simulator
    monkeypatch.setattr(inner.task, 'get_reward', lambda physics: 1.0, raising=False)
    monkeypatch.setattr(inner.task, 'get_termination', lambda physics: 0.0 if inner._step_count == 3 else None)
    last, reward, terminated, truncated, info = env.step([0.5])
    assert (reward, info['length'], terminated, truncated) == (3.0, 1, False, False)
    repeated, reward, *_, info = env.step([0.5])
    assert np.array_equal(repeated, last) and (reward, info['length']) == (0.0, 1)


def test_termination_is_told_from_truncation(monkeypatch):
    env = envs.make('cartpole_swingup', STATE).env
    env.reset(seed=0)
    monkeypatch.setattr(env.unwrapped.simulator.task, 'get_termination', lambda physics: 0.0)
    assert env.step([0.0])[2:4] == (True, False)


def test_actions_are_scaled_to_the_bounds_of_the_task():
    env = envs.make('quadruped_walk', STATE)
    bounds = env.unwrapped.simulator.action_spec()
    assert bounds.minimum.min() == -1 and bounds.maximum.max() == 1.1 and bounds.maximum.min() == 0.8
    env.reset(seed=0)
    for action, control in ((-1, bounds.minimum), (1, bounds.maximum), (0, (bounds.minimum + bounds.maximum) / 2),
                            (0.5, 0.25 * bounds.minimum + 0.75 * bounds.maximum)):
        env.step(np.full(12, action, np.float32))
        np.testing.assert_allclose(env.unwrapped.simulator.physics.control(), control, rtol=0, atol=1e-15)


@pytest.mark.parametrize('action, message', [
    ([np.nan], r'within \[-1, 1\]'), ([1.01], r'within \[-1, 1\]'), ([[0.0]], r'shape \(1, 1\)'),
    ([0.0, 0.0], r'shape \(2,\), but this task takes shape \(1,\)'),
])
def test_wrong_actions_are_refused(action, message):
    env = envs.make('cartpole_swingup', STATE)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(np.array(action, np.float32))


def test_a_reward_that_is_not_finite_is_an_error(monkeypatch):
    env = envs.make('cartpole_swingup', STATE)
    env.reset(seed=0)
    monkeypatch.setattr(env.unwrapped.simulator.task, 'get_reward', lambda physics: float('nan'))
    with pytest.raises(RuntimeError, match='reward of cartpole_swingup is nan'):
        env.step([0.0])
    monkeypatch.undo()
    env.reset(seed=0)
    assert np.isfinite(env.step([0.0])[1])


def test_an_episode_depends_on_its_seed_only():
    env = envs.make('reacher_easy', SMALL)
    first, rewards = episode(env, 3)
    other, _ = episode(env, 4)
    again, same_rewards = episode(env, 3)
    env.close()
    assert np.array_equal(first, again) and rewards == same_rewards
    assert not np.array_equal(first[0], other[0])


def test_without_a_seed_episodes_differ():
    env = envs.make('reacher_easy', STATE)
    first, _ = env.reset(seed=0)
    assert not np.array_equal(first, env.reset()[0])


def test_a_fresh_process_gives_the_same_frames(fresh_python):
    printed = fresh_python('import test_suite; print(test_suite.digest("walker_walk", 5))')
    assert printed.strip() == digest('walker_walk', 5)


def test_images_are_rendered_at_their_size():
    env = envs.make('cup_catch', Env(size=20, camera=1))
    image, _ = env.reset(seed=0)
    expected = env.unwrapped.simulator.physics.render(20, 20, camera_id=1)
    env.close()
    assert np.array_equal(image, expected)


def test_images_of_quality_suite_are_those_of_dm_control():
    from dm_control import suite
    env, shipped = envs.make('walker_walk', Env(size=32)), suite.load('walker', 'walk', task_kwargs={'random': 2})
    image, _ = env.reset(seed=2)
    shipped.reset()
    expected = shipped.physics.render(32, 32, camera_id=0)
    fast = envs.make('walker_walk', Env(size=32, quality='fast'))
    cheap, _ = fast.reset(seed=2)
    for closed in (env, shipped, fast):
        closed.close()
    assert np.array_equal(image, expected)
    assert 0 < np.abs(image.astype(int) - cheap).mean() < 40


def test_coarse_images_are_nearly_those_of_fast_and_of_fewer_facets():
    images, facets = [], []
    for quality in ('fast', 'coarse'):
        env = envs.make('cup_catch', Env(size=64, quality=quality))
        images.append(env.reset(seed=0)[0].astype(int))
        capsules = env.unwrapped._camera.scene.ngeom
        shape = env.unwrapped.simulator.physics.model.vis.quality
        facets.append(capsules * shape.numslices * shape.numstacks)
        env.close()
    difference = np.abs(images[0] - images[1])
    assert 0 < difference.mean() < 0.2 and (difference.max(-1) > 8).sum() < 20
    assert facets[1] < 0.25 * facets[0]


@pytest.mark.parametrize('factor', [2, 3])
def test_supersampling_averages_a_larger_image(factor):
    small, large = (envs.make('walker_walk', Env(size=size, supersample=count, quality='fast'))
                    for size, count in ((16, factor), (16 * factor, 1)))
    image, native = small.reset(seed=1)[0], large.reset(seed=1)[0]
    small.close()
    large.close()
    means = native.reshape(16, factor, 16, factor, 3).mean((1, 3))
    assert np.array_equal(image, np.floor(means + 0.5).astype(np.uint8))


def test_averages_are_rounded_half_up():
    image = np.zeros((2, 4, 3), np.uint8)
    image[0, 0], image[0, 2], image[1, 2] = 2, 254, 255
    assert rendering.average(image, 2)[0, :, 0].tolist() == [1, 127]
    assert rendering.average(np.full((64, 64, 3), 255, np.uint8), 64).item(0) == 255


def test_frames_larger_than_the_shipped_buffer():
    env = envs.make('cartpole_swingup', Env(size=350, supersample=2))
    assert env.reset(seed=0)[0].shape == (350, 350, 3)
    env.close()


def test_frames_are_not_overwritten():
    env = envs.make('cheetah_run', SMALL)
    first, _ = env.reset(seed=0)
    kept = first.copy()
    env.step(np.ones(6))
    env.close()
    assert np.array_equal(first, kept)


def test_a_camera_that_the_model_lacks():
    with pytest.raises(ValueError, match='env.camera is 9, but cartpole_swingup has the cameras -1'):
        envs.make('cartpole_swingup', Env(camera=9))


@pytest.mark.parametrize('settings, remedy', [
    ({'MUJOCO_GL': 'bogus'}, '`export MUJOCO_GL=egl`'),
    ({'MUJOCO_GL': 'glfw', 'DISPLAY': '', 'WAYLAND_DISPLAY': ''}, '`export MUJOCO_GL=egl`'),
    ({'MUJOCO_GL': 'egl', 'PYOPENGL_PLATFORM': 'osmesa'}, '`unset PYOPENGL_PLATFORM`'),
    ({'MUJOCO_GL': 'egl', 'MUJOCO_EGL_DEVICE_ID': '99'}, '`unset MUJOCO_EGL_DEVICE_ID`'),
])
def test_without_opengl_one_message_and_vectors_still_work(fresh_python, settings, remedy):
    program = (
        'import os\n'
        'import planet_jax.envs as envs; from planet_jax.config import Env\n'
        'env = envs.make("cartpole_swingup", Env(observation="state"))\n'
        'print(env.reset(seed=0)[0].shape, env.step([0.0])[1] >= 0, envs.spec("cartpole_swingup", Env()).action_size)\n'
        'for _ in range(2):\n'
        '    try: envs.make("cartpole_swingup", Env())\n'
        '    except RuntimeError as error: print(error)\n'
        f'assert all(os.environ[name] == value for name, value in {settings}.items())\n')
    state, *messages = fresh_python(program, **settings).splitlines()
    assert state == '(5,) True 1'
    assert len(messages) == 2 and messages[0] == messages[1]
    assert messages[0].startswith(f'Images of cartpole_swingup cannot be rendered with '
                                  f'MUJOCO_GL={settings["MUJOCO_GL"]!r} (')
    assert messages[0].endswith(f'run {remedy}, and start again.')


def test_a_missing_osmesa_is_told_apart(monkeypatch):
    def broken(physics):
        raise AttributeError("'NoneType' object has no attribute 'glGetError'")

    monkeypatch.setattr('ctypes.util.find_library', lambda name: None)
    monkeypatch.setenv('MUJOCO_GL', 'osmesa')
    monkeypatch.delenv('PYOPENGL_PLATFORM', raising=False)
    with pytest.raises(RuntimeError, match='glGetError.*`apt-get install libegl1 libgl1` and `export MUJOCO_GL=egl`'):
        rendering.open_context('walker_walk', type('Physics', (), {'contexts': property(broken)})())


def memory_left_by(count):
    """Megabytes by which this process grows over so many environments, made and closed one after another.

    A few come before, to warm up. Middle values, for huge pages make memory jump up and down by 32 MB.
    """
    sizes, first, few = [], None, min(10, count // 2)
    for _ in range(2 * few + count):
        env = envs.make('cartpole_swingup', SMALL)
        image, _ = env.reset(seed=0)
        env.close()
        env.close()
        first = image if first is None else first
        assert np.array_equal(image, first)
        sizes.append(int(Path('/proc/self/status').read_text().split('VmRSS:')[1].split()[0]) / 1024)
    return np.median(sizes[-few:]) - np.median(sizes[few:2 * few])


# A context that is not freed takes 43 MB, so few environments tell as well; many tell of smaller things.
@pytest.mark.parametrize('count', [10, pytest.param(200, marks=pytest.mark.faults)])
def test_many_environments_leave_no_memory_behind(count, fresh_python):
    grown = float(fresh_python(f'import test_suite; print(test_suite.memory_left_by({count}))'))
    print(f'{grown:.1f} MB')
    assert grown < 50
