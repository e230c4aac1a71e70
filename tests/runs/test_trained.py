"""A trained agent is read from its run folder, also from one of an early version."""

from pathlib import Path

import jax
import numpy as np

from planet_jax.runs.trained.agent import Trained

SHIPPED = Path(__file__).parents[2] / 'examples/agents/cartpole_swingup/rssm-cpu/0'


def test_the_agent_that_is_shipped_is_read():
    trained = Trained.read(SHIPPED)
    assert (trained.episodes, trained.updates) == (90, 8511)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(trained.params))
