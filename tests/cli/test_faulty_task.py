"""Fault case 10 of docs/reliability.md: an environment that fails in the middle of a run."""

import json

import numpy as np
import pytest

from planet_jax.cli.main import main

MODULE = """
import pathlib
import gymnasium, numpy as np

class Failing(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    failures, steps = {failures}, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {{}}

    def step(self, action):
        Failing.steps += 1
        if Failing.steps > 40 and Failing.failures:
            Failing.failures -= 1
            raise OverflowError('it blew up')
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), 1.0, False, False, {{}}
"""
# Nothing is learned: it fails in the second of the seed episodes.
COMMAND = ['train', '--preset', 'debug', '--env.observation', 'state', '--env.steps', '25',
           '--replay.capacity', '6', '--logdir', 'logs', '--evaluation.every', '0', '--episodes', '2']


@pytest.mark.parametrize('failures', [2, 99])
def test_an_environment_that_fails(failures, tmp_path, monkeypatch, capsys):
    name = f'failing_{failures}_times'
    (tmp_path / f'{name}.py').write_text(MODULE.format(failures=failures))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    status = main([*COMMAND, '--task', f'{name}:Failing'])
    printed = ''.join(capsys.readouterr())
    run = tmp_path / 'logs' / f'{name}:Failing' / 'rssm-debug' / '0'
    lines = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
    assert 'Traceback' not in printed
    assert 'OverflowError: it blew up' in (run / 'failures.txt').read_text(encoding='utf-8')
    if failures == 2:
        assert status == 0, printed
        assert 'The environments have failed 2 times in this process' in printed
        assert [line['return'] for line in lines] == [25.0] * 2
    else:
        assert status == 2 and len(lines) == 1, printed
        assert 'An episode was given up after 5 attempts: the environments failed with OverflowError: it blew up' in (
            ' '.join(printed.split()))
    with np.load(run / 'episodes' / '000000.npz') as episode:
        assert episode['length'] == 26
