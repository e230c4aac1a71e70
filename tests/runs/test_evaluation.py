"""Baselines: agents that look at nothing, so that nothing is observed, and nothing renders."""

import sys
from pathlib import Path

import gymnasium
import jax
import numpy as np
import pytest

from planet_jax import keys
from planet_jax.config import Env
from planet_jax.runs.evaluation import evaluate_baseline


class Unseen(gymnasium.Env):
    """Observes what is no number, and has no picture. It fails in a third step, as many times as it is told."""

    observation_space, action_space = gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.Box(-1, 1, (1,))
    failures = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.worth = 0, float(self.np_random.integers(1, 9))
        return np.full(2, np.nan), {}

    def step(self, action):
        self.steps += 1
        if self.steps == 3 and Unseen.failures:
            Unseen.failures -= 1
            raise OverflowError('it blew up')
        return np.full(2, np.nan), self.worth, False, False, {}


@pytest.mark.parametrize('observation', ['pixels', 'state'])
@pytest.mark.parametrize('name', ['zero', 'uniform'])
@pytest.mark.parametrize('failures', [0, 1, 2])
def test_baselines_observe_nothing_and_survive_failures(failures, name, observation, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setitem(sys.modules, 'test_evaluation', sys.modules[__name__])
    monkeypatch.setattr(Unseen, 'failures', failures)
    settings, root, told = Env(observation=observation, size=16, steps=5), jax.numpy.stack([keys.root(0)]), []
    returns = evaluate_baseline(name, 'test_evaluation:Unseen', settings, root, 2, told.append)
    assert returns.shape == (1, 2) and np.all(returns > 0) and np.all(returns % 5 == 0)
    assert Unseen.failures == 0 and len(told) == failures
    assert all('OverflowError: it blew up' in text for text in told)
