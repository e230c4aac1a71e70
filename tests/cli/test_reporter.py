"""The words of a training on the terminal."""

import dataclasses
import io
import re

import pytest
from rich.console import Console

from planet_jax import config
from planet_jax.cli.reporter import Terminal
from planet_jax.runs.run import Run
from planet_jax.runs.training.reporter import Opening


@pytest.mark.parametrize('group, changed, other', [
    ('replay', {'capacity': 100}, False), ('replay', {'capacity': 99}, True), ('evaluation', {'episodes': 3}, False),
    ('env', {'observation': 'state'}, True), ('learner', {'batch': 15}, True)])
def test_scores_of_other_settings_are_told_as_such(group, changed, other):
    settings = config.preset('cpu')
    settings = dataclasses.replace(settings, **{group: dataclasses.replace(getattr(settings, group), **changed)})
    printed = io.StringIO()
    Terminal(Console(file=printed)).opened(Opening(
        Run('walker_walk', 'cpu', 0, settings), [0], 100, [], 'a CPU', 'host', 1, [1]))
    line = next(line for line in printed.getvalue().splitlines() if line.startswith('What to expect'))
    assert ('with other settings than these, those of preset cpu as it was then: ' in line) == other
    assert other or 'with preset cpu as it was then: ' in line
    assert re.search(r' \d+ episodes, in \d+ minutes: about [\d.]+ \(', line)
