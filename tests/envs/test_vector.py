import os
import signal

import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from planet_jax import envs
from planet_jax.config import Env, Spec

TOY = Env(size=8)
SMALL = Env(size=16, quality='fast')


def run(vector, seeds, steps):
    """Observations [steps + 1, E, ...], rewards, ends and lengths [steps, E] of one episode."""
    observation, infos = vector.reset(seed=seeds)
    assert infos['length'].tolist() == [0] * vector.num_envs
    observations, rewards, ends, lengths = [observation], [], [], []
    for step in range(steps):
        action = np.random.default_rng(step).uniform(-1, 1, vector.action_space.shape).astype(np.float32)
        observation, reward, terminated, truncated, infos = vector.step(action)
        assert not terminated.any()
        observations.append(observation)
        rewards.append(reward)
        ends.append(truncated)
        lengths.append(infos['length'])
    return np.stack(observations), np.stack(rewards), np.stack(ends), np.stack(lengths)


@pytest.mark.parametrize('workers', [0, 3])
def test_three_episodes_in_a_row(workers):
    vector = envs.make_vector(['toy_point'] * 3, TOY, workers=workers)
    assert type(vector) is (AsyncVectorEnv if workers else SyncVectorEnv)
    assert vector.metadata['autoreset_mode'] == AutoresetMode.DISABLED
    alone, episodes = envs.make('toy_point', TOY), []
    for begin in (0, 10, 0):
        seeds = [begin, begin + 1, begin + 2]
        observations, rewards, ends, lengths = run(vector, seeds, 25)
        assert ends[:-1].sum() == 0 and ends[-1].all()
        assert lengths.tolist() == [[step] * 3 for step in range(1, 26)]
        assert observations.shape == (26, 3, 8, 8, 3) and (rewards.sum(0) > 0).all()
        for index, seed in enumerate(seeds):
            assert np.array_equal(observations[0, index], alone.reset(seed=seed)[0])
        episodes.append(observations)
    vector.close()
    assert np.array_equal(episodes[0], episodes[2]) and not np.array_equal(episodes[0], episodes[1])


def test_workers_leave_ctrl_c_to_their_parent():
    before = signal.getsignal(signal.SIGINT)
    vector = envs.make_vector(['toy_point'] * 3, TOY, workers=3)
    assert all(process.daemon for process in vector.processes)
    assert signal.getsignal(signal.SIGINT) is before
    for process in vector.processes:
        os.kill(process.pid, signal.SIGINT)
    run(vector, [0, 1, 2], 3)
    vector.close()


def test_workers_are_spawned_above_two_environments_and_render_the_same(monkeypatch):
    monkeypatch.setattr(envs, 'cores', lambda: 3)
    names = ['cartpole_swingup'] * 3
    parallel, serial = envs.make_vector(names, SMALL), envs.make_vector(names, SMALL, workers=0)
    assert parallel.context == 'spawn' and type(serial) is SyncVectorEnv
    results = [run(vector, [5, 6, 7], 3) for vector in (parallel, serial)]
    parallel.close()
    serial.close()
    assert all(np.array_equal(left, right) for left, right in zip(*results, strict=True))


@pytest.mark.parametrize('count, cores', [(2, 8), (3, 2)])
def test_two_environments_or_more_than_cores_share_this_process(count, cores, monkeypatch):
    monkeypatch.setattr(envs, 'cores', lambda: cores)
    vector = envs.make_vector(['toy_point'] * count, TOY)
    assert type(vector) is SyncVectorEnv


def test_several_tasks_share_the_largest_sizes():
    names = ['cartpole_swingup', 'toy_point']
    assert envs.spec(names, SMALL) == Spec((16, 16, 3), 'uint8', 2, 125)
    vector = envs.make_vector(names, Env(size=16, quality='fast', action_repeat=1))
    _, rewards, ends, lengths = run(vector, [0, 0], 30)
    vector.close()
    assert lengths[-1].tolist() == [30, 25] and not ends.any()
    assert (rewards[20:25, 1] > 0).any() and (rewards[25:, 1] == 0).all()


def test_an_environment_may_take_the_sizes_of_others():
    shared = envs.spec(['cartpole_swingup', 'toy_point'], SMALL)._replace(steps=25)
    vector = envs.make_vector(['toy_point'], SMALL, shared=shared)
    assert vector.action_space.shape == (1, 2) and run(vector, [0], 25)[2][-1].all()
    vector = envs.make_vector(['cartpole_swingup'], SMALL, shared=shared._replace(steps=3))
    assert vector.action_space.shape == (1, 2) and run(vector, [0], 3)[2][-1].all()


def test_vectors_of_several_tasks_must_have_one_size():
    with pytest.raises(ValueError, match='env.observation to pixels'):
        envs.spec(['cartpole_swingup', 'toy_point'], Env(observation='state'))


@pytest.mark.parametrize('names, workers, message', [
    (['toy_point'] * 3, 2, 'workers is 2, but must be 0 or 3'), ([], None, 'No task'),
    (['toy_poin'], None, 'nearest names are toy_point'),
])
def test_what_cannot_be_made(names, workers, message):
    with pytest.raises(ValueError, match=message):
        envs.make_vector(names, TOY, workers=workers)


def test_returned_observations_are_copies():
    vector = envs.make_vector(['toy_point'], TOY)
    first, _ = vector.reset(seed=[0])
    kept = first.copy()
    vector.step(np.ones((1, 2), np.float32))
    assert np.array_equal(first, kept)
