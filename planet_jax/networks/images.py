"""Convolutional encoder and decoder (Ha and Schmidhuber, 2018; appendix A of the paper)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype

from planet_jax.networks.heads import INITIALIZER, Dense
from planet_jax.ops import convolutions


class Convolution(nn.Module):
    """A convolution with a bias, or the transpose of one; stride 2, no padding.

    Attributes:
        channels: of the output.
        kernel: its height and width.
        transposed: whether the image becomes larger. The kernel is then [k, k, output, input], as in TensorFlow, which
            makes no difference to its initial scale.
        dtype: of the input and the output, see `heads.product_dtype`.
    """

    channels: int
    kernel: int
    transposed: bool = False
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., height, width, channels] -> the same with another size."""
        ends = (self.channels, x.shape[-1]) if self.transposed else (x.shape[-1], self.channels)
        kernel = self.param('kernel', INITIALIZER, (self.kernel, self.kernel, *ends))
        bias = self.param('bias', nn.initializers.zeros, (self.channels,))
        function = convolutions.conv_transpose if self.transposed else convolutions.conv
        x, kernel = promote_dtype(x, kernel, dtype=self.dtype)
        # In float32, since the gradient of the bias is a sum over all pixels of all images.
        return (function(x, kernel).astype(jnp.float32) + bias).astype(x.dtype)


class Encoder(nn.Module):
    """Convolutions with kernel 4, stride 2 and ReLU, then flat.

    Attributes:
        channels: of each convolution; 32, 64, 128, 256 give 1024 values of a 64 x 64 image.
        dtype: see `heads.product_dtype`; also of the output.
    """

    channels: Sequence[int]
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., size, size, 3] -> [..., values]."""
        for channels in self.channels:
            x = nn.relu(Convolution(channels, 4, dtype=self.dtype)(x))
        return x.reshape(*x.shape[:-3], -1)


class Decoder(nn.Module):
    """A dense layer without activation, then transposed convolutions with stride 2, ReLU after all but the last.

    Attributes:
        units: of the dense layer.
        channels: of each transposed convolution but the last.
        kernels: of each transposed convolution.
        image_channels: of the last one.
        dtype: see `heads.product_dtype`; the image is float32.
    """

    units: int
    channels: Sequence[int]
    kernels: Sequence[int]
    image_channels: int
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """[..., F] -> mean of the image [..., size, size, image_channels]."""
        x = Dense(self.units, self.dtype)(features)[..., None, None, :]
        *kernels, last = self.kernels
        for channels, kernel in zip(self.channels, kernels, strict=True):
            x = nn.relu(Convolution(channels, kernel, True, self.dtype)(x))
        return Convolution(self.image_channels, last, True, self.dtype)(x).astype(jnp.float32)
