import numpy as np
import pytest

from planet_jax import envs
from planet_jax.config import Env, Spec

STATE = Env(observation='state')


def returns(policy, episodes=200):
    env, rng, totals = envs.make('toy_point', STATE), np.random.default_rng(0), []
    for seed in range(episodes):
        position, _ = env.reset(seed=seed)
        total, truncated = 0.0, False
        while not truncated:
            position, reward, _, truncated, _ = env.step(policy(position, rng))
            assert type(reward) is float and 0 <= reward <= 1
            total += reward
        totals.append(total)
    return np.mean(totals)


def straight(position, rng):
    return np.clip(-position / 0.2, -1, 1)


@pytest.mark.parametrize('policy, expected', [
    (lambda position, rng: np.zeros(2), 6.3), (lambda position, rng: rng.uniform(-1, 1, 2), 5.5), (straight, 23.8)])
def test_returns_are_those_of_the_docstring(policy, expected):
    assert returns(policy) == pytest.approx(expected, abs=0.1)
    assert str(expected) in envs.ToyPoint.__doc__


def test_its_spec():
    assert envs.spec('toy_point', Env(size=32)) == Spec((32, 32, 3), 'uint8', 2, 25)
    assert envs.spec('toy_point', STATE) == Spec((2,), 'float32', 2, 25)
    assert envs.spec('toy_point', Env(action_repeat=2)).steps == 12
    with pytest.raises(ValueError, match='nearest valid value is 25'):
        envs.spec('toy_point', Env(action_repeat=26))


@pytest.mark.parametrize('size', [8, 32, 64])
def test_dot_and_target_are_where_they_should_be(size):
    env, state = envs.make('toy_point', Env(size=size)), envs.make('toy_point', STATE)
    for seed in range(5):
        image, _ = env.reset(seed=seed)
        position, _ = state.reset(seed=seed)
        assert image in env.observation_space
        red = image[..., 0] - 20.0
        centres = ((np.arange(size) + 0.5) / size * 2 - 1) * 1.3
        seen = [(red.sum(0) * centres).sum() / red.sum(), -(red.sum(1) * centres).sum() / red.sum()]
        np.testing.assert_allclose(seen, position, atol=0.15)
        if np.abs(position).max() > 0.7:
            assert image[size // 2, size // 2].argmax() == 2


def test_it_moves_as_it_is_told_and_stops_at_the_edge():
    env = envs.make('toy_point', STATE)
    before, _ = env.reset(seed=1)
    after, *_ = env.step([-0.5 * np.sign(before[0]), 0.25 * -np.sign(before[1])])
    np.testing.assert_allclose(after, before + [-0.1 * np.sign(before[0]), -0.05 * np.sign(before[1])], atol=1e-6)
    for _ in range(12):
        after, *_ = env.step([1, -1])
    assert after.tolist() == [1, -1]


def test_the_action_repeat_sums_rewards():
    one, two = envs.make('toy_point', STATE), envs.make('toy_point', Env(observation='state', action_repeat=2))
    one.reset(seed=0), two.reset(seed=0)
    for action in ([0.3, -0.2], [-1, 1]):
        rewards = [one.step(action)[1] for _ in range(2)]
        assert two.step(action)[1] == sum(rewards)


def test_an_episode_depends_on_its_seed_only():
    env = envs.make('toy_point', Env(size=16))
    first, other, again = (env.reset(seed=seed)[0] for seed in (np.int64(1), 2, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize('action', [[np.nan, 0], [0.0], [2.0, 0.0]])
def test_wrong_actions_are_refused(action):
    env = envs.make('toy_point', STATE)
    env.reset(seed=0)
    with pytest.raises(ValueError, match='The action'):
        env.step(action)
