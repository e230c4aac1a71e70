"""What a run's parts are given that follows from its task."""

import dataclasses

import jax
import numpy as np
import pytest

from planet_jax import config
from planet_jax.runs.run import Run


@pytest.mark.parametrize('task, repeat, correlation', [
    ('cartpole_swingup', 8, 0), ('cheetah_run', 4, 0.498), ('walker_walk', 2, 0.706), ('ball_in_cup_catch', 4, 0.498),
    ('cheetah_run,cartpole_swingup', 8, 0), ('cheetah_run,walker_walk', 4, 0.498)])
def test_noise_is_correlated_over_environment_steps_where_the_task_decides(task, repeat, correlation):
    run = Run(task, 'cpu', 0, config.preset('cpu'))
    assert max(run.action_repeats.values()) == repeat
    assert run.correlation == pytest.approx(correlation, abs=1e-3)


def test_random_actions_of_preset_cpu_last():
    settings = dataclasses.replace(config.preset('debug'), collector=config.preset('cpu').collector)
    settings = dataclasses.replace(settings, env=dataclasses.replace(settings.env, observation='state'))
    assert settings.collector.correlation is None
    # toy_point has an action repeat of 1.
    for changed, expected in (settings, 0.84), (dataclasses.replace(
            settings, collector=dataclasses.replace(settings.collector, correlation=0.0)), 0):
        steps = Run('toy_point', 'debug', 0, changed).steps(1)
        actions, belief = [], jax.tree.map(lambda leaf: np.asarray(leaf)[:, None], steps.begin(None))
        for key in jax.random.split(jax.random.PRNGKey(0), 300):
            belief = steps.random(None, key[None, None], belief, np.zeros((1, 1, 2), np.float32))
            actions.append(np.asarray(belief.action)[0, 0])
        actions = np.array(actions)
        assert np.corrcoef(actions[1:].ravel(), actions[:-1].ravel())[0, 1] == pytest.approx(expected, abs=0.12)
