"""Observations that are images, whatever their layout, as uint8 [height, width, 3]."""

from collections.abc import Callable

import gymnasium
import numpy as np

_SMALLEST = 8
"""Pixels of the shorter side; what is smaller is a matrix of numbers."""


def is_rgb(space: gymnasium.Space) -> bool:
    """Whether a space is of uint8 [height, width, 3], which is taken as it is."""
    return isinstance(space, gymnasium.spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3 and (
        space.shape[2] == 3)


def converter(space: gymnasium.Space) -> Callable[[np.ndarray], np.ndarray] | None:
    """A function that makes uint8 [height, width, 3] of a space's images; none: it holds no such images.

    Images are [height, width], [height, width, C] or [C, height, width] with C = 1 or 3; where both are possible, the
    channels come last. Gray becomes three equal channels. Numbers are uint8, or real in a stated, finite range that is
    one for all pixels, which becomes 0 to 255.
    """
    if not isinstance(space, gymnasium.spaces.Box):
        return None
    layout = _layout(space.shape)
    if layout is None:
        return None
    low, high = float(space.low.min()), float(space.high.max())
    if space.dtype == np.uint8:
        low, high = 0.0, 255.0
    elif not (np.issubdtype(space.dtype, np.floating) and np.isfinite([low, high]).all() and low < high
              and (space.low == low).all() and (space.high == high).all()):
        return None

    def convert(image):
        image = layout(image)
        if image.dtype != np.uint8:
            image = np.round(np.clip((image.astype(np.float64) - low) / (high - low), 0, 1) * 255).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))

    return convert


def _layout(shape):
    """A function to [height, width, 1 or 3]; none: the shape is not that of an image."""
    if len(shape) == 2 and min(shape) >= _SMALLEST:
        return lambda image: image[..., None]
    if len(shape) == 3 and shape[2] in (1, 3) and min(shape[:2]) >= _SMALLEST:
        return lambda image: image
    if len(shape) == 3 and shape[0] in (1, 3) and min(shape[1:]) >= _SMALLEST:
        return lambda image: np.moveaxis(image, 0, 2)
    return None
