"""The rows of an episode, and that the key decides an episode."""

import functools
import itertools

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from planet_jax import agent, collector, envs, keys
from planet_jax.config import Env
from planet_jax.types import Belief, Latent

STATE, PIXELS = Env(observation='state'), Env(size=8)


def begin_of(seeds, size):
    nothing = jnp.zeros((seeds, 0))
    return lambda params: Belief(Latent(nothing, nothing, nothing, nothing), jnp.zeros((seeds, size)), jnp.zeros(seeds))


def batched(act):
    return jax.jit(jax.vmap(jax.vmap(act, (None, 0, 0, 0)), (None, 0, 0, 0)))


@functools.cache
def uniform(size):
    return batched(agent.uniform(size))


def key_grid(seed, seeds, episodes):
    return jax.random.split(keys.root(seed), (seeds, episodes))


def collect(vector, grid, act=None, **options):
    size = vector.single_action_space.shape[0]
    return collector.collect(act or uniform(size), begin_of(len(grid), size), vector, None, grid, **options)


def toy(count, config=STATE):
    return envs.make_vector(['toy_point'] * count, config, workers=0)


class Short(gymnasium.Env):
    """Ends by itself after `length` steps; observations, rewards and actions tell which step they belong to."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, length):
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.step_number = 0
        return np.array([100], np.float32), {}

    def step(self, action):
        self.step_number += 1
        return np.array([100 + self.step_number], np.float32), float(self.step_number), False, (
            self.step_number == self.length), {}


def short_vector(lengths, steps):
    return SyncVectorEnv([lambda length=length: envs.FixedLength(Short(length), steps) for length in lengths],
                         autoreset_mode=AutoresetMode.DISABLED)


@pytest.mark.parametrize('config', [STATE, PIXELS], ids=['state', 'pixels'])
def test_a_row_holds_what_led_to_its_observation(config):
    grid = key_grid(0, 1, 2)
    episodes, _ = collect(toy(2, config), grid)
    seeds = collector.environment_seeds(grid)
    for number in range(2):
        episode = jax.tree.map(lambda leaf, number=number: leaf[0, number], episodes)
        env = envs.make('toy_point', config)
        observation, _ = env.reset(seed=int(seeds[number]))
        assert episode.length == 26
        assert np.array_equal(episode.observation[0], observation)
        assert not episode.action[0].any() and episode.reward[0] == 0
        total = 0.0
        for row in range(1, 26):
            observation, reward, _, over, _ = env.step(episode.action[row])
            assert np.array_equal(episode.observation[row], observation)
            assert episode.reward[row] == np.float32(reward)
            assert over == (row == 25)
            total += reward
        assert episode.reward.sum() == pytest.approx(total)
        assert episode.action[1:].std() > 0.3


def test_shapes_and_dtypes():
    episodes, value = collect(toy(2, PIXELS), key_grid(0, 2, 1))
    described = jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), episodes)
    assert described.observation == ((2, 1, 26, 8, 8, 3), 'uint8')
    assert described.action == ((2, 1, 26, 2), 'float32') and described.reward == ((2, 1, 26), 'float32')
    assert described.length == ((2, 1), 'int32') and value.shape == (2, 1)
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(episodes))


def test_rows_after_the_end_are_zero_and_count_nothing():
    def act(params, key, belief, observation):
        # The value tells the step: 1 for the first, whose observation is 100.
        return belief.replace(action=jnp.ones(1), expected_return=observation[0] - 99)

    episodes, value = collect(short_vector([3, 7, 9], 7), key_grid(0, 1, 3), batched(act))
    for number, length in enumerate([3, 7, 7]):
        episode = jax.tree.map(lambda leaf, number=number: leaf[0, number], episodes)
        counts = np.arange(8) * (np.arange(8) <= length)
        assert episode.length == length + 1
        assert episode.observation[:, 0].tolist() == [100 + n if n <= length else 0 for n in range(8)]
        assert episode.action[:, 0].tolist() == [0] + [1] * length + [0] * (7 - length)
        assert episode.reward.tolist() == counts.tolist()
        assert value[0, number] == pytest.approx(np.arange(1, length + 1).mean())


def test_an_episode_knows_whether_it_was_terminated():
    class Falls(Short):
        def step(self, action):
            *rest, ended, info = super().step(action)
            return *rest[:2], ended and self.length < 5, ended, info

    vector = SyncVectorEnv([lambda length=length: envs.FixedLength(Falls(length), 7, ends=True)
                            for length in (3, 6, 9)], autoreset_mode=AutoresetMode.DISABLED)
    assert collect(vector, key_grid(0, 1, 3))[0].terminated.tolist() == [[True, False, False]]
    assert collect(short_vector([3], 7), key_grid(0, 1, 1))[0].terminated is None


def test_an_act_sees_its_own_belief_and_observation():
    def act(params, key, belief, observation):
        # The step before chose the distance from the middle then; the first belief has the action zero.
        return belief.replace(action=jnp.tanh(observation), expected_return=belief.action.sum())

    episodes, value = collect(toy(4), key_grid(1, 2, 2), batched(act))
    np.testing.assert_allclose(episodes.action[:, :, 1:], np.tanh(episodes.observation[:, :, :-1]), atol=1e-6)
    np.testing.assert_allclose(value, episodes.action[:, :, :-1].sum(-1).mean(-1), atol=1e-5)


def test_the_same_key_gives_the_same_episode_bit_for_bit():
    vector, grid = toy(2, PIXELS), key_grid(0, 1, 2)
    first, other, again = (collect(vector, key_grid(seed, 1, 2))[0] for seed in (0, 1, 0))
    fresh, _ = collect(toy(2, PIXELS), grid)
    for left, right in ((first, again), (first, fresh)):
        assert all(map(np.array_equal, jax.tree.leaves(left), jax.tree.leaves(right)))
    for rows in ('observation', 'action', 'reward'):
        assert not np.array_equal(getattr(first, rows), getattr(other, rows))


def test_an_episode_does_not_depend_on_those_beside_it():
    grid = key_grid(3, 2, 2)
    together, _ = collect(toy(4), grid)
    for seed in range(2):
        for number in range(2):
            alone, _ = collect(toy(1), grid[seed:seed + 1, number:number + 1])
            assert all(np.array_equal(left[0, 0], right[seed, number])
                       for left, right in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True))


def test_environments_begin_differently():
    seeds = collector.environment_seeds(key_grid(0, 4, 50))
    assert len(set(seeds.tolist())) == 200
    episodes, _ = collect(toy(4), key_grid(0, 2, 2))
    starts = episodes.observation[:, :, 0].reshape(4, 2)
    assert len(np.unique(starts, axis=0)) == 4
    assert len(np.unique(episodes.action[:, :, 1].reshape(4, 2), axis=0)) == 4


@pytest.mark.parametrize('seeds, episodes', [(1, 1), (3, 1), (2, 2)])
def test_the_environments_must_be_as_many_as_the_keys(seeds, episodes):
    with pytest.raises(ValueError, match=f'2 environments for {seeds} seeds with {episodes} episodes'):
        collect(toy(2), key_grid(0, seeds, episodes))


def test_an_exception_ends_the_collection_and_the_vector_is_usable_afterwards():
    vector, grid, seen = toy(1), key_grid(0, 1, 1), []

    def stop_at_ten(step):
        seen.append(step)
        if step == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(vector, grid, report=stop_at_ten)
    assert seen == list(range(1, 11))
    (again, _), (fresh, _) = collect(vector, grid, report=seen.append), collect(toy(1), grid)
    assert seen[10:] == list(range(1, 26))
    assert all(map(np.array_equal, jax.tree.leaves(again), jax.tree.leaves(fresh)))


# Faults of the environments.


def failing_at(steps, monkeypatch):
    """Environments that fail at these steps, counted over all episodes."""
    count, step = itertools.count(1), envs.ToyPoint.step

    def fail_or_step(env, action):
        if next(count) in steps:
            raise ArithmeticError('it diverged')
        return step(env, action)

    monkeypatch.setattr(envs.ToyPoint, 'step', fail_or_step)
    vector = envs.RestartingVectorEnv(lambda: toy(1))
    vector.reset(seed=[0])
    return vector


def test_after_a_fault_the_episode_is_that_of_the_next_key(monkeypatch):
    grid, seen = key_grid(0, 1, 1), []
    attempt = jax.tree.map(np.asarray, keys.stream(grid[0, 0], 'attempt', 2))
    expected, _ = collect(toy(1), attempt[None, None])
    undisturbed, _ = collect(toy(1), grid)
    vector = failing_at({10, 13}, monkeypatch)
    found, _ = collect(vector, grid, report=seen.append)
    assert all(map(np.array_equal, jax.tree.leaves(found), jax.tree.leaves(expected)))
    assert vector.faults == 2 and seen == [*range(1, 10), *range(1, 3), *range(1, 26)]
    assert not np.array_equal(found.observation, undisturbed.observation)
    again, _ = collect(vector, grid)
    assert all(map(np.array_equal, jax.tree.leaves(again), jax.tree.leaves(undisturbed)))


def test_environments_that_always_fail_are_given_up(monkeypatch):
    vector = failing_at(range(100), monkeypatch)
    with pytest.raises(envs.EnvironmentFailure, match='given up after 5 attempts: the environments failed with Arith'):
        collect(vector, key_grid(0, 1, 1))
    assert vector.faults == 5
