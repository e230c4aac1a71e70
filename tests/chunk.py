"""A chunk of random numbers, and a world model of random parameters that has filtered it."""

import jax
import numpy as np

from planet_jax import keys, world_model
from planet_jax.config import Model, Spec
from planet_jax.networks import make_world_model
from planet_jax.types import Trajectory

KEY = keys.root(0)
SIZES = dict(stochastic=4, deterministic=6, hidden=8, vector_units=8, reward_layers=1, reward_units=8)


class Filtered:
    """A cell with random parameters, a chunk of `length` rows, and its priors and posteriors."""

    def __init__(self, cell, length):
        self.model = make_world_model(Model(cell=cell, **SIZES), Spec((3,), 'float32', 2, 10))
        rng = np.random.default_rng(0)
        self.params = jax.tree.map(lambda leaf: rng.normal(0, 0.5, leaf.shape).astype('float32'),
                                   jax.eval_shape(self.model.init, KEY))
        self.chunk = Trajectory(rng.normal(size=(length, 3)).astype('float32'),
                                rng.uniform(-1, 1, (length, 2)).astype('float32'),
                                rng.normal(size=length).astype('float32'), np.int32(length))
        self.priors, self.posteriors = jax.tree.map(np.asarray, jax.jit(self.filtered)(self.params, self.chunk))

    def filtered(self, params, chunk):
        embeddings = jax.vmap(self.model.encode, (None, 0))(params, chunk.observation)
        return world_model.observe(self.model, params, jax.random.split(KEY)[1], embeddings, chunk.action,
                                   self.model.initial())
