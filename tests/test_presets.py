"""The presets of the paper compute what they have computed from the beginning."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from planet_jax import keys
from planet_jax.algorithm import make_steps
from planet_jax.config import Spec, preset
from planet_jax.types import Trajectory

NUMBERS = Path(__file__).parent / 'golden' / 'presets.json'
"""Made by `numbers` below at commit 39e8902 on a CPU, jax 0.10.2, before other presets had their own objective."""
SMALL = dict(stochastic=4, deterministic=12, hidden=10, encoder_channels=(2, 3, 4, 5), decoder_channels=(5, 4, 3),
             decoder_units=16, reward_units=7)
"""Sizes of the networks; all other settings are the preset's."""


def numbers(name: str) -> dict[str, list[float]]:
    """Of two updates and a plan: every loss, sums over the parameters' leaves, the action and what it expects."""
    whole = preset(name)
    config = dataclasses.replace(
        whole, model=dataclasses.replace(whole.model, **SMALL),
        learner=dataclasses.replace(whole.learner, batch=3, chunk_length=6),
        planner=dataclasses.replace(whole.planner, candidates=40, elites=5))
    spec = Spec((64, 64, 3), 'uint8', 2, 9)
    steps = make_steps(config, spec, slots=2, updates_per_call=2)
    add = jax.jit(steps.add)
    state, rng = jax.jit(steps.init)(keys.root(3)), np.random.default_rng(0)
    for _ in range(2):
        episode = Trajectory(rng.integers(0, 256, (1, 10, 64, 64, 3), np.uint8),
                             rng.uniform(-1, 1, (1, 10, 2)).astype('float32'),
                             rng.normal(size=(1, 10)).astype('float32'), np.full(1, 10, 'int32'))
        state = add(state, episode)
    state, metrics = jax.jit(steps.learn)(state)
    params = state.learner.params
    belief = jax.jit(steps.evaluate)(params, keys.root(4), steps.begin(params),
                                     rng.integers(0, 256, (64, 64, 3), np.uint8))
    of = {name: np.ravel(metrics[name]) for name in ('loss', 'image', 'reward', 'kl') if name in metrics}
    return {name: [float(value) for value in values] for name, values in {
        **of, 'parameters': [np.asarray(leaf, np.float64).sum() for leaf in jax.tree.leaves(params)],
        'action': np.ravel(belief.action), 'expected_return': np.ravel(belief.expected_return)}.items()}


@pytest.mark.parametrize('name', ['planet', 'paper'])
def test_an_update_and_a_plan_are_those_of_the_first_release(name):
    expected, found = json.loads(NUMBERS.read_text(encoding='utf-8'))[name], numbers(name)
    for part, values in expected.items():
        np.testing.assert_allclose(found[part], values, rtol=1e-4, atol=1e-6, err_msg=part)
