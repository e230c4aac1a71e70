"""Updates that are not finite numbers (fault case 8): they are skipped, and training ends before it is all of them."""

import json

import numpy as np

from planet_jax.cli.main import main


def test_training_ends_after_so_many_in_a_row_and_keeps_what_there_is(tmp_path, capsys):
    command = ['train', '--task', 'toy_point', '--preset', 'debug', '--env.observation', 'state',
               '--replay.capacity', '6', '--logdir', str(tmp_path),
               '--learner.learning-rate', '1e30', '--learner.most-skipped', '6']
    run = tmp_path / 'toy_point' / 'rssm-debug' / '0'
    assert main(command) == 2
    told = ' '.join(capsys.readouterr().err.split())
    assert 'The last 6 updates of seed 0 were skipped' in told and '--learner.learning-rate' in told
    with np.load(run / 'skipped_batch.npz', allow_pickle=False) as batch:
        assert batch['observation'].shape == (4, 10, 2) and (batch['length'] == 10).all()
        assert batch['key'].shape == (2,)
    # The first update was good, as one with a huge step is; three more of the first four were not.
    *_, third = (json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines())
    assert third['episodes'] == 3 and third['skipped'] == 3 and np.isfinite(third['loss'])
    assert 'NaN' not in (run / 'metrics.jsonl').read_text()
    newest = sorted((run / 'checkpoints').iterdir())[-1]
    assert newest.name == '000003-000000007'
