"""Vectors of any scale as the model sees them."""

import jax
import numpy as np

from planet_jax import open_loop
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


def test_predictions_have_the_units_of_the_observation():
    model = make_world_model(Model(stochastic=3, deterministic=5, hidden=6, vector_layers=1, vector_units=6,
                                   reward_layers=1, reward_units=6, vector_symlog=True), Spec((9,), 'float32', 2, 10))
    params, rows = model.init(KEY), open_loop.CONTEXT + 2
    given = params, KEY, np.tile(WIDE, (rows, 1)), np.zeros((rows, 2), np.float32)
    predicted, _ = open_loop.predict(model, *given)
    features, _ = open_loop.predict_features(model, *given)
    decoded = jax.vmap(model.decode, (None, 0))(params, features)
    assert not np.allclose(predicted, decoded, rtol=1e-2)
    np.testing.assert_allclose(predicted, vectors.symexp(decoded), rtol=1e-5)
