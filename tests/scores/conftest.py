"""Runs that several tests of scores read."""

import pytest

from planet_jax.scores import reading


@pytest.fixture
def two_seeds(tmp_path, write_scores):
    runs = tmp_path / 'cup_catch' / 'rssm-cpu'
    write_scores(runs / '0', [('zero', 0, [10, 30]), ('uniform', 0, [50]), ('planet', 10, [0, 100]),
                              ('planet', 20, [400, 500]), ('planet', 25, [1000, 1000])])
    write_scores(runs / '3', [('zero', 0, [20]), ('planet', 10, [200, 300]), ('planet', 20, [600, 700])])
    return [entry for number in ('0', '3') for entry in reading.read_run(runs / number)]
