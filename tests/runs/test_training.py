"""The making of a training: what is said of seeds that share a device."""

import dataclasses
import json

import jax
import pytest

from planet_jax import config
from planet_jax.runs.options import Options
from planet_jax.runs.training.process import Training
from planet_jax.runs.training.reporter import Reporter


class Heard(Reporter):
    """Keeps the facts before the first step."""

    def opened(self, opening):
        self.opening = opening


@pytest.fixture
def made(tmp_path):
    """Makes a training of these seeds on so many devices, and ends it before it begins; (seeds on a device, recorded).
    """
    preset = config.preset('debug')
    changed = dataclasses.replace(preset, env=dataclasses.replace(preset.env, observation='state'))
    options = Options(preset='debug', logdir=tmp_path, episodes=2, sinks=(), config=changed)

    def make(numbers, devices):
        members = [options.member('toy_point', number) for number in numbers]
        training = Training(members, options, heard := Heard(), jax.devices()[:devices])
        training.envs.close()
        for seed in training.seeds:
            seed.folder.close()
        recorded = {json.loads((directory / 'config.json').read_text())['seeds_on_device'] for _, directory in members}
        return list(heard.opening.seeds_on_device), recorded
    return make


def test_what_shared_a_device_once_is_never_called_exact_again(made):
    """Case 16 of docs/reliability.md."""
    assert made([2, 3], 2) == ([1], {1})
    assert made([0, 1], 1) == ([2], {2})
    for _ in range(2):
        assert made([1], 1) == ([1, 2], {2})
