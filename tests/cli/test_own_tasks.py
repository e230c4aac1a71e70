"""The code of a task that a run folder names runs only if the user allows it."""

import dataclasses
import sys

import pytest

from planet_jax import envs
from planet_jax.cli.commands import COMMANDS
from planet_jax.cli.main import main
from planet_jax.config import Env

MODULE = """
import gymnasium, pathlib
pathlib.Path(__file__).with_name('imported').touch()

def env():
    return gymnasium.make('Pendulum-v1')
"""
ON_RUNS = [name for name, (record, _) in COMMANDS.items() if 'run' in {f.name for f in dataclasses.fields(record)}]


@pytest.fixture
def run(tmp_path, monkeypatch, write_scores):
    """A folder of a run whose task is in a module that leaves a trace, in the folder one works in."""
    (tmp_path / 'stranger.py').write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', [path for path in sys.path if path])
    yield lambda task: write_scores(tmp_path / 'logs' / task / 'rssm-cpu' / '0', []) or f'logs/{task}/rssm-cpu/0'
    sys.modules.pop('stranger', None)


@pytest.mark.parametrize('command', ON_RUNS)
@pytest.mark.parametrize('task', ['stranger:env', 'stranger:Env-v0', 'toy_point,stranger:env'])
def test_nothing_that_a_folder_names_is_imported_unasked(command, task, run, tmp_path, capsys):
    out = {'export': 'agent.jaxexport', 'report': 'report.html'}.get(command)
    main([command, *(() if command == 'info' else ('--run',)), run(task),
          *(('--out', str(tmp_path / out)) if out else ())])
    printed = capsys.readouterr()
    assert not (tmp_path / 'imported').exists() and 'stranger' not in sys.modules
    if command == 'report':  # It tells the rest of a run whose agent must not act.
        assert 'the agent could not act' in printed.out and '--trust-task' in printed.out
    elif command != 'info':
        assert f'is {task}, which imports, and so runs, stranger: add --trust-task' in printed.err


def test_what_is_trusted_is_imported(run, tmp_path, capsys):
    arguments = ['evaluate', '--run', run('stranger:env'), '--agent', 'zero', '--episodes', '1']
    assert main(arguments) == 2 and main([*arguments, '--trust-task']) == 0
    assert 'stranger:env, zero agent: mean -' in capsys.readouterr().out
    assert (tmp_path / 'imported').exists()


def test_what_gymnasium_has_needs_no_trust(run, capsys):
    assert main(['evaluate', '--run', run('gymnasium:Pendulum-v1'), '--agent', 'zero', '--episodes', '1']) == 0
    assert 'gymnasium:Pendulum-v1, zero agent: mean -' in capsys.readouterr().out


def test_the_folder_one_works_in_counts_but_never_before_a_library(run, tmp_path):
    (tmp_path / 'tyro.py').write_text('raise AssertionError')
    assert str(tmp_path) not in sys.path
    assert envs.spec('stranger:env', Env(observation='state')).steps == 200
    assert sys.path[-1] == str(tmp_path)
