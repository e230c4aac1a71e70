"""The command that verifies an accelerator: its steps, its continuation, and its page."""

import json
from pathlib import Path

import pytest

from experiments.bench import verify
from planet_jax.cli.commands import verify as command
from planet_jax.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
MACHINE = {'platform': 'gpu', 'machine': 'a GPU', 'versions': {'jax': '0'}, 'commit': 'abc'}


def options(tmp_path, **settings):
    return command.Verify(out=tmp_path, **settings)


def write_run(folder, seconds, episodes=7, updates=200, evaluations=4):
    (folder / 'checkpoints/1').mkdir(parents=True)
    (folder / 'checkpoints/1/progress.json').write_text(json.dumps({'seconds': seconds}))
    (folder / 'metrics.jsonl').write_text(json.dumps({'episodes': episodes, 'updates': updates, 'return': 1.0}) + '\n')
    lines = [{'agent': 'zero', 'returns': [0] * 10}, *[{'agent': 'planet', 'returns': [1] * 5}] * 2 * evaluations]
    (folder / 'evaluations.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    return folder


def test_a_thousand_episodes_are_projected_by_the_preset_s_rules(tmp_path):
    run = write_run(tmp_path, {'seed': 36.0, 'learn': 30.0, 'learn_xla': 10.0, 'collect': 9.0, 'collect_xla': 1.0,
                               'collect_simulator': 4.5, 'evaluate': 40.0, 'compile': 99.0})
    found = verify.project(run, 'planet')
    # 200 updates in 20 s, 2 planned episodes in 8 s, 4 evaluations in 40 s; of 995 episodes and an evaluation every 25.
    assert (found['update_seconds'], found['episode_seconds'], found['of_it_simulator']) == (0.1, 4.0, 0.5)
    assert found['hours_extrapolated'] == pytest.approx((995 * 100 * 0.1 + 995 * 4 + 36 + 40 * 10) / 3600)
    assert (found['measured_episodes'], found['measured_updates'], found['measured_evaluations']) == (2, 200, 4)


def test_updates_during_an_episode_are_part_of_its_time(tmp_path):
    seconds = {'seed': 5.0, 'learn': 14.0, 'learn_xla': 4.0, 'collect': 40.0, 'collect_simulator': 10.0,
               'evaluate': 20.0}
    run = write_run(tmp_path, seconds, episodes=13, updates=900, evaluations=2)
    found = verify.project(run, 'cpu')
    assert (found['update_seconds'], found['episode_seconds'], found['of_it_simulator']) == (0.1, 5.0, 0.25)
    assert 'update_hours' not in found and found['collect_hours'] == pytest.approx((995 * 5 + 5) / 3600)


def test_nothing_is_projected_from_nothing(tmp_path):
    found = verify.project(write_run(tmp_path, {'seed': 3.0}, episodes=5, updates=0, evaluations=0), 'planet')
    assert 'hours_extrapolated' not in found and found['measured_episodes'] == 0


def test_the_page_has_goals_and_failures(tmp_path):
    tests = tmp_path / 'tests.xml'
    tests.write_text('<testsuites><testsuite tests="2" failures="1" errors="0" skipped="0"><testcase classname="a" '
                     'name="b" time="1"><failure message="it | is off"/></testcase><testcase classname="a" name="c" '
                     'time="2"/></testsuite></testsuites>')
    found = verify.outcome_of_tests(tests)
    assert found['failed'] == {'a::b': 'it | is off'}
    row = {'row': 'seeds 1', 'seconds': 0.5, 'compile_seconds': 20.0, 'readings': [0.5]}
    rest = {'size': 'planet', 'seconds': 1.0, **MACHINE}
    text = verify.page([{'step': 'tests', 'status': 1, **rest, **found},
                        {'step': 'update', 'status': 0, **rest, 'rows': [row], 'product_gflop_per_second': [3.0],
                         'peak_gigabytes': 2.0},
                        {'step': 'plan', 'status': None, **rest},
                        {'step': 'train', 'status': 0, **rest, 'task': 'cheetah_run', 'hours_extrapolated': 0.9}])
    assert '| tests | status 1, 2 tests, 1 failed | 1 |' in text and '| plan | stopped after' in text
    assert '| update, s | 0.012 | 0.5 | no |' in text and 'it / is off' in text
    assert '| 1000 episodes of cheetah_run, extrapolated, h | 1 | 0.9 | yes |' in text
    assert '| seeds 1 | 0.5 | 20 |' in text
    small = verify.page([{'step': 'tests', 'status': 1, **rest, 'size': 'cpu', **found}])
    assert 'No goal is set for preset cpu' in small and '| goal |' not in small


def test_only_files_with_marked_tests_are_collected(tmp_path):
    words = verify.command('tests', options(tmp_path), 'planet', True)
    files = [word for word in words if word.endswith('.py')]
    assert str(ROOT / 'tests/test_device.py') in files and 0 < len(files) < 10
    assert words[words.index('-m', 2) + 1] == 'device'
    assert 'not slow and device' in verify.command('tests', options(tmp_path), 'cpu', False)


def test_a_step_is_done_again_after_a_failure_or_on_another_machine(tmp_path):
    asked = options(tmp_path)
    (tmp_path / 'plan.json').write_text(json.dumps({'step': 'plan', 'size': 'planet', 'status': 0, **MACHINE}))
    assert verify.done('plan', asked, 'planet', MACHINE)
    assert not verify.done('plan', asked, 'cpu', MACHINE)
    assert not verify.done('plan', asked, 'planet', {**MACHINE, 'commit': 'abd'})
    assert not verify.done('update', asked, 'planet', MACHINE)
    (tmp_path / 'plan.json').write_text(json.dumps({'step': 'plan', 'size': 'planet', 'status': None, **MACHINE}))
    assert not verify.done('plan', asked, 'planet', MACHINE)


def test_an_accelerator_has_a_cpu_beside_it(monkeypatch):
    monkeypatch.delenv('JAX_PLATFORMS')
    assert verify.environment('gpu')['JAX_PLATFORMS'] == 'cuda,cpu'
    assert verify.environment('tpu')['JAX_PLATFORMS'] == 'tpu,cpu'
    assert verify.environment('cpu')['JAX_PLATFORMS'] == 'cpu'
    monkeypatch.setenv('JAX_PLATFORMS', 'rocm,cpu')
    assert verify.environment('gpu')['JAX_PLATFORMS'] == 'rocm,cpu'


def test_without_a_checkout_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, '__file__', str(tmp_path / 'site-packages/planet_jax/cli/commands/verify.py'))
    assert main(['verify']) == 2
    assert 'clone the repository' in capsys.readouterr().err


def test_a_training_that_would_take_nine_minutes_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(['verify', '--minutes', '9'])
    assert 'at most 8' in ' '.join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_the_whole_command_on_a_cpu_and_again(tmp_path, run_planet_jax):
    words = ['verify', '--preset', 'debug', '--task', 'toy_point', '--minutes', '0.5', '--out', tmp_path / 'found',
             '--steps', 'plan', 'collect', 'train']
    status, printed = run_planet_jax(*words, cwd=tmp_path)
    assert status == 0, printed
    found = json.loads((tmp_path / 'found/verify.json').read_text())['steps']
    assert [step['step'] for step in found] == ['plan', 'collect', 'train']
    assert found[2]['measured_episodes'] >= 1 and found[2]['hours_extrapolated'] > 0
    assert '| states 10 |' in (tmp_path / 'found/verify.md').read_text()
    status, again = run_planet_jax(*words, cwd=tmp_path)
    assert status == 0 and 'tells how it goes' in printed and 'tells how it goes' not in again
