"""Options with old names are still read."""

import io

import pytest
from rich.console import Console

from planet_jax.cli import main, parsing
from planet_jax.cli.commands.train import Train
from planet_jax.config import saved


@pytest.mark.parametrize('typed, meant', [
    ('--planner.spread', '--planner.std-estimator'),
    ('--planner.spread=mean_absolute', '--planner.std-estimator=mean_absolute'),
    ('--evaluation-planner.spread', '--evaluation-planner.std-estimator'),
    ('--evaluation_planner.spread', '--evaluation-planner.std-estimator'),
    ('--objective.divergence-scale=0.5', '--objective.kl-scale=0.5'),
    ('--objective.divergence_scale', '--objective.kl-scale'),
])
def test_an_old_option_is_today_s(typed, meant):
    assert parsing.renamed(typed) == meant


@pytest.mark.parametrize('typed', ['train', '--task', 'planner.spread', '--method=--planner.spread', '-h', '--',
                                   '--planner.horizon=3', '--planner.std-estimator'])
def test_everything_else_stays_as_it_was_typed(typed):
    assert parsing.renamed(typed) == typed


def test_a_command_takes_the_old_options(monkeypatch, tmp_path):
    found = []
    monkeypatch.setitem(main.COMMANDS, 'train', main.COMMANDS['train']._replace(
        run=lambda command, arguments, console: found.append(command) or 0))
    assert main.main(['train', '--task', 'toy_point', '--preset', 'debug', '--logdir', str(tmp_path),
                      '--planner.spread', 'mean_absolute', '--objective.divergence-scale=0.5']) == 0
    assert (found[0].config.planner.std_estimator, found[0].config.objective.kl_scale) == ('mean_absolute', 0.5)


@pytest.mark.parametrize('old', saved.RENAMED)
def test_only_the_new_names_are_options(old):
    today = saved.RENAMED[old].replace('_', '-')
    with pytest.raises(SystemExit):
        parsing.parse(Train, ['--task', 'toy_point', f'--{old}', '1'], Console(file=io.StringIO()))
    assert parsing.renamed(f'--{old}') == f'--{today}'
