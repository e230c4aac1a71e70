"""Encoder and decoder that fit images of any size, by one rule."""

from typing import NamedTuple

from planet_jax.config.model import Model

LEAST, MOST = 16, 256
"""Pixels of a side that networks are fitted to."""
CHANNELS = 12
"""Most channels of an image."""


class Layer(NamedTuple):
    """A convolution, or a transposed one.

    Attributes:
        channels: of its output; 0 for those of the image
        kernel: height and width
        stride: in both directions
    """

    channels: int
    kernel: tuple[int, int]
    stride: int


class Fitted(NamedTuple):
    """The networks of images of a size.

    Attributes:
        encoder: its convolutions
        encoded: height and width of the last one's map
        units: of the decoder's dense layer
        start: height and width of the map that this makes
        decoder: its transposed convolutions
    """

    encoder: tuple[Layer, ...]
    encoded: tuple[int, int]
    units: int
    start: tuple[int, int]
    decoder: tuple[Layer, ...]


def fit(model: Model, height: int, width: int) -> Fitted:
    """The networks for images of a size: those of the settings if they fit, else fitted ones.

    The encoder repeats its last convolution, or leaves it out, as long as the last map is at least 2 x 2. The decoder
    has the same number of transposed convolutions, or fewer if no further one fits. It is built backward from the
    image: each kernel is the smallest of the settings, or just large enough that the layer's input has whole sides. The
    first channels are repeated or left out, and the dense layer's units are rounded up to fill the first map. At 64 x
    64 these are the paper's networks.

    Args:
        model: the settings.
        height: of the image, in pixels.
        width: of the image, in pixels.

    Raises:
        ValueError: a side is not from 16 to 256 pixels, or no such convolution fits.
    """
    layers, strides = model.encoder_layers(), model.decoder_strides or (2,) * len(model.decoder_kernels)
    if model.decoded_size() == height == width and (encoded := model.encoded_size(height)):
        decoder = zip((*model.decoder_channels, 0), model.decoder_kernels, strides, strict=True)
        return Fitted(tuple(Layer(channels, (kernel, kernel), stride) for channels, kernel, stride in layers),
                      (encoded, encoded), model.decoder_units, (model.decoder_start,) * 2,
                      tuple(Layer(channels, (kernel, kernel), stride) for channels, kernel, stride in decoder))
    if not all(LEAST <= side <= MOST for side in (height, width)):
        raise ValueError(f'Images are {height} x {width} pixels, but networks are fitted to sides of {LEAST} to '
                         f'{MOST}: make them larger or smaller, as --env.image square and --env.size do.')
    encoder: list[Layer] = []
    size = height, width
    while True:
        channels, kernel, stride = layers[min(len(encoder), len(layers) - 1)]
        after = (size[0] - kernel) // stride + 1, (size[1] - kernel) // stride + 1
        if min(after) < 2:
            break
        encoder.append(Layer(channels, (kernel, kernel), stride))
        size = after
    found: list[Layer] = []
    start, least = (height, width), min(model.decoder_kernels)
    while len(found) < len(encoder):
        stride = strides[max(len(strides) - 1 - len(found), 0)]
        kernels = least + (start[0] - least) % stride, least + (start[1] - least) % stride
        if start[0] < kernels[0] or start[1] < kernels[1]:
            break
        start = (start[0] - kernels[0]) // stride + 1, (start[1] - kernels[1]) // stride + 1
        channels = (*model.decoder_channels, 0)[max(len(model.decoder_channels) - len(found), 0)]
        found.append(Layer(channels, kernels, stride))
    if not encoder or not found or found[0].channels or not all(layer.channels for layer in found[1:]):
        raise ValueError(f'Images are {height} x {width} pixels, but the settings model.encoder_kernels, '
                         f'model.decoder_kernels and model.decoder_channels fit no networks to them: leave them as the '
                         f'preset has them.')
    area = start[0] * start[1]
    return Fitted(tuple(encoder), size, -(-model.decoder_units // area) * area, start, tuple(reversed(found)))
