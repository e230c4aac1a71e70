"""Values on the command line, and machines without a home folder."""

import os
import pwd
from pathlib import Path

import pytest

from planet_jax import machine
from planet_jax.cli import values
from planet_jax.cli.commands import COMMANDS
from planet_jax.cli.main import main


@pytest.mark.parametrize('text, kind, value', [
    ('1e3', int, 1000), ('10k', int, 10_000), ('1_000', int, 1000), ('1.5K', int, 1500), ('2M', int, 2_000_000),
    ('-3', int, -3), ('12.0', int, 12), ('9007199254740993', int, 9007199254740993), ('1e-3', float, 1e-3),
    ('0.1k', float, 100.0), ('.5', float, 0.5), ('inf', float, float('inf')), ('3', float, 3.0)])
def test_numbers(text, kind, value):
    found = values.number(text, kind)
    assert (found, type(found)) == (value, kind)


@pytest.mark.parametrize('text, kind, told', [
    ('2.7', int, 'nearest valid value is 3'), ('1e-3', int, 'nearest valid value is 0'),
    ('10,000', int, 'nearest valid value is 10000'), ('0,001', float, 'nearest valid value is 0.001'),
    ('5 min', float, 'nearest valid value is 5.0'), ('many', int, 'as in 1000, 1e3 or 1k'), ('', int, 'as in 1000'),
    ('nan', int, 'as in 1000'), ('1e9999999999', int, 'nearest valid value is')])
def test_what_is_no_number(text, kind, told):
    with pytest.raises(ValueError, match=told):
        values.number(text, kind)


@pytest.mark.parametrize('arguments, told', [
    (['--episodes', 'many'], "'many' is not a whole number"), (['--time-limit', '5m'], 'nearest valid value is 5.0'),
    (['--planner.elites', '3.5'], 'nearest valid value is 4'), (['--model.cell', 'lstm'], "'rssm'"),
    (['--model.encoder-channels', '8', 'x'], "'x' is not a whole number"), (['--seed', '1.5'], 'nearest valid value'),
    (['--learner.batch', '1k', '--learner.batch', 'x'], 'is not a whole number')])
def test_no_message_is_of_the_parsers_types(arguments, told, capsys):
    with pytest.raises(SystemExit) as ended:
        main(['train', '--task', 'toy_point', '--preset', 'debug', *arguments])
    printed = ''.join(capsys.readouterr())
    assert ended.value.code == 2 and told in ' '.join(printed.replace('│', ' ').split())
    assert not [word for word in ('instantiated', 'type matching', "class '", 'base 10') if word in printed]


def test_a_path_may_begin_with_the_home_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for arguments in (['info', '~/no_run'], ['evaluate', '--run=~/no_run'], ['plot', '~/no_run'],
                      ['train', '--task', 'toy_point', '--preset', 'debug', '--logdir=~/no_run', '--resume', 'must']):
        assert main(arguments) == 2
        assert f'{tmp_path}/no_run' in capsys.readouterr().err
    assert not (tmp_path / '~').exists()


def test_load_knows_the_home_folder(tmp_path, monkeypatch):
    from planet_jax import load
    monkeypatch.setenv('HOME', str(tmp_path))
    with pytest.raises(ValueError, match=f'{tmp_path}/no_run'):
        load('~/no_run')


@pytest.fixture
def homeless(monkeypatch):
    """A process of a user who has no home and no entry in passwd."""
    def unknown(number):
        raise KeyError(number)

    for name in ('HOME', 'XDG_CACHE_HOME', 'JAX_COMPILATION_CACHE_DIR'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, 'getpwuid', unknown)
    monkeypatch.setattr(pwd, 'getpwnam', unknown)


def test_without_a_home_commands_work_without_a_cache(homeless, capsys):
    assert machine.cache_folder() is None
    for command in ([], *([name] for name in COMMANDS)):
        assert main([*command, '--help']) == 0
    assert 'JAX_COMPILATION_CACHE_DIR' not in os.environ
    assert main(['info', 'no_run']) == 2 and 'no_run' in capsys.readouterr().err


def test_a_cache_that_is_named_needs_no_home(homeless, monkeypatch, tmp_path):
    monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', str(tmp_path))
    machine.prepare_process()
    assert os.environ['JAX_COMPILATION_CACHE_DIR'] == str(tmp_path)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert machine.cache_folder() == tmp_path / 'planet_jax'


def test_a_home_that_is_asked_for_and_not_there_is_one_sentence(homeless, capsys):
    with pytest.raises(SystemExit) as ended:
        main(['info', '~/runs'])
    assert ended.value.code == 2 and 'no such home folder' in ' '.join(''.join(capsys.readouterr()).split())
    with pytest.raises(ValueError, match='Write the full path'):
        values.folder('~/runs')
    assert values.folder('runs') == Path('runs')
