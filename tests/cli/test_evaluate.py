"""The scores of a trained agent, and what `info` tells, without a change to the run."""

import hashlib
import json
import re
import shutil

import jax
import numpy as np
import pytest

from planet_jax.cli import runs
from planet_jax.cli.main import main


@pytest.fixture(scope='module')
def run(tmp_path_factory, run_planet_jax):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp('run')
    status, printed = run_planet_jax('train', '--task', 'toy_point', '--preset', 'debug', '--replay.capacity', 6,
                                     '--logdir', 'logs', cwd=folder)
    assert status == 0, printed
    return folder / 'logs' / 'toy_point' / 'rssm-debug' / '0'


@pytest.fixture(autouse=True)
def unchanged(run):
    """Nothing in the run's folder changes in any of these tests."""
    def digests():
        return {path: path.is_file() and (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
                for path in run.rglob('*')}
    before = digests()
    yield
    assert digests() == before


def evaluations(run):
    return [json.loads(line) for line in (run / 'evaluations.jsonl').read_text().splitlines()]


def told(returns):
    """What the command prints of these returns."""
    lines = [f'episode {number}: {value:.1f}' for number, value in enumerate(returns, 1)]
    return lines, (f'mean {np.mean(returns):.1f}, standard deviation {np.std(returns):.1f}, from {min(returns):.1f} to '
                   f'{max(returns):.1f}')


def test_the_trained_agent_scores_as_in_its_last_evaluation(run, run_planet_jax, tmp_path):
    status, printed = run_planet_jax('evaluate', '--run', run, '--episodes', 2, cwd=tmp_path)
    assert status == 0, printed
    lines, summary = told(evaluations(run)[-1]['returns'])
    assert all(line in printed.splitlines() for line in lines)
    assert f'toy_point, planet agent after 6 episodes and 16 updates: {summary}' in printed
    assert 'nan' not in printed and not list(tmp_path.iterdir())


@pytest.mark.parametrize('agent', ['zero', 'uniform'])
def test_agents_that_look_at_nothing_score_as_the_baselines(agent, run, capsys):
    baseline, = (line['returns'] for line in evaluations(run) if line['agent'] == agent)
    assert main(['evaluate', '--run', str(run), '--episodes', '2', '--agent', agent]) == 0
    printed, (lines, summary) = capsys.readouterr().out, told(baseline)
    assert printed.splitlines() == [*lines, f'toy_point, {agent} agent: {summary}']
    # More episodes begin with the same ones.
    assert main(['evaluate', '--run', str(run), '--episodes', '3', '--agent', agent]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == lines


@pytest.mark.parametrize('damage, why', [
    (lambda folder: (folder / 'config.json').unlink(), 'is not a run folder: it has no config.json.'),
    (lambda folder: (folder / 'config.json').write_text('{'), 'config.json cannot be read'),
    (lambda folder: shutil.rmtree(folder / 'checkpoints'), 'has no checkpoint that can be used.'),
    (lambda folder: [path.unlink() for path in folder.glob('checkpoints/*/progress.json')],
     "where 'progress.json' belongs, is not as it was written."),
], ids=['no config', 'damaged config', 'no checkpoint', 'damaged checkpoint'])
def test_what_cannot_be_evaluated(damage, why, run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / 'copy')
    damage(tmp_path / 'copy')
    assert main(['evaluate', '--run', str(tmp_path / 'copy')]) == 2
    error = capsys.readouterr().err
    assert error.startswith('planet-jax evaluate: ') and why in error and str(tmp_path / 'copy') in error


def test_info_of_a_run(run, capsys):
    assert main(['info', str(run)]) == 0
    printed = capsys.readouterr().out
    lines = dict(line.split(maxsplit=1) for line in printed.splitlines() if not line.startswith('score'))
    assert lines['task'] == 'toy_point, action repeat 1'
    assert lines['method'] == 'rssm, preset debug, seed 0'
    assert lines['made'].startswith('by') and lines['made'].endswith(
        f'jax {jax.__version__} on {runs.device_name()}')
    assert lines['progress'] == '6 episodes, 150 environment steps, 16 updates'
    assert re.search(r'learn \d+ s', lines['time']) and 'each' not in lines['time']
    assert lines['checkpoint'] == '000006-000000016'
    scores = [line.split(maxsplit=1)[1] for line in printed.splitlines() if line.startswith('score')]
    for line, score in zip(evaluations(run), scores, strict=True):
        mean, low, high = np.mean(line['returns']), min(line['returns']), max(line['returns'])
        assert score == (f'{line["agent"]} after {line["episodes"]} episodes: {mean:.1f}, from {low:.1f} to {high:.1f} '
                         f'over 2 episodes')


def test_info_of_a_run_that_has_just_begun(run, tmp_path, capsys):
    shutil.copy(run / 'config.json', tmp_path)
    assert main(['info', str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert 'no episode yet' in printed and 'none yet' in printed and 'nan' not in printed


def test_info_of_the_installation(capsys):
    assert main(['info']) == 0
    printed = capsys.readouterr().out
    assert re.search(rf'^jax +{re.escape(jax.__version__)}$', printed, re.MULTILINE)
    for package in ('python', 'planet-jax', 'mujoco', 'flax'):
        assert re.search(rf'^{package} +\d', printed, re.MULTILINE)
    assert len(re.findall(r'^device +cpu: ', printed, re.MULTILINE)) == len(jax.devices())
