"""The task of examples/own_task.py, trained by the command line."""

import json

import numpy as np
import pytest

from planet_jax import envs
from planet_jax.cli.main import main
from planet_jax.config import Env
from planet_jax.scores.numbers import significant


@pytest.mark.slow  # Tasks of one's own are trained in tests/cli/test_choices.py and test_faulty_task.py.
def test_it_can_be_trained_and_evaluated(run_planet_jax, tmp_path, capsys):
    # With as many steps as toy_point has, and shapes as there, most is compiled already.
    status, printed = run_planet_jax('train', '--task', 'examples.own_task:puck', '--preset', 'debug', '--episodes', 3,
                                     '--replay.capacity', 6, '--env.action-repeat', 4, '--evaluation.open-loop', False,
                                     cwd=tmp_path)
    assert status == 0, printed
    run = tmp_path / 'logs' / 'examples.own_task:puck' / 'rssm-debug' / '0'
    assert json.loads((run / 'config.json').read_text())['action_repeat'] == {'examples.own_task:puck': 4}
    assert json.loads((run / 'metrics.jsonl').read_text().splitlines()[-1])['env_steps'] == 300
    last = json.loads((run / 'evaluations.jsonl').read_text().splitlines()[-1])
    assert main(['evaluate', '--run', str(run), '--episodes', '2', '--trust-task']) == 0
    mean = significant(np.mean(last['returns']))
    assert f'{run.parts[-3]}, planet agent after 3 episodes and 4 updates: mean {mean}' in capsys.readouterr().out


def test_the_middle_is_worth_being_in():
    env = envs.make('examples.own_task:puck', Env(size=32, action_repeat=5))

    def episode(seed, push):
        env.reset(seed=seed)
        return sum(env.step(push(env.unwrapped))[1] for _ in range(20))

    def home(puck):
        return np.clip(-(5 * puck.position + 25 * puck.velocity), -1, 1)

    assert all(episode(seed, home) > 75 for seed in range(3))
    assert np.mean([episode(seed, lambda puck: np.zeros(2)) for seed in range(30)]) < 40
