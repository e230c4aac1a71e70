"""Images as the model sees them: their range, their noise, and the smallest loss with that noise."""

import jax
import numpy as np
import pytest

from planet_jax.ops import images

KEYS = np.asarray(jax.random.split(jax.random.PRNGKey(0), 64))
IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), 'uint8')

def compiled(function, **options):
    """Jitted, with NumPy results: looking at parts of JAX arrays would compile a program for each shape."""
    jitted = jax.jit(function, **options)
    return lambda *arguments, **named: jax.tree.map(np.asarray, jitted(*arguments, **named))


prepare, restore = compiled(images.prepare, static_argnums=2), compiled(images.restore)


@pytest.mark.parametrize('bits', range(1, 9))
def test_values_are_the_level_and_noise_within_it(bits):
    image = np.arange(256, dtype='uint8').reshape(16, 16, 1)
    prepared = np.asarray(prepare(KEYS[0], image, bits))
    level = np.floor(np.arange(256).reshape(16, 16, 1) / 2**(8 - bits)) / 2**bits - 0.5
    noise = prepared - level
    assert prepared.dtype == np.float32 and prepared.shape == image.shape
    assert prepared.min() >= -0.5 and prepared.max() < 0.5
    assert noise.min() >= 0 and noise.max() <= 2.0**-bits
    assert noise.std() > 0.2 * 2.0**-bits


def test_noise_is_uniform_and_independent():
    noise = np.stack([prepare(key, np.zeros_like(IMAGE), 5) for key in KEYS[:8]]) * 32 + 16
    shares = np.histogram(noise, bins=10, range=(0, 1))[0] / noise.size
    np.testing.assert_allclose(shares, np.full(10, 0.1), atol=0.005)
    np.testing.assert_allclose([noise.mean(), noise.var()], [1 / 2, 1 / 12], atol=0.005)
    correlations = [np.corrcoef(noise[0].ravel(), other.ravel())[0, 1] for other in
                    (noise[1], np.roll(noise[0], 1, 0), np.roll(noise[0], 1, 1), np.roll(noise[0], 1, 2))]
    np.testing.assert_allclose(correlations, np.zeros(4), atol=0.05)


@pytest.mark.parametrize('bits', range(1, 9))
def test_level_and_noise_are_exact(bits):
    # The even pixels and the odd ones of an odd number: both halves of the random numbers are used, the last but one.
    image = np.arange(255, 0, -1, 'uint8').reshape(17, 15, 1)
    steps = (prepare(KEYS[0], image, bits).astype('float64') + 0.5) * 2**bits * 2**16
    np.testing.assert_array_equal(steps, np.floor(steps))
    np.testing.assert_array_equal(steps // 2**16, image >> (8 - bits))
    numbers = np.asarray(jax.random.bits(KEYS[0], (128,), 'uint32'))
    halves = np.stack([numbers % 2**16, numbers // 2**16], -1).ravel()[:-1]
    np.testing.assert_array_equal(steps.ravel() % 2**16, halves)


def test_noise_is_fresh_for_each_key_and_the_same_for_the_same_one():
    first, second, again = (np.asarray(prepare(key, IMAGE, 5)) for key in (KEYS[0], KEYS[1], KEYS[0]))
    assert (first != second).mean() > 0.99
    np.testing.assert_array_equal(first, again)


def test_noise_puts_a_floor_under_the_image_loss():
    # 12288 values, each with the variance (1/32)^2 / 12, halved: no prediction does better than the level's middle.
    middle = (np.floor(IMAGE / 8) + 0.5) / 32 - 0.5
    losses = [0.5 * np.square(prepare(key, IMAGE, 5) - middle).sum() for key in KEYS]
    np.testing.assert_allclose(np.mean(losses), 0.500, atol=0.002)
    assert round(12288 * (1 / 32)**2 / 12 * 0.5, 9) == 0.5


def test_leading_axes_change_nothing():
    batch = np.stack([IMAGE, IMAGE])
    np.testing.assert_array_equal(compiled(jax.vmap(lambda key: images.prepare(key, IMAGE, 5)))(KEYS[:2])[1],
                                  prepare(KEYS[1], IMAGE, 5))
    assert prepare(KEYS[0], batch, 5).shape == batch.shape


def test_restored_images_differ_by_less_than_a_level():
    for bits in (3, 5, 8):
        restored = restore(prepare(KEYS[0], IMAGE, bits))
        assert restored.dtype == np.uint8
        assert np.abs(restored.astype(int) - IMAGE).max() <= 2**(8 - bits)


def test_restored_values_outside_the_range_are_clipped():
    prepared = np.array([-9, -0.5, 0, 0.5, 9], 'float32').reshape(5, 1, 1)
    np.testing.assert_array_equal(restore(prepared).ravel(), [0, 0, 128, 255, 255])


@pytest.mark.parametrize('dtype', ['float32', 'int32', 'int8'])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match=f'must be uint8.* {dtype}'):
        images.prepare(KEYS[0], np.zeros((2, 2, 3), dtype), 5)


def test_images_of_a_chunk_are_shifted_alike_and_chunks_apart():
    image = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    chunks = np.broadcast_to(image, (200, 3, 8, 8, 1))
    moved = compiled(images.shift, static_argnums=2)(KEYS[0], chunks, 1)
    assert moved.dtype == np.uint8 and moved.shape == chunks.shape
    assert (moved == moved[:, :1]).all()
    padded = np.pad(image, [(1, 1), (1, 1), (0, 0)], 'edge')
    views = {padded[row:row + 8, column:column + 8].tobytes() for row in range(3) for column in range(3)}
    assert {chunk[0].tobytes() for chunk in moved} == views
