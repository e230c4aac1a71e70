"""The number of updates in a row that may be skipped."""

import numpy as np
import pytest

from planet_jax.runs.training.patience import Patience


@pytest.mark.parametrize('calls, lost', [
    ([[[1, 1, 1]]], [{0: 2}]), ([[[1, 1]], [[1, 0]]], [{}, {0: 0}]), ([[[1, 1, 0, 1, 1]]], [{}]),
    ([[[0, 1], [1, 1]], [[1, 1], [1, 1]]], [{}, {0: 1, 1: 0}]), ([[[1, 1, 1, 1, 1, 1]]], [{0: 2}])])
def test_three_in_a_row_are_too_many(calls, lost):
    patience = Patience(3, len(calls[0]))
    assert [patience.count(np.array(call, float)) for call in calls] == lost
