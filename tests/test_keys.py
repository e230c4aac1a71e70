"""Keys, and modes of JAX that would change keys or numbers."""

import json

import jax
import pytest

from planet_jax import keys, load, make_steps
from planet_jax.cli.main import main
from planet_jax.config import Spec, preset


@pytest.fixture
def mode():
    """Sets a flag of JAX for a test."""
    before = {}

    def put(flag, value):
        before.setdefault(flag, getattr(jax.config, flag))
        jax.config.update(flag, value)

    yield put
    for flag, value in before.items():
        jax.config.update(flag, value)


def test_a_stream_is_the_same_whatever_came_before():
    root = keys.root(3)
    assert (root.shape, root.dtype) == ((2,), 'uint32')
    assert (keys.stream(root, 'update', 5) == keys.stream(keys.root(3), 'update', 5)).all()
    assert len({keys.stream(root, *use).tobytes() for use in (
        ('update', 5), ('update', 6), ('collect', 5))} | {root.tobytes()}) == 4


@pytest.mark.parametrize('flag, value, name', [('jax_enable_x64', True, 'JAX_ENABLE_X64=0'),
                                               ('jax_default_prng_impl', 'rbg', 'JAX_DEFAULT_PRNG_IMPL=threefry2x32')])
def test_modes_that_are_refused(flag, value, name, mode, tmp_path, write_scores, capsys):
    write_scores(tmp_path / 'logs/toy_point/rssm-debug/0', [], preset='debug')
    there = sorted(tmp_path.rglob('*'))
    mode(flag, value)
    for call in (lambda: keys.root(0), lambda: load(tmp_path / 'logs/toy_point/rssm-debug/0'),
                 lambda: make_steps(preset('debug'), Spec((4,), 'float32', 1, 5), slots=1, updates_per_call=1)):
        with pytest.raises(RuntimeError, match=name) as error:
            call()
        assert f"jax.config.update('{flag}'" in str(error.value)
    for arguments in (['train', '--task', 'toy_point', '--preset', 'debug', '--logdir', str(tmp_path / 'new')],
                      *(['evaluate', '--run', str(tmp_path / 'logs/toy_point/rssm-debug/0'), '--agent', agent]
                        for agent in ('planet', 'uniform'))):
        assert main(arguments) == 2 and name in capsys.readouterr().err
    assert sorted(tmp_path.rglob('*')) == there


def test_flags_that_change_numbers_are_recorded(mode, monkeypatch):
    from planet_jax.runs import run
    assert json.loads(json.dumps(run.flags()))['jax_threefry_partitionable'] is True
    mode('jax_threefry_partitionable', False)
    monkeypatch.setenv('XLA_FLAGS', '--xla_cpu_enable_fast_math=false')
    monkeypatch.setenv('NPROC', '3')
    record = run.Run('toy_point', 'debug', 0, preset('debug').resolve()).record()
    assert record['flags'] == {'jax_threefry_partitionable': False, 'XLA_FLAGS': '--xla_cpu_enable_fast_math=false',
                               'cpu_threads': 3}


def test_a_run_that_goes_on_with_other_flags_says_so(tmp_path):
    from planet_jax.storage.run_files import read_config
    from planet_jax.storage.run_folder import RunFolder
    record = {'task': 'toy_point', 'preset': 'debug', 'seed': 0, 'config': preset('debug'), 'action_repeat': {},
              'versions': {}, 'device': 'here', 'commit': None}
    for flags in ({}, {'flags': {'XLA_FLAGS': ''}}, {'flags': {'XLA_FLAGS': ''}}, {'flags': {'XLA_FLAGS': '--x'}}):
        RunFolder(tmp_path / 'toy_point/rssm/0', record | flags).close()
    # A run of before flags were written is not told from one with any.
    assert [made['flags'] for made in read_config(tmp_path / 'toy_point/rssm/0', trust_task=True)['earlier']] == [
        {'XLA_FLAGS': ''}]
