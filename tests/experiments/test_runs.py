"""The runs that experiments declare, the ones that they start, and the figures that they draw."""

import ast
import importlib
import signal
import sys
from pathlib import Path

import pytest
import tyro

from experiments import runs
from planet_jax.cli.values import REGISTRY
from planet_jax.config import PRESETS, Config, preset
from planet_jax.scores import published

ROOT = Path(__file__).parents[2]
EXPERIMENTS = {name: importlib.import_module(f'experiments.{name}').EXPERIMENT
               for name in ('table1', 'figure4', 'figure5', 'figure7', 'overshooting')}


def sweeps(name, **options):
    return EXPERIMENTS[name].sweeps(runs.Options(**{'size': 'cpu', **options}))


def test_every_command_line_reads_numbers_and_paths_as_the_program_does():
    calls = [node for path in [*ROOT.glob('experiments/**/*.py'), *ROOT.glob('planet_jax/**/*.py')]
             for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Call) and ast.unparse(node.func) == 'tyro.cli']
    assert len(calls) > 10
    assert all('registry' in [keyword.arg for keyword in call.keywords] for call in calls)


def test_paths_may_begin_with_the_home_folder_and_numbers_be_written_as_people_do(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    options = tyro.cli(runs.Options, args=['--size=debug', '--logdir=~/x', '--episodes', '1e3'], registry=REGISTRY)
    assert (options.logdir, options.episodes) == (tmp_path / 'x', 1000)
    with pytest.raises(SystemExit):
        runs.main(EXPERIMENTS['figure4'], ['--size=debug', '--episodes', 'many'])
    printed = ''.join(capsys.readouterr())
    assert 'as in 1000, 1e3 or 1k' in ' '.join(printed.replace('│', ' ').split()) and 'instantiated' not in printed


def test_every_experiment_is_here():
    scripts = {path.stem for path in (ROOT / 'experiments').glob('*.py') if 'EXPERIMENT = ' in path.read_text()}
    assert scripts == set(EXPERIMENTS)
    assert all(experiment.name == name for name, experiment in EXPERIMENTS.items())


@pytest.mark.parametrize('name, methods', [
    ('table1', {'rssm-cpu': []}),
    ('figure4', {'rssm-cpu': [], 'ssm-cpu': ['--model.cell', 'ssm'],
                 'rnn-cpu': ['--model.cell', 'rnn']}),
    ('figure5', {'rssm-cpu': [], 'random_collection-cpu': ['--collector.agent', 'random'],
                 'random_shooting-cpu': ['--planner.method', 'random_shooting']}),
    ('overshooting', {
        'rssm-cpu': [], 'rssm_overshooting-cpu': ['--objective.overshooting-distance', '32'],
        'ssm-cpu': ['--model.cell', 'ssm'],
        'ssm_overshooting-cpu': ['--model.cell', 'ssm', '--objective.overshooting-distance', '32']}),
])
def test_commands(name, methods):
    declared = sweeps(name, seeds='0,3', episodes=50, logdir=Path('meine Läufe'), time_limit=2.5)
    assert len(declared) == 6 * len(methods)
    assert {sweep.name: list(sweep.method.overrides) for sweep in declared} == methods
    assert declared[1].command == [
        sys.executable, '-m', 'planet_jax', 'sweep', '--task', 'reacher_easy', '--method', 'rssm-cpu',
        '--preset', 'cpu', '--seeds', '0,3', '--episodes', '50', '--logdir', 'meine Läufe', '--time-limit', '2.5']
    for sweep in declared:
        assert sweep.command == [*sweep.command[:len(declared[0].command)], *sweep.method.overrides]
    assert declared[1].directories == [Path('meine Läufe/reacher_easy/rssm-cpu', seed) for seed in '03']


def test_one_agent_for_all_tasks():
    *single, together = sweeps('figure7')
    assert [sweep.task for sweep in single] == list(published.TASKS) and together.task == 'all'
    assert together.directories == [Path('logs/all/rssm-cpu/0')]
    assert sweeps('figure7', tasks=('cup_catch', 'finger_spin'))[-1].task == 'cup_catch,finger_spin'


@pytest.mark.parametrize('name', EXPERIMENTS)
@pytest.mark.parametrize('size', PRESETS)
def test_settings_are_of_the_configuration(name, size):
    methods = EXPERIMENTS[name].methods(preset(size))
    assert len({method.label for method in methods}) == len(methods)
    for method in methods:
        changed = tyro.cli(Config, args=method.overrides, default=preset(size))
        assert (changed == preset(size)) == (not method.overrides)


def test_sizes_say_how_much_is_run():
    for size, episodes, seeds in (('debug', 6, 2), ('cpu', 500, 1), ('planet', 1000, 5), ('paper', 1000, 5)):
        options = runs.Options(size=size)
        assert options.task_names == (published.TASKS if size != 'debug' else ('cartpole_swingup', 'cup_catch'))
        assert (options.total_episodes, len(runs.parse_seeds(options.seed_range))) == (episodes, seeds)


@pytest.mark.parametrize('options, told', [
    ({'seeds': '5:0'}, "The seeds are '5:0'"), ({'seeds': '1,1'}, '0,3'), ({'seeds': '-1:3'}, '0:5'),
    ({'seeds': ''}, '0:5'), ({'seeds': '0:5:2'}, '0:5'),
    ({'tasks': ('cartpole',)}, 'There is no task'), ({'tasks': ()}, 'at least one task'),
    ({'tasks': ('cup_catch', 'cup_catch')}, 'none twice'), ({'episodes': 5}, 'nearest valid value is 6'),
    ({'time_limit': 0.0}, 'must be above 0'), ({'out': Path(__file__)}, 'is not a folder'),
])
def test_bad_options_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        runs.Options(**{'size': 'cpu', **options})


def test_complete_are_those_with_an_evaluation_at_the_end(tmp_path, write_scores):
    sweep = sweeps('table1', tasks=('cup_catch',), seeds='0:5', episodes=20, logdir=tmp_path)[0]
    assert sweep.missing() == [0, 1, 2, 3, 4] and sweep.read() == []
    for seed, evaluations in enumerate([[('planet', 10, [1]), ('planet', 20, [1])], [('planet', 10, [1])],
                                        [('zero', 20, [1])], [('planet', 30, [1])]]):
        write_scores(sweep.directories[seed], evaluations)
    assert sweep.missing() == [1, 2, 4]


def test_a_run_on_several_tasks_is_complete_when_each_is(tmp_path, write_scores):
    sweep = sweeps('figure7', tasks=('cup_catch', 'finger_spin'), seeds='0', episodes=20, logdir=tmp_path)[-1]
    write_scores(sweep.directories[0], [('planet', 20, [1], 'cup_catch')])
    assert sweep.missing() == [0]
    write_scores(sweep.directories[0], [('planet', 20, [1], 'finger_spin')])
    assert sweep.missing() == []


def test_a_signal_reaches_the_command_from_here_alone():
    # In a group of its own, it would not see a Ctrl-C; it makes this process receive one.
    program = """
import os, signal, time
received = []
signal.signal(signal.SIGINT, lambda *_: received.append(1))
os.kill(os.getppid(), signal.SIGINT)
while not received:
    time.sleep(0.01)
raise SystemExit(130 if os.getpgrp() == os.getpid() else 1)
"""
    before = signal.getsignal(signal.SIGINT)
    assert runs.run([sys.executable, '-c', program]) == 130
    assert signal.getsignal(signal.SIGINT) is before
    assert runs.run([sys.executable, '-c', 'import os; os.kill(os.getpid(), 9)']) == 128 + signal.SIGKILL


def test_what_is_complete_is_drawn_without_running_anything(tmp_path, write_scores, capfd):
    options = ['--size', 'debug', '--tasks', 'cup_catch', '--seeds', '0', '--logdir', str(tmp_path),
               '--out', str(tmp_path / 'out')]
    declared = sweeps('figure5', size='debug', tasks=('cup_catch',), seeds='0', logdir=tmp_path)
    for sweep in declared:
        write_scores(sweep.directories[0], [('planet', 6, [1, 2])], preset='debug')
    assert runs.main(EXPERIMENTS['figure5'], options) == 0
    assert '3 of 3 sweeps are complete.' in capfd.readouterr().out
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['figure5-debug.png']


def test_without_scores_there_is_nothing_to_draw(tmp_path, capsys):
    assert runs.main(EXPERIMENTS['figure4'], ['--size', 'cpu', '--render-only', '--logdir', str(tmp_path)]) == 2
    assert f'no scores of these runs in {tmp_path}' in capsys.readouterr().err
