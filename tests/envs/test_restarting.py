"""Failures of environments: the simulator raises or hangs, or a worker process dies."""

import functools
import os
import signal
import time

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from planet_jax.envs import EnvironmentFailure, FixedLength, RestartingVectorEnv, TaskFailure

STEPS = 4


class Faulty(gymnasium.Env):
    """Fails at its second step, as often as there are files of that name in a folder: one is used up each time.

    The observation is drawn at the reset, from the seed, and the action is ignored.
    """

    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, folder):
        self.folder = folder
        self.fails('make')

    def fails(self, how):
        for path in self.folder.glob(f'{how}*'):
            try:
                path.unlink()
            except FileNotFoundError:  # the other environment was faster
                continue
            if how in ('raise', 'make', 'reset'):
                raise ArithmeticError('it diverged')
            os.kill(os.getpid(), {'kill': signal.SIGKILL, 'hang': signal.SIGSTOP}[how])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.fails('reset')
        self.steps, self.drawn = 0, self.np_random.random(1, np.float32)
        return self.drawn, {}

    def step(self, action):
        self.steps += 1
        if self.steps == 2:
            for how in ('raise', 'kill', 'hang'):
                self.fails(how)
        return self.drawn, 1.0, False, False, {}


def make(folder, workers=0):
    """Two environments."""
    makers = [functools.partial(make_one, folder)] * 2
    if workers:
        return AsyncVectorEnv(makers, context='spawn', autoreset_mode=AutoresetMode.DISABLED)
    return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.DISABLED)


def make_one(folder):
    return FixedLength(Faulty(folder), STEPS)


def episode(vector, seeds):
    """The observation of the last step, [2]."""
    vector.reset(seed=seeds)
    for _ in range(STEPS):
        observation, *_, truncated, _ = vector.step(np.zeros((2, 1), np.float32))
    assert truncated.all()
    return observation[:, 0].tolist()


def test_a_vector_that_raises_is_made_anew_by_the_next_reset(tmp_path):
    vector = RestartingVectorEnv(functools.partial(make, tmp_path))
    assert vector.num_envs == 2 and vector.single_action_space.shape == (1,)
    expected, first = episode(vector, [1, 2]), vector.env
    for how in ('raise', 'reset'):
        (tmp_path / how).touch()
        with pytest.raises(EnvironmentFailure, match='^the environments failed with ArithmeticError: it diverged$'):
            episode(vector, [1, 2])
    assert episode(vector, [1, 2]) == expected
    assert vector.faults == 2 and vector.env is not first and first.closed
    (tmp_path / 'raise').touch()
    (tmp_path / 'make').touch()
    for _ in range(2):
        with pytest.raises(EnvironmentFailure):
            episode(vector, [1, 2])
    assert episode(vector, [1, 2]) == expected
    vector.close()
    vector.close()


class Told(Faulty):
    """Fails as an environment of the user's own does."""

    def fails(self, how):
        if how == 'raise' and [*self.folder.glob('raise*')]:
            raise TaskFailure('OverflowError: it blew up (step of it, file.py:3)', 'Traceback: where')


@pytest.mark.parametrize('workers', [0, pytest.param(2, marks=pytest.mark.slow)])
def test_why_an_environment_failed_is_reported(tmp_path, workers):
    makers, told = [functools.partial(make_told, tmp_path)] * 2, []
    kind = functools.partial(AsyncVectorEnv, context='spawn') if workers else SyncVectorEnv
    vector = RestartingVectorEnv(lambda: kind(makers, autoreset_mode=AutoresetMode.DISABLED), report=told.append)
    vector.reset(seed=[1, 2])
    (tmp_path / 'raise').touch()
    with pytest.raises(EnvironmentFailure, match=r'^the environments failed with OverflowError: it blew up \(step of'):
        episode(vector, [1, 2])
    vector.close()
    assert told == ['the environments failed with OverflowError: it blew up (step of it, file.py:3)\nTraceback: where']


def make_told(folder):
    return FixedLength(Told(folder), STEPS)


def test_what_has_never_worked_is_no_fault(tmp_path):
    (tmp_path / 'make').touch()
    with pytest.raises(ArithmeticError):
        RestartingVectorEnv(functools.partial(make, tmp_path))
    vector = RestartingVectorEnv(functools.partial(make, tmp_path))
    (tmp_path / 'reset').touch()
    with pytest.raises(ArithmeticError):
        vector.reset(seed=[1, 2])
    assert vector.faults == 0


def test_to_be_interrupted_is_no_fault(tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    vector = RestartingVectorEnv(functools.partial(make, tmp_path))
    expected = episode(vector, [1, 2])
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Faulty, 'step', interrupt)
        episode(vector, [1, 2])
    assert vector.faults == 0 and episode(vector, [1, 2]) == expected


@pytest.mark.faults
def test_workers_that_raise_die_or_hang_are_replaced(tmp_path):
    vector = RestartingVectorEnv(functools.partial(make, tmp_path, workers=2), timeout=20)
    expected, processes = episode(vector, [1, 2]), []
    for number, (how, told) in enumerate({'raise': 'ArithmeticError: it diverged', 'kill': 'a process .* died',
                                          'hang': 'TimeoutError: .*after 20 second'}.items(), 1):
        processes += vector.env.processes
        (tmp_path / how).touch()
        begun = time.monotonic()
        with pytest.raises(EnvironmentFailure, match=told):
            episode(vector, [1, 2])
        assert time.monotonic() - begun < 60 and vector.faults == number
        assert not any(process.is_alive() for process in processes)
        assert episode(vector, [1, 2]) == expected
    processes += vector.env.processes
    assert len({process.pid for process in processes}) == 8
    # One is stopped, one is dead: both are gone after the end.
    os.kill(processes[-1].pid, signal.SIGSTOP)
    processes[-2].kill()
    vector.close()
    assert not any(process.is_alive() for process in processes)
