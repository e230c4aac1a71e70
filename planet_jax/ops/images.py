"""Images as the model sees them: fewer bits, centred, with noise in place of the dropped bits."""

import jax
import jax.numpy as jnp


def prepare(key: jax.Array, image: jax.Array, bits: int) -> jax.Array:
    """Reduces the colour depth and adds uniform noise within a level (appendix A; Kingma and Dhariwal, 2018).

    floor(image / 2^(8 - bits)) / 2^bits + U(0, 1 / 2^bits) - 1/2, so values lie in [-1/2, 1/2). The noise is drawn
    anew at every use, and stored images stay uint8. It has 16 bits, so one random number gives two values, and level
    and noise are exact in float32: the same on every platform.

    Args:
        key: uint32 [2].
        image: [..., height, width, channels], uint8.
        bits: that each channel keeps, 1 to 8.

    Returns:
        The same shape, float32.

    Raises:
        TypeError: the image is not uint8.
    """
    if image.dtype != jnp.uint8:
        raise TypeError(f'Images must be uint8, 0 to 255, but this one is {image.dtype}.')
    levels = 2**bits
    # Random numbers are slow on a CPU, where XLA may also draw them again for every use of the image.
    numbers = jax.random.bits(key, (-(-image.size // 2),), jnp.uint32)
    noise = jax.lax.bitcast_convert_type(numbers, jnp.uint16).reshape(-1)[:image.size].reshape(image.shape) / 2**16
    return ((image >> (8 - bits)).astype(jnp.float32) + noise) / levels - 0.5


def restore(prepared: jax.Array) -> jax.Array:
    """uint8 images from the model's range; values outside the range are clipped.

    Args:
        prepared: [..., height, width, channels], float32, about [-1/2, 1/2].
    """
    return (jnp.clip(prepared + 0.5, 0, 1) * 255).round().astype(jnp.uint8)


def shift(key: jax.Array, images: jax.Array, pixels: int) -> jax.Array:
    """Shifts the images of each chunk by one random offset (DrQ; Kostrikov et al., 2021, section 3.1).

    Pixels at the edge are repeated. With little data, a network can memorise images; shifts make that harder.

    Args:
        key: uint32 [2].
        images: [B, L, height, width, channels].
        pixels: largest shift to each side, in height and in width.

    Returns:
        The same shape and dtype.
    """
    chunks, _, height, width, _ = images.shape
    at = jax.random.randint(key, (2, chunks, 1), -pixels, pixels + 1)
    rows, columns = (jnp.clip(jnp.arange(size) + offset, 0, size - 1)
                     for size, offset in zip((height, width), at))
    return jax.vmap(lambda chunk, row, column: chunk[:, row][:, :, column])(images, rows, columns)
