"""The help of every command: it fits a screen, matches the parser, and is quick."""

import re

import pytest
import tyro

from planet_jax.cli import help
from planet_jax.cli.commands import COMMANDS
from planet_jax.cli.main import main
from planet_jax.cli.options import HasSettings, TrainingOptions
from planet_jax.cli.parsing import required
from planet_jax.config import preset

SETTINGS = [name for name, (record, _) in COMMANDS.items() if issubclass(record, HasSettings)]


def defaults(record):
    return {'preset': 'cpu', 'config': preset('cpu')} if issubclass(record, HasSettings) else {}


@pytest.fixture
def printed(monkeypatch, capsys):
    def run(*arguments, columns=80):
        monkeypatch.setenv('COLUMNS', str(columns))
        assert main(list(arguments)) == 0
        return capsys.readouterr().out
    return run


@pytest.mark.parametrize('command', COMMANDS)
def test_the_help_of_a_command_fits_a_screen(command, printed):
    record = COMMANDS[command][0]
    own, *groups = help.read(record, defaults(record))
    shown = printed(command, '--help')
    assert shown == printed(command, '-h') and len(shown.splitlines()) <= 50
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.startswith(f'usage: planet-jax {command} ')
    assert all(f'--{group.name}.*' in shown for group in groups) and ('Settings:' in shown) == bool(groups)
    assert all(option.name in shown for option in own.options)
    for group in groups:
        page = printed(command, '--help', group.name, columns=100)
        assert len(page.splitlines()) <= 60 and all(option.name in page for option in group.options)


def test_the_help_of_the_program_fits_a_small_screen(printed):
    shown = printed('--help')
    assert shown == printed('-h') == printed() and len(shown.splitlines()) <= 24
    assert all(f'\n  {command} ' in shown for command in COMMANDS)


@pytest.mark.parametrize('command', COMMANDS)
def test_the_help_tells_what_the_parser_takes(command, monkeypatch, capsys):
    record = COMMANDS[command][0]
    default = {'default': record(**required(record), **defaults(record))} if defaults(record) else {}
    monkeypatch.setenv('COLUMNS', '100')
    with pytest.raises(SystemExit):
        tyro.cli(record, args=['--help'], **default, config=(tyro.conf.FlagCreatePairsOff,))
    lines = [re.match(r'[\s│]*(?:-h, )?(--[a-z]\S*)(.*?)(  |│|$)', line)
             for line in capsys.readouterr().out.splitlines()]
    expected = {line[1]: line[2].strip().strip('{}').replace(',', '|') for line in lines if line}
    options = {option.name: option for group in help.read(record, defaults(record)) for option in group.options
               if option.name.startswith('--')}
    assert set(options) == {name for name in expected if name != '--help'}
    for name, option in options.items():
        if '|' in option.values:
            assert option.values.removesuffix('...') in expected[name]
        assert bool(option.values) == bool(expected[name])


@pytest.mark.parametrize('command', SETTINGS)
def test_symbols_and_defaults_are_shown(command, printed):
    shown = ' '.join(printed(command, '--help').split())
    for letters in ('H 16, I 3, J 64, K 10', 'B 16, L 32', 'S 5', 'Z 30, D 128', 'O 1'):
        assert f'[{letters}]' in shown
    assert '[S 5, C 300]' in ' '.join(printed(command, '--task', 'finger_spin', '--help').split())
    page = printed(command, '--preset', 'planet', '--help', 'planner')
    assert re.search(r'--planner.candidates INT +J, .*\[1000\]', page) and 'preset planet' in page
    everything = printed(command, '--help', 'all')
    assert '--collector.noise' in everything
    assert ('by default 1000 (planet' in everything) == issubclass(COMMANDS[command].options, TrainingOptions)


def test_groups_that_there_are_not(capsys):
    assert main(['train', '--help', 'plannr']) == 2
    assert "There is no group 'plannr' of settings: choose one of env, model" in capsys.readouterr().err
    assert main(['evaluate', '--help', 'planner']) == 2
    assert 'it has none' in capsys.readouterr().err


def test_help_loads_no_jax(fresh_python):
    fresh_python("""
import sys
from planet_jax.cli.commands import COMMANDS
from planet_jax.cli.main import main
for command in COMMANDS:
    main([command, '--help'])
assert not {'jax', 'mujoco', 'scipy', 'matplotlib'} & set(sys.modules)
""")
