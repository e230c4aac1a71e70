"""Convolutional encoder and decoder (Ha and Schmidhuber, 2018; appendix A of the paper)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax.ad_checkpoint import checkpoint_name

from planet_jax.networks.heads import INITIALIZER, Dense
from planet_jax.ops import convolutions

LATER_LAYER = 'later layer of an encoder'
"""Name, for `jax.checkpoint`, of what each layer but the first makes: a sixth of the numbers of all layers."""


class Convolution(nn.Module):
    """A convolution with a bias, or the transpose of one, without padding.

    Attributes:
        channels: of the output.
        kernel: its height and width, or one number for both.
        stride: in both directions.
        transposed: whether this is the transpose, which enlarges the image. The kernel is then [k, k, output, input],
            as in TensorFlow; its initial scale is the same.
        dtype: of the input and the output, see `heads.product_dtype`.
    """

    channels: int
    kernel: int | tuple[int, int]
    stride: int = 2
    transposed: bool = False
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., height, width, channels] -> the same with another size."""
        ends = (self.channels, x.shape[-1]) if self.transposed else (x.shape[-1], self.channels)
        sides = (self.kernel, self.kernel) if isinstance(self.kernel, int) else self.kernel
        kernel = self.param('kernel', INITIALIZER, (*sides, *ends))
        bias = self.param('bias', nn.initializers.zeros, (self.channels,))
        function = convolutions.conv_transpose if self.transposed else convolutions.conv
        x, kernel = promote_dtype(x, kernel, dtype=self.dtype)
        # In float32, since the gradient of the bias is a sum over all pixels of all images.
        return (function(x, kernel, self.stride).astype(jnp.float32) + bias).astype(x.dtype)


class Encoder(nn.Module):
    """Convolutions with ReLU, flattened.

    Attributes:
        channels: of each convolution; 32, 64, 128, 256 give 1024 values for a 64 x 64 image.
        kernels: of each convolution. Default: 4.
        strides: of each convolution. Default: 2.
        dtype: of the products and the output, see `heads.product_dtype`.
    """

    channels: Sequence[int]
    kernels: Sequence[int | tuple[int, int]] = ()
    strides: Sequence[int] = ()
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., height, width, image channels] -> [..., values]."""
        layers = len(self.channels)
        for number, (channels, kernel, stride) in enumerate(zip(
                self.channels, self.kernels or (4,) * layers, self.strides or (2,) * layers, strict=True)):
            x = Convolution(channels, kernel, stride, dtype=self.dtype)(x)
            # Before the ReLU, whose gradient needs its sign: from what follows it, the layer would be computed again.
            x = nn.relu(checkpoint_name(x, LATER_LAYER) if number else x)
        return x.reshape(*x.shape[:-3], -1)


class Decoder(nn.Module):
    """A dense layer without activation, then transposed convolutions, ReLU after all but the last.

    Attributes:
        units: of the dense layer.
        channels: of each transposed convolution but the last.
        kernels: of each transposed convolution.
        image_channels: of the last one.
        strides: of each transposed convolution. Default: 2.
        start: height and width of the map that the dense layer makes, or one number for both.
        layers: hidden dense layers with ReLU before the dense layer (the paper has 0).
        hidden: units of each hidden layer.
        dtype: of the products, see `heads.product_dtype`; the image is float32.
    """

    units: int
    channels: Sequence[int]
    kernels: Sequence[int | tuple[int, int]]
    image_channels: int
    strides: Sequence[int] = ()
    start: int | tuple[int, int] = 1
    dtype: jnp.dtype | None = None
    layers: int = 0
    hidden: int = 256

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """[..., F] -> mean of the image [..., height, width, image_channels]."""
        x = features
        for _ in range(self.layers):
            x = nn.relu(Dense(self.hidden, self.dtype)(x))
        x = Dense(self.units, self.dtype)(x)
        start = (self.start, self.start) if isinstance(self.start, int) else self.start
        x = x.reshape(*x.shape[:-1], *start, -1)
        strides = self.strides or (2,) * len(self.kernels)
        *layers, (_, *last) = zip((*self.channels, 0), self.kernels, strides, strict=True)
        for channels, kernel, stride in layers:
            x = nn.relu(Convolution(channels, kernel, stride, True, self.dtype)(x))
        return Convolution(self.image_channels, *last, True, self.dtype)(x).astype(jnp.float32)
