"""What the tests of whole runs share."""

import hashlib
import json

import numpy as np
import orbax.checkpoint
import pytest


def numbers(directory):
    """All that a run has found out: everything but clock readings."""
    names = sorted((directory / 'checkpoints').glob('0*'))
    progress = json.loads((names[-1] / 'progress.json').read_text())
    checkpointer = orbax.checkpoint.StandardCheckpointer()
    with checkpointer:
        state = checkpointer.restore((names[-1] / 'state').absolute())
    leaves = orbax.checkpoint.utils.to_flat_dict(state, sep='/')
    return {
        'metrics': [{name: value for name, value in line.items() if name != 'seconds'}
                    for line in map(json.loads, (directory / 'metrics.jsonl').read_text().splitlines())],
        'evaluations': (directory / 'evaluations.jsonl').read_text(),
        'scores': (directory / 'scores.csv').read_text(),
        'episodes': {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                     for path in (directory / 'episodes').iterdir()},
        'progress': {name: value for name, value in progress.items() if name != 'seconds'},
        'state': {name: (str(leaf.dtype), np.asarray(leaf).tobytes()) for name, leaf in leaves.items()},
    }


@pytest.fixture(scope='session')
def assert_same():
    """Compares what two run folders hold, bit for bit."""
    def compare(directory, other):
        found, expected = numbers(directory), numbers(other)
        for name in expected:
            assert found[name] == expected[name], name
    return compare
