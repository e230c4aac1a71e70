"""Image observations of any layout as uint8 [height, width, channels]."""

from collections.abc import Callable
from typing import NamedTuple

import gymnasium
import numpy as np

from planet_jax.config.fitted import CHANNELS

_SMALLEST = 8
"""Pixels of the shorter side. A smaller array is not an image."""


class Images(NamedTuple):
    """How the images of a space are converted.

    Attributes:
        shape: height, width and channels
        convert: an image of the space -> uint8 [*shape]
    """

    shape: tuple[int, int, int]
    convert: Callable[[np.ndarray], np.ndarray]


def is_rgb(space: gymnasium.Space) -> bool:
    """Whether a space is uint8 [height, width, 3], which needs no conversion."""
    return isinstance(space, gymnasium.spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3 and (
        space.shape[2] == 3)


def of_space(space: gymnasium.Space) -> Images | None:
    """How the images of a space are converted. None if the space holds no images.

    Images are [height, width], [height, width, C] or [C, height, width] with 1 to 12 channels, or stacks of frames,
    [N, height, width, C], which become N C channels, 12 at most. If first and last axis could both be channels, the
    last is. Numbers are uint8, or real with finite bounds that are equal for all pixels; these become 0 and 255.
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
        return np.ascontiguousarray(image)

    return Images(layout(np.broadcast_to(0, space.shape)).shape, convert)


def converter(space: gymnasium.Space) -> Callable[[np.ndarray], np.ndarray] | None:
    """A function from a space's images to uint8 [height, width, 3]. None if they are neither gray nor RGB.

    Gray becomes three equal channels.
    """
    found = of_space(space)
    if found is None or found.shape[2] not in (1, 3) or len(space.shape) == 4:
        return None

    def convert(image):
        image = found.convert(image)
        return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))

    return convert


def _layout(shape):
    """A function to [height, width, channels]. None if the shape is not that of an image."""
    if len(shape) == 2 and min(shape) >= _SMALLEST:
        return lambda image: image[..., None]
    if len(shape) == 3 and 1 <= shape[2] <= CHANNELS and min(shape[:2]) > max(shape[2], _SMALLEST - 1):
        return lambda image: image
    if len(shape) == 3 and 1 <= shape[0] <= CHANNELS and min(shape[1:]) > max(shape[0], _SMALLEST - 1):
        return lambda image: np.moveaxis(image, 0, 2)
    if len(shape) == 4 and 1 <= shape[0] * shape[3] <= CHANNELS and min(shape[1:3]) >= _SMALLEST:
        return lambda image: np.moveaxis(image, 0, 2).reshape(*image.shape[1:3], -1)
    return None
