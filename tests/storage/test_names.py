"""Renamed metrics: files of old runs are read with today's names, and continued with their own."""

import json

from planet_jax import config
from planet_jax.storage import names
from planet_jax.storage.files import read_lines
from planet_jax.storage.run_folder import RunFolder

RECORD = {'task': 'toy_point', 'preset': 'debug', 'seed': 0, 'action_repeat': {'a': 1},
          'config': config.preset('debug')}
OLD = {'episodes': 1, 'updates': 0, 'divergence': 2.5, 'elites_return': 3.0, 'held_out': {'divergence/by_step': [1, 2]},
       'curve': [{'divergence': 1.5}]}
NEW = {'episodes': 1, 'updates': 0, 'kl': 2.5, 'expected_return': 3.0, 'held_out': {'kl/by_step': [1, 2]},
       'curve': [{'kl': 1.5}]}


def test_today_and_as_begun_are_inverses():
    assert names.today(OLD) == names.today(NEW) == NEW
    assert names.as_begun(NEW, 1) == OLD and names.as_begun(NEW, names.NEWEST) == NEW
    assert len(set(names.EARLIER.values())) == len(names.EARLIER) and not set(names.EARLIER) & {*names.EARLIER.values()}


def test_a_new_run_has_today_s_names(tmp_path):
    for _ in range(2):  # Also when it goes on.
        folder = RunFolder(tmp_path, RECORD)
        folder.append('metrics.jsonl', NEW)
        assert folder.metric('kl') == 'kl'
        folder.close()
    assert (tmp_path / 'metrics.jsonl').read_text() == 2 * (json.dumps(NEW) + '\n')


def test_an_old_run_keeps_its_names(tmp_path):
    RunFolder(tmp_path, RECORD).close()
    saved = json.loads((tmp_path / 'config.json').read_text())
    del saved['names']
    (tmp_path / 'config.json').write_text(json.dumps(saved))
    path = tmp_path / 'metrics.jsonl'
    path.write_text(json.dumps(OLD) + '\n')
    for count in (2, 3):
        folder = RunFolder(tmp_path, RECORD)
        folder.append('metrics.jsonl', NEW)
        assert folder.metric('kl') == 'divergence' and folder.metric('loss') == 'loss'
        assert path.read_text() == count * (json.dumps(OLD) + '\n')
        assert folder.lines('metrics.jsonl') == read_lines(path) == count * [NEW]
        folder.close()


def test_what_is_cut_off_leaves_the_lines_before_it_as_they_were(tmp_path):
    RunFolder(tmp_path, RECORD).close()
    saved = json.loads((tmp_path / 'config.json').read_text())
    (tmp_path / 'config.json').write_text(json.dumps(saved | {'names': 1}))
    folder = RunFolder(tmp_path, RECORD)
    for episodes in (0, 1):
        folder.append('measures.jsonl', NEW | {'episodes': episodes})
    folder.restore(None, lambda sentence: None)
    folder.close()
    assert (tmp_path / 'measures.jsonl').read_text() == json.dumps(OLD | {'episodes': 0}) + '\n'
