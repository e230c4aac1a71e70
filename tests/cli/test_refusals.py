"""Bad values are refused while parsing, with a sentence that names value and fix, status 2, and no file."""

import re

import pytest

from planet_jax.cli.commands import COMMANDS
from planet_jax.cli.main import main


@pytest.fixture
def refuse(tmp_path, monkeypatch, capsys):
    """Runs a command that must be refused and returns what it said, as one line without frames."""
    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        try:
            status = main(list(arguments))
        except SystemExit as ended:
            status = ended.code
        printed = ''.join(capsys.readouterr())
        assert status == 2, printed
        assert not list(tmp_path.iterdir())
        assert 'Traceback' not in printed and 'Preset cpu: unused' not in printed
        return re.sub(r'[\s│─╭╮╰╯]+', ' ', printed)
    return run


TOY = ['train', '--task', 'toy_point', '--preset', 'debug']


@pytest.mark.parametrize('arguments, told', [
    (['--model.stochastic', '-3'], ['model.stochastic is -3', 'nearest valid value is 1']),
    (['--learner.batch', '0'], ['learner.batch is 0', 'nearest valid value is 1']),
    (['--planner.elites', '21'], ['planner.elites is 21', 'planner.candidates is 20', 'nearest valid value']),
    (['--planner.horizon', '0'], ['planner.horizon is 0', 'nearest valid value is 1']),
    (['--planner.iterations', '-1'], ['planner.iterations is -1', 'nearest valid value is 1']),
    (['--learner.learning-rate', 'nan'], ['learner.learning_rate is nan', 'positive']),
    (['--collector.noise', '-0.1'], ['collector.noise is -0.1', 'nearest valid value is 0']),
    (['--replay.capacity', '1'], ['replay.capacity is 1', 'nearest valid capacity is 2']),
    (['--evaluation.episodes', '0'], ['evaluation.episodes is 0', 'nearest valid value is 1']),
    (['--evaluation.every', '-1'], ['evaluation.every is -1', 'nearest valid value is 0']),
    (['--env.size', '400'], ['env.size is 400', 'sides of 16 to 256']),
    (['--env.size', '-32'], ['env.size is -32', 'nearest valid value is 8']),
    (['--env.action-repeat', '0'], ['env.action_repeat is 0', 'nearest valid value is 1']),
    (['--env.action-repeat', '26'], ['26', 'nearest valid value is 25']),
    (['--model.cell', 'lstm'], ['cell', 'lstm', 'rssm', 'ssm', 'rnn']),
    (['--episodes', '1'], ['episodes is 1', '2 seed episodes', 'nearest valid value is 2']),
    (['--episodes', '0'], ['episodes is 0', 'nearest valid value is 2']),
    (['--episodes', 'many'], ['episodes', 'many']),
    (['--seed', '-1'], ['seed is -1', 'nearest valid value is 0']),
    (['--seed', '-1e3'], ['seed is -1000', 'nearest valid value is 0']),
    (['--seed', '4294967296'], ['seed is 4294967296', 'nearest valid value is 4294967295']),
    (['--time-limit', '0'], ['time limit is 0', 'above 0']),
    (['--time-limit', 'nan'], ['time limit is nan', 'above 0']),
    (['--checkpoint-minutes', '-1'], ['checkpoint_minutes is -1', 'at least 0']),
    # Fault case 14 of docs/reliability.md.
    (['--episodes', '999999999'], ['replay of 999999999 episodes takes', 'GB of memory', '--replay.capacity to']),
    (['--sinks', 'tensorbord'], ['sinks', 'tensorbord']),
    (['--preset', 'huge'], ['preset', 'huge', 'planet', 'paper', 'cpu', 'debug']),
    (['--nonsense', '1'], ['nonsense']),
    (['--task'], ['task']),
])
def test_values(arguments, told, refuse):
    printed = refuse(*TOY, *arguments)
    for part in told:
        assert part in printed


@pytest.mark.parametrize('method', ['../x', 'a/b', '/x', '..', '.', '-x', 'a b', 'a\nb', '**', ''])
@pytest.mark.parametrize('preset', [['--preset', 'debug'], []], ids=['preset', 'no preset'])
def test_names_of_methods(method, preset, refuse):
    # Without a preset, run folders of that method are looked for before the command line is parsed in full.
    assert f'The method is {method!r}'.replace('\n', ' ') in refuse(
        'train', '--task', 'toy_point', *preset, f'--method={method}')


@pytest.mark.parametrize('task', ['a; rm -rf x', 'toy_poin', '../toy_point', '', 'lqr_lqr_2_1'])
@pytest.mark.parametrize('preset', [['--preset', 'debug'], []], ids=['preset', 'no preset'])
def test_names_of_tasks(task, preset, refuse):
    printed = refuse('train', f'--task={task}', *preset)
    assert repr(task) in printed
    if not task.startswith('lqr'):
        assert 'nearest names are' in printed
    if 'toy' in task:
        assert 'toy_point' in printed


def test_the_task_must_be_named(refuse):
    assert 'task' in refuse('train')


@pytest.mark.parametrize('command', ['trian', '', '--task'])
def test_names_of_commands(command, refuse):
    assert f'no command {command!r}: choose one of {", ".join(COMMANDS)}.' in refuse(command)


@pytest.mark.parametrize('arguments, told', [
    (['evaluate'], 'run'),
    (['sweep', '--task', '--preset', 'debug'], 'No task is given'),
    (['sweep', '--task', 'toy_point', 'cup_cath', '--preset', 'debug'], 'cup_catch'),
    (['sweep', '--task', 'toy_point', '--preset', 'debug', '--seeds-per-device', '0'], 'nearest valid value is 1'),
    (['sweep', '--task', 'toy_point', 'no.such:Env', '--preset', 'debug'], "No module named 'no'"),
    (['train', '--task', 'toy_point,gymnasium:CartPole-v1', '--preset', 'debug'], 'train one agent for each kind'),
    (['evaluate', '--run', 'x', '--episodes', '0'], 'nearest valid value is 1'),
    (['evaluate', '--run', 'x', '--agent', 'best'], 'planet'),
    (['evaluate', '--run', 'x'], 'x is not a run folder: it has no config.json.'),
    (['info', 'x'], 'x is not a run folder: it has no config.json.'),
])
def test_other_commands(arguments, told, refuse):
    assert told in refuse(*arguments)
