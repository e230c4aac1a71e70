"""The words of a training on the terminal."""

import dataclasses
import io
import re

import pytest
from rich.console import Console

from planet_jax.cli.reporter import Terminal
from planet_jax.runs.run import Run
from planet_jax.runs.training.reporter import Opening
from planet_jax.scores import shipped


@pytest.mark.parametrize('group, changed, told', [
    ('replay', {'capacity': 100}, 'these settings'), ('evaluation', {'episodes': 3}, 'these settings'),
    ('replay', {'capacity': 99}, 'other settings (replay.capacity None)'),
    ('learner', {'batch': 15, 'average': 0.5}, 'other settings (learner.batch 16, learner.average {average})'),
    ('model', {'hidden': 1, 'deterministic': 1, 'stochastic': 1, 'reward_units': 1, 'vector_units': 1},
     'other settings (model.stochastic 30, model.deterministic 128, model.hidden 128, model.vector_units 200 and 1 '
     'more)')])
def test_what_to_expect_names_other_settings(group, changed, told):
    settings = shipped.settings()['walker_walk', 'cpu']
    told = told.format(average=settings.learner.average)
    settings = dataclasses.replace(settings, **{group: dataclasses.replace(getattr(settings, group), **changed)})
    printed = io.StringIO()
    Terminal(Console(file=printed)).opened(Opening(
        Run('walker_walk', 'cpu', 0, settings), [0], 100, [], 'a CPU', 'host', 1, [1]))
    line = next(line for line in printed.getvalue().splitlines() if line.startswith('What to expect'))
    assert re.fullmatch(rf'What to expect, from runs of this project with {re.escape(told)}: .*'
                        r'\d+ episodes, in \d+ minutes: about [\d.]+ \(.*\)\.', line)
