"""The simulation of many plans, compared with stepping the environment."""

import mujoco
import numpy as np
import pytest

from planet_jax import envs
from planet_jax.config import Env
from planet_jax.envs.suite.simulation import Simulation

STATE = Env(observation='state')
PLANS, HORIZON = 3, 5


def begin(task, config=STATE):
    env = envs.make(task, config)
    env.reset(seed=2)
    arrange = ARRANGE.get(task)
    if arrange:
        physics = env.unwrapped.simulator.physics
        arrange(physics, physics.named.model, physics.named.data)
        physics.forward()
    return env


def plans(env):
    return np.random.default_rng(0).uniform(-1, 1, (PLANS, HORIZON, *env.action_space.shape)).astype(np.float32)


def at_the_rim_of_the_target(physics, model, data):
    model.geom_pos['target', :2] = data.geom_xpos['finger', :2] + [model.geom_size[['target', 'finger'], 0].sum(), 0.0]
    data.qvel[:] = 1.0


def spinning_less_and_less(physics, model, data):
    data.qvel['hinge'] = -20


def about_to_leave_the_cup(physics, model, data):
    data.qpos[['ball_x', 'ball_z']] = 0.0, 0.37
    data.qvel['ball_z'] = 1.0


# Where uniform actions would hardly ever change the reward.
ARRANGE = {'reacher_easy': at_the_rim_of_the_target, 'reacher_hard': at_the_rim_of_the_target,
           'finger_spin': spinning_less_and_less, 'cup_catch': about_to_leave_the_cup}


@pytest.mark.parametrize('task', [
    # The paper's.
    'cartpole_swingup', 'reacher_easy', 'cheetah_run', 'finger_spin', 'cup_catch', 'walker_walk',
    # Others whose rewards are computed at once.
    'cartpole_balance', 'reacher_hard', 'walker_stand', 'walker_run',
    # State by state: several poles, sensors of forces, bounds other than -1 and 1.
    'cartpole_three_poles', 'dog_stand', 'quadruped_run',
])
def test_states_and_rewards_are_those_of_the_environment(task):
    env = begin(task)
    physics, repeat = env.unwrapped.simulator.physics, env.get_wrapper_attr('action_repeat')
    simulation, actions = Simulation(env, threads=2), plans(env)
    everything = mujoco.mjtState.mjSTATE_INTEGRATION
    before = physics.get_state(everything)
    rewards, states = simulation.rewards(actions), simulation.simulate(actions)
    assert rewards.shape == (PLANS, HORIZON) and rewards.dtype == np.float64
    assert len(np.unique(rewards)) > 1
    for number in range(PLANS):
        physics.set_state(before, everything)
        physics.forward()
        for step in range(HORIZON):
            _, reward, *_ = env.step(actions[number, step])
            now = number, (step + 1) * repeat - 1
            assert np.array_equal(states.state[now], physics.get_state(mujoco.mjtState.mjSTATE_FULLPHYSICS))
            assert np.array_equal(states.sensordata[now], physics.data.sensordata)
            assert np.array_equal(states.control[now], physics.control())
            assert abs(rewards[number, step] - reward) < 1e-6


def test_it_goes_on_from_where_the_environment_is_and_leaves_it_there():
    env, untouched = begin('walker_walk'), begin('walker_walk')
    actions = plans(env)
    simulation = Simulation(env)
    for action in actions[0]:
        expected = simulation.rewards(actions[1:2, :1]), simulation.rewards(action[None, None])
        assert expected[0] != expected[1]
        observation, reward, *_ = env.step(action)
        assert abs(expected[1] - reward) < 1e-6
        assert np.array_equal(observation, untouched.step(action)[0])


def test_another_episode_has_another_target():
    env = begin('reacher_easy')
    simulation, actions = Simulation(env), plans(env)
    env.reset(seed=5)
    at_the_rim_of_the_target(*(physics := env.unwrapped.simulator.physics, physics.named.model, physics.named.data))
    physics.forward()
    rewards = simulation.rewards(actions)[0]
    assert 0 < rewards.sum() < 4 * HORIZON
    assert rewards.tolist() == [env.step(action)[1] for action in actions[0]]


@pytest.mark.parametrize('repeat', [1, 3])
def test_any_action_repeat(repeat):
    env = begin('cheetah_run', Env(observation='state', action_repeat=repeat))
    actions = plans(env)
    rewards = Simulation(env).rewards(actions)[0]
    np.testing.assert_allclose(rewards, [env.step(action)[1] for action in actions[0]], rtol=0, atol=1e-6)


def test_the_number_of_threads_changes_nothing():
    env = begin('cheetah_run')
    actions = np.random.default_rng(0).uniform(-1, 1, (40, HORIZON, 6))
    one, several = (Simulation(env, threads).rewards(actions) for threads in (1, 3))
    assert np.array_equal(one, several)


def test_a_simulation_that_diverges_has_no_rewards(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where MuJoCo writes its log
    env = begin('cheetah_run')
    physics = env.unwrapped.simulator.physics
    simulation, actions = Simulation(env), plans(env)
    assert np.isfinite(simulation.rewards(actions)).all()
    physics.data.qvel[0] = 1e12
    assert np.isnan(simulation.rewards(actions)).all()


@pytest.mark.parametrize('shape, value', [((5, 1), 0), ((3, 5, 1), 0), ((3, 5, 6), 1.1), ((3, 5, 6), np.nan)])
def test_wrong_actions_are_refused(shape, value):
    with pytest.raises(ValueError, match=r'shape \(sequences, steps, 6\) and lie within \[-1, 1\]'):
        Simulation(begin('cheetah_run')).rewards(np.full(shape, value))


def test_a_task_without_a_simulator():
    with pytest.raises(ValueError, match='ToyPoint has no simulator to plan with: choose a task of the suite'):
        Simulation(envs.make('toy_point', Env()))
