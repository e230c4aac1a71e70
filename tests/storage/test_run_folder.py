"""The run folder: what a continued run keeps and reports."""

import json
import os
import re
import socket

import pytest

from planet_jax import config
from planet_jax.storage.run_files import FolderError
from planet_jax.storage.run_folder import RunFolder


def record(commit):
    return {'task': 'toy_point', 'preset': 'debug', 'seed': 0, 'config': config.preset('debug'), 'versions': {},
            'action_repeat': {'toy_point': 1}, 'device': 'here', 'commit': commit}


def continued(directory, commit):
    RunFolder(directory, record(commit)).close()
    return json.loads((directory / 'config.json').read_text())


def test_what_made_the_beginning_of_a_run_stays_known(tmp_path):
    assert 'earlier' not in continued(tmp_path, 'first')
    assert 'earlier' not in continued(tmp_path, 'first')
    for _ in range(2):
        told = continued(tmp_path, 'second')
        assert told['commit'] == 'second' and [entry['commit'] for entry in told['earlier']] == ['first']
    assert [entry['commit'] for entry in continued(tmp_path, 'third')['earlier']] == ['first', 'second']


def test_a_run_that_goes_on_on_another_number_of_cores_is_told_so(tmp_path):
    def opened(**made_by):
        folder = RunFolder(tmp_path, record('first') | made_by)
        folder.close()
        return folder.changes

    assert opened(versions={'jax': '1'}, flags={'XLA_FLAGS': ''}) == []
    # An entry that the earlier record lacks is no change.
    assert opened(versions={'jax': '1', 'numpy': '2'}, flags={'XLA_FLAGS': '', 'cpu_threads': 2}) == []
    assert opened(versions={'jax': '3', 'numpy': '2'}, flags={'XLA_FLAGS': '', 'cpu_threads': 1}) == [
        'jax: 1 before, 3 now', 'cpu_threads: 2 before, 1 now']
    assert opened(versions={'jax': '3', 'numpy': '2'}, flags={'XLA_FLAGS': '', 'cpu_threads': 1}) == []
    assert len(json.loads((tmp_path / 'config.json').read_text())['earlier']) == 1


def test_a_folder_in_use_names_who_uses_it(tmp_path):
    """Fault case 6 of docs/reliability.md."""
    first = RunFolder(tmp_path, record('first'))
    with pytest.raises(FolderError, match=f'is in use by process {os.getpid()} on {re.escape(socket.gethostname())}'):
        RunFolder(tmp_path, record('first'))
    first.close()
    RunFolder(tmp_path, record('first')).close()


def test_a_start_from_the_seed_is_said_if_there_was_one_before(tmp_path):
    folder, said = RunFolder(tmp_path, record('first')), []
    assert folder.restore(None, said.append) is None and not said
    folder.append('metrics.jsonl', {'episodes': 1, 'updates': 0})
    assert folder.restore(None, said.append) is None
    assert 'starts again from its seed' in said[0] and not folder.lines('metrics.jsonl')
    folder.close()


@pytest.mark.parametrize('name', ['lock', 'metrics.jsonl', 'episodes', 'checkpoints'])
def test_nothing_is_written_through_a_link(name, tmp_path):
    """Fault case 20 of docs/reliability.md."""
    (tmp_path / 'run').mkdir()
    outside = tmp_path / 'outside'
    outside.write_text('kept')
    (tmp_path / 'run' / name).symlink_to(outside)
    with pytest.raises(FolderError, match=f'{name} is a link'):
        RunFolder(tmp_path / 'run', record('first'))
    assert outside.read_text() == 'kept'
