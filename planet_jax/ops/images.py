"""Images as the model sees them: few bits, centred, with noise that fills the bits left out."""

import jax
import jax.numpy as jnp


def prepare(key: jax.Array, image: jax.Array, bits: int) -> jax.Array:
    """Reduces the colour depth and adds uniform noise within a level (appendix A; Kingma and Dhariwal, 2018).

    floor(image / 2^(8 - bits)) / 2^bits + U(0, 1 / 2^bits) - 1/2, so values lie in [-1/2, 1/2). The noise is drawn
    afresh at every use: a stored image stays uint8. It is one of 65,536 values, evenly spaced from 0, so two come of
    each random number, and level and noise are exact in float32: the same on every platform.

    Args:
        key: uint32 [2].
        image: [..., height, width, channels], uint8.
        bits: kept of each channel, 1 to 8.

    Returns:
        The same shape, float32.

    Raises:
        TypeError: the image is not uint8.
    """
    if image.dtype != jnp.uint8:
        raise TypeError(f'Images must be uint8, 0 to 255, but this one is {image.dtype}.')
    levels = 2**bits
    # Random numbers are slow on a CPU, where XLA may moreover make them anew for every use of the image.
    numbers = jax.random.bits(key, (-(-image.size // 2),), jnp.uint32)
    noise = jax.lax.bitcast_convert_type(numbers, jnp.uint16).reshape(-1)[:image.size].reshape(image.shape) / 2**16
    return ((image >> (8 - bits)).astype(jnp.float32) + noise) / levels - 0.5


def restore(prepared: jax.Array) -> jax.Array:
    """uint8 images to look at, from the model's range; values outside it are clipped.

    Args:
        prepared: [..., height, width, channels], float32, about [-1/2, 1/2].
    """
    return (jnp.clip(prepared + 0.5, 0, 1) * 255).round().astype(jnp.uint8)


def shift(key: jax.Array, images: jax.Array, pixels: int) -> jax.Array:
    """Moves the images of each chunk at random, all of a chunk alike (DrQ; Kostrikov et al., 2021, section 3.1).

    The edge's pixels fill what becomes free. An image says where things are by its pixels, of which few data show few
    values; moved, they show more, and a network cannot learn them by heart.

    Args:
        key: uint32 [2].
        images: [B, L, height, width, channels].
        pixels: to each side at most, the same for height and width.

    Returns:
        The same shape and dtype.
    """
    chunks, _, height, width, _ = images.shape
    at = jax.random.randint(key, (2, chunks, 1), -pixels, pixels + 1)
    rows, columns = (jnp.clip(jnp.arange(size) + offset, 0, size - 1)
                     for size, offset in zip((height, width), at))
    return jax.vmap(lambda chunk, row, column: chunk[:, row][:, :, column])(images, rows, columns)
