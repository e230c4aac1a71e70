import gymnasium
import numpy as np
import pytest

from planet_jax.envs import FixedLength, PaddedActions


class Countdown(gymnasium.Env):
    """Ends by itself after `steps`; observes how often it was stepped, ever."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, steps, terminates):
        self.steps, self.terminates, self.stepped, self.action = steps, terminates, 0, None

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = self.steps
        return np.array([self.stepped], np.float32), {'own': 1}

    def step(self, action):
        assert self.left > 0
        self.left, self.stepped, self.action = self.left - 1, self.stepped + 1, action
        ended = self.left == 0
        return (np.array([self.stepped], np.float32), 1.5, ended and self.terminates, ended and not self.terminates, {})


@pytest.mark.parametrize('terminates', [True, False])
def test_a_short_episode_repeats_its_last_observation(terminates):
    env = FixedLength(Countdown(3, terminates), 5)
    for begun in range(2):
        observation, info = env.reset(seed=0)
        assert observation == 3 * begun and info == {'own': 1, 'length': 0}
        steps = [env.step(np.zeros(2)) for _ in range(5)]
        assert [step[0].item() - 3 * begun for step in steps] == [1, 2, 3, 3, 3]
        assert [step[1] for step in steps] == [1.5, 1.5, 1.5, 0.0, 0.0]
        assert not any(step[2] for step in steps)
        assert [step[3] for step in steps] == [False] * 4 + [True]
        assert [step[4]['length'] for step in steps] == [1, 2, 3, 3, 3]
        with pytest.raises(RuntimeError, match='call reset'):
            env.step(np.zeros(2))
    assert env.unwrapped.stepped == 6


def test_a_long_episode_is_cut():
    env = FixedLength(Countdown(9, True), 2)
    env.reset(seed=0)
    assert [env.step(np.zeros(2))[3] for _ in range(2)] == [False, True]


def test_a_repeated_observation_may_be_changed():
    env = FixedLength(Countdown(1, True), 3)
    env.reset(seed=0)
    env.step(np.zeros(2))[0][:] = 99
    assert env.step(np.zeros(2))[0] == 1


def test_it_must_be_reset_first_and_have_steps():
    with pytest.raises(RuntimeError, match='call reset'):
        FixedLength(Countdown(1, True), 1).step(np.zeros(2))
    with pytest.raises(ValueError, match='0 steps'):
        FixedLength(Countdown(1, True), 0)


def test_padded_actions_are_cut_to_the_own_part():
    env = PaddedActions(Countdown(3, True), 4)
    assert env.action_space.shape == (4,)
    env.reset(seed=0)
    env.step(np.array([0.1, 0.2, 0.3, 0.4]))
    assert env.unwrapped.action.tolist() == [0.1, 0.2]
    with pytest.raises(ValueError, match='shape'):
        env.step(np.zeros(2))
    with pytest.raises(ValueError, match='at least 2'):
        PaddedActions(Countdown(3, True), 1)


@pytest.mark.parametrize('terminates', [True, False])
def test_whether_a_task_terminated_is_told_where_it_can(terminates):
    env = FixedLength(Countdown(2, terminates), 3, ends=True)
    for _ in range(2):
        assert env.reset(seed=0)[1]['terminated'] is False
        assert [env.step(np.zeros(2))[4]['terminated'] for _ in range(3)] == [False, terminates, terminates]
