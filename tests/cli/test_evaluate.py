"""`evaluate` and `info` show the right facts and leave the run unchanged."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

import planet_jax
from planet_jax.cli.main import main
from planet_jax.runs.devices import device_name
from planet_jax.scores.numbers import significant


@pytest.fixture(scope='module')
def run(toy_run):
    """The folder of a finished run."""
    run, = toy_run[0].glob('*/toy_point/rssm-debug/0')
    return run


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
    lines = [f'episode {number}: {significant(value)}' for number, value in enumerate(returns, 1)]
    mean, deviation, least, most = map(significant, (np.mean(returns), np.std(returns), min(returns), max(returns)))
    return lines, f'mean {mean}, standard deviation {deviation}, from {least} to {most}'


def test_the_trained_agent_scores_as_in_its_last_evaluation(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['evaluate', '--run', str(run), '--episodes', '2']) == 0
    printed = capsys.readouterr().out
    lines, summary = told(evaluations(run)[-1]['returns'])
    assert all(line in printed.splitlines() for line in lines)
    assert f'toy_point, planet agent after 6 episodes and 16 updates: {summary}' in printed
    assert 'nan' not in printed and not list(tmp_path.iterdir())


def test_a_loaded_agent_evaluates_itself(run):
    agent = planet_jax.load(run)
    np.testing.assert_allclose(agent.evaluate(2)['toy_point'], evaluations(run)[-1]['returns'], rtol=1e-5)
    with pytest.raises(ValueError, match='episodes is 0'):
        agent.evaluate(0)


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


def facts_of(printed):
    """The texts of `info` by their names; lines that go on are joined."""
    facts, last = {}, ''
    for line in printed.splitlines():
        name, text = re.match(r'(.{13})(.*)', line).groups()
        last = name.strip() or last
        facts[last] = f'{facts.get(last, "")} {text.strip()}'.strip()
    return facts


def test_info_of_a_run(run, monkeypatch, capsys):
    monkeypatch.setenv('COLUMNS', '200')
    assert main(['info', str(run)]) == 0
    facts = facts_of(capsys.readouterr().out)
    assert facts['task'] == 'toy_point (action repeat 1)'
    assert facts['method'] == 'rssm, preset debug, seed 0'
    assert facts['settings'] == 'replay.capacity 6 (preset: None)'
    mujoco = json.loads((run / 'config.json').read_text())['versions']['mujoco']
    assert facts['made by'].startswith('planet-jax ') and facts['made by'].endswith(
        f'jax {jax.__version__} and mujoco {mujoco} on {device_name()}')
    assert facts['progress'].startswith('6 of 6 episodes, 16 updates, 150 environment steps; written ')
    assert re.search(r'learn [^(]+ \(\d+%, compiling ', facts['time']) and 'each' not in facts['time']
    # What XLA compiles is a part of the phases, not one more of them.
    assert 'xla' not in facts['time'] and abs(sum(map(int, re.findall(r'(\d+)%', facts['time']))) - 100) < 6
    assert re.match(r'an update \S+ s, a collected episode \S+ s, an evaluation \S+ s$', facts['pace'])
    assert re.fullmatch(r'(0{5}\d-\d{9}: whole, \d\.\d MB, \d+ \w+ old ?){3}', facts['checkpoints'])
    assert '000006-000000016: whole' in facts['checkpoints']
    size = sum(path.stat().st_size for path in run.rglob('*') if path.is_file())
    assert facts['disk'].startswith(f'{size / 1e6:.1f} MB: episodes ') and 'time left' not in facts
    zero, uniform, *trained = [(line['episodes'], np.mean(line['returns']), line['returns'])
                               for line in evaluations(run)]
    best = max(trained, key=lambda entry: entry[1])
    assert facts['score'] == (
        f'{significant(trained[-1][1])} after 6 episodes (from {significant(min(trained[-1][2]))} to '
        f'{significant(max(trained[-1][2]))}), best {significant(best[1])} after {best[0]}; zero actions '
        f'{significant(zero[1])}; uniform actions {significant(uniform[1])}')


def test_info_of_a_run_under_way(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('COLUMNS', '200')
    shutil.copytree(run, tmp_path / 'copy')
    record = json.loads((run / 'config.json').read_text())
    (tmp_path / 'copy' / 'config.json').write_text(json.dumps(record | {'episodes': 10}))
    metrics = (run / 'metrics.jsonl').read_text().splitlines()
    last = json.loads(metrics[-1]) | {'skipped': 1}
    last['seconds'] |= {'learn_each': 2.0, 'collect_each': 10.0, 'evaluate_each': 100.0}
    (tmp_path / 'copy' / 'metrics.jsonl').write_text('\n'.join([*metrics[:-1], json.dumps(last), '']))
    for path in (tmp_path / 'copy').glob('checkpoints/*/progress.json'):
        path.write_text('{}')
    assert main(['info', str(tmp_path / 'copy')]) == 0
    facts = facts_of(capsys.readouterr().out)
    # Four episodes with four updates each, and evaluations after 8 and 10.
    assert facts['time left'] == f'{(4 * (4 * 2 + 10) + 2 * 100) / 60:.0f} min at that pace'
    assert '16 updates (1 of them skipped)' in facts['progress']
    assert 'damaged. ' in facts['checkpoints'] and 'is not as it was written' in facts['checkpoints']


def test_info_of_several_runs(run, tmp_path, monkeypatch, capsys):
    shutil.copytree(run, tmp_path / 'toy_point' / 'a' / '0')
    for number, damage in enumerate(['{"episodes": 1}\n', '[\n', '3\n'], 1):
        shutil.copytree(run, tmp_path / 'toy_point' / 'a' / str(number))
        (tmp_path / 'toy_point' / 'a' / str(number) / 'metrics.jsonl').write_text(damage)
    monkeypatch.setenv('COLUMNS', '100')
    assert main(['info', str(tmp_path)]) == 0
    head, line, *damaged, version = capsys.readouterr().out.splitlines()
    assert line.split()[:2] == ['toy_point/a/0', '6/6'] and ' done ' in line
    zero, uniform, *trained = [significant(np.mean(entry['returns'])) for entry in evaluations(run)]
    assert line.split()[2:6] == [trained[-1], max(trained, key=float), zero, uniform]
    assert version.startswith('Scores are of mujoco ')
    assert len(damaged) == 3 and all('metrics.jsonl cannot be read: ' in sentence for sentence in damaged)
    assert main(['info', str(tmp_path / 'toy_point' / 'a' / '1')]) == 2


def test_info_of_a_run_that_has_just_begun(run, tmp_path, capsys):
    shutil.copy(run / 'config.json', tmp_path)
    assert main(['info', str(tmp_path)]) == 0
    facts = facts_of(capsys.readouterr().out)
    assert facts['progress'].startswith('0 of 6 episodes') and facts['checkpoints'] == 'none yet'
    assert (facts['score'], facts['time left']) == ('not evaluated yet', 'not known yet')


def test_the_glossary_has_all_that_a_run_writes(run):
    root = Path(__file__).parents[2]
    told = set(re.findall(r'`([\w./]+?)/?`', (root / 'docs' / 'metrics.md').read_text()))
    metrics, predictions = ([json.loads(line) for line in (run / name).read_text().splitlines()]
                            for name in ('metrics.jsonl', 'open_loop.jsonl'))
    record = json.loads((run / 'config.json').read_text())
    written = {name for line in [*metrics, *predictions, *evaluations(run), record] for name in line}
    written |= {name for line in metrics for name in line['seconds']}
    written |= {path.name for path in run.iterdir()}
    written |= set((run / 'scores.csv').read_text().splitlines()[0].split(','))
    # What only some settings ask for.
    for name in ('objective.py', 'learner.py'):
        found = re.findall(r"metrics\['(\w+)'\] = |\{'(\w+)': ", (root / 'planet_jax' / name).read_text())
        written |= {name for names in found for name in names if name and f'{name}_share' not in told}
    assert {'loss', 'return', 'skipped', 'overshooting_kl', 'lock', 'learn_each', 'step'} <= written
    assert written <= told, written - told


def test_info_of_the_installation(capsys):
    assert main(['info']) == 0
    printed = capsys.readouterr().out
    assert re.search(rf'^jax +{re.escape(jax.__version__)}$', printed, re.MULTILINE)
    for package in ('python', 'planet-jax', 'mujoco', 'flax'):
        assert re.search(rf'^{package} +\d', printed, re.MULTILINE)
    assert len(re.findall(r'^device +cpu: ', printed, re.MULTILINE)) == len(jax.devices())
