"""Cases 3 and 7 of docs/reliability.md: one flipped bit, anywhere in what a run has saved, is noticed before use."""

import json
import random
import shutil

import pytest

from planet_jax.storage import checkpoint, episodes

FLIPS = 10
"""In every file."""


@pytest.fixture(scope='module')
def run(tmp_path_factory, toy_run):
    run, = toy_run[0].glob('*/toy_point/rssm-debug/0')
    return shutil.copytree(run, tmp_path_factory.mktemp('copy') / 'run')


def with_flips(path):
    """Puts a file back and forth between its content and that with one bit flipped; yields while one is."""
    rng, whole = random.Random(path.name), path.read_bytes()
    for bit in rng.sample(range(8 * len(whole)), FLIPS):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        yield
    path.write_bytes(whole)


@pytest.mark.faults
def test_every_flipped_bit_is_noticed(run):
    tried = noticed = 0
    checkpoints = sorted(run.glob('checkpoints/*-*'))
    listed = json.loads((checkpoints[-1] / 'progress.json').read_text())['episodes']
    for directory in checkpoints:
        for path in [path for path in directory.rglob('*') if path.is_file()]:
            for _ in with_flips(path):
                tried += 1
                try:
                    checkpoint.restore(directory, None)  # Which verifies before it looks at anything else.
                except checkpoint.CheckpointError:
                    noticed += 1
        checkpoint.verify(directory)
    for path, digest in zip(sorted(run.glob('episodes/*.npz')), listed, strict=True):
        for _ in with_flips(path):
            tried += 1
            noticed += episodes.digest(path) != digest
        assert episodes.digest(path) == digest
    print(f'{noticed} of {tried} flipped bits noticed')
    assert noticed == tried >= 200
