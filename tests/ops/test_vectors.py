"""Vectors of any scale as the model sees them."""

import jax
import numpy as np

from planet_jax.config import Model, Spec
from planet_jax.networks import make_world_model
from planet_jax.ops import vectors

KEY = jax.random.PRNGKey(0)
WIDE = np.array([-1e6, -30, -1, -0.01, 0, 0.01, 1, 30, 1e6], np.float32)


def test_symlog_keeps_small_values_and_takes_the_logarithm_of_large_ones():
    found = np.asarray(vectors.symlog(WIDE))
    np.testing.assert_allclose(found, -found[::-1], rtol=1e-6)
    np.testing.assert_allclose(found[5:], [0.00995, 0.6931, 3.434, 13.8155], rtol=1e-3)
    np.testing.assert_allclose(vectors.symexp(found), WIDE, rtol=1e-4)


def test_the_model_sees_the_logarithm_and_restores_the_units():
    spec = Spec((9,), 'float64', 2, 10)
    model = make_world_model(Model(vector_symlog=True), spec)
    prepared = model.prepare(KEY, WIDE)
    np.testing.assert_allclose(prepared, vectors.symlog(WIDE), rtol=1e-6)
    np.testing.assert_allclose(model.restore(prepared), WIDE, rtol=1e-4)
    plain = make_world_model(Model(), spec)
    np.testing.assert_array_equal(plain.prepare(KEY, WIDE), WIDE)
    np.testing.assert_array_equal(plain.restore(WIDE), WIDE)


def test_of_several_parts_only_the_vectors_are_restored():
    spec = Spec((), '', 2, 10, parts=(('camera', (32, 32, 3), 'uint8'), ('joints', (9,), 'float32')))
    model = make_world_model(Model(encoder_channels=(4, 8, 8), decoder_channels=(8, 4), decoder_kernels=(5, 6, 6),
                                   vector_symlog=True), spec)
    image = np.full((32, 32, 3), 0.25, np.float32)
    restored = model.restore({'camera': image, 'joints': vectors.symlog(WIDE)})
    np.testing.assert_array_equal(restored['camera'], image)
    np.testing.assert_allclose(restored['joints'], WIDE, rtol=1e-4)
