"""What a command imports before it answers, since imports take processor time."""

import json

import pytest


@pytest.fixture
def finished(tmp_path, write_scores):
    """The folder of a run, with what `info` and `plot` read."""
    directory = tmp_path / 'logs' / 'toy_point' / 'rssm-cpu' / '0'
    write_scores(directory, [('zero', 0, [1.0, 2.0]), ('planet', 2, [3.0, 4.0])])
    line = {'episodes': 2, 'updates': 8, 'env_steps': 100, 'seconds': {'learn': 1.0, 'learn_each': 0.1}}
    (directory / 'metrics.jsonl').write_text(json.dumps(line) + '\n')
    checkpoint = directory / 'checkpoints' / '000002'
    checkpoint.mkdir(parents=True)
    (checkpoint / 'manifest.json').write_text('{}')
    return directory


@pytest.mark.parametrize('arguments, unloaded', [
    ('["info", {run!r}]', ['jax', 'flax', 'orbax', 'scipy', 'matplotlib', 'mujoco']),
    ('["plot", {run!r}, "--out", {out!r}]', ['jax', 'flax', 'orbax', 'mujoco', 'scipy']),
    ('["plot", {run!r}, "--table"]', ['jax', 'flax', 'orbax', 'mujoco', 'matplotlib', 'scipy']),
], ids=['info', 'plot', 'table'])
def test_a_finished_run_is_told_of_without_jax(arguments, unloaded, finished, fresh_python):
    arguments = arguments.format(run=str(finished), out=str(finished / 'scores.png'))
    printed = fresh_python(f"""
import sys
from planet_jax.cli.main import main
assert main({arguments}) == 0
print([name for name in {unloaded} if name in sys.modules])
""")
    assert printed.splitlines()[-1] == '[]'
