"""The world model's settings."""

from dataclasses import dataclass
from typing import Literal

from planet_jax.config.cells import CELLS, Cell, CellName
from planet_jax.config.checks import check, setting


@dataclass(frozen=True)
class Model:
    """Sizes and variants of the world model (appendix A of the paper)."""

    cell: CellName = 'rssm'
    """Recurrent state-space model, or only its stochastic or its deterministic part (section 3). `rnn` has std 1 and no
    noise, so its KL is a squared error; `rnn_official` is as released: a predicted std, no noise, and no KL, so nothing
    trains its prior."""
    stochastic: int = setting(30, least=1)
    """Z, size of the stochastic part of the latent state."""
    deterministic: int = setting(200, least=1)
    """D, units of the GRU (the SSM has none)."""
    hidden: int = setting(200, least=1)
    """Units of the layers before the GRU, of the prior and of the posterior."""
    min_std: float = setting(0.1, least=0)
    """Added to the softplus that makes a standard deviation (released code)."""
    first_std: float | None = setting(None, then=None, above=0)
    """First standard deviation of the stochastic part, above `min_std`; by default `min_std` + 0.69."""
    gru: Literal['reset_before', 'reset_after'] = 'reset_before'
    """Whether the GRU's reset gate acts before the matrix product (TensorFlow, Cho et al.) or after it."""
    image_bits: int = setting(5, least=1, most=8)
    """Bits kept of each colour channel; uniform noise fills the rest (appendix A)."""
    subtract_mean: bool = setting(False, then=False)
    """The encoder sees images less the mean image of the first update's batch, and the decoder adds it, so that what
    moves counts."""
    encoder_channels: tuple[int, ...] = setting((32, 64, 128, 256), least=1)
    """Channels of the encoder's convolutions."""
    encoder_kernels: tuple[int, ...] = setting((), then=(), least=1)
    """Kernels of the encoder's convolutions; by default 4."""
    encoder_strides: tuple[int, ...] = setting((), then=(), least=1)
    """Strides of the encoder's convolutions; by default 2 each. As large as the kernels they make patches, which are
    much faster on a CPU."""
    decoder_channels: tuple[int, ...] = setting((128, 64, 32), least=1)
    """Channels of the decoder's transposed convolutions, except the last."""
    decoder_kernels: tuple[int, ...] = setting((5, 5, 6, 6), least=1)
    """Kernel sizes of the decoder's transposed convolutions, which decide the size of the image."""
    decoder_strides: tuple[int, ...] = setting((), then=(), least=1)
    """Strides of these convolutions; by default 2 each."""
    decoder_units: int = setting(1024, least=1)
    """Units of the dense layer before these convolutions."""
    decoder_layers: int = setting(0, then=0, least=0)
    """Hidden dense layers with ReLU before that dense layer."""
    decoder_hidden: int = setting(256, then=256, least=1)
    """Units of each hidden dense layer."""
    decoder_start: int = setting(1, then=1, least=1)
    """Height and width of the feature map that the dense layer makes."""
    vector_layers: int = setting(2, least=1)
    """Layers of the encoder and of the decoder of vector observations."""
    vector_units: int = setting(200, least=1)
    """Units of these layers."""
    vector_symlog: bool = setting(False, then=False)
    """Replace vectors x by sign(x) log(1 + |x|), so that entries of any scale count (DreamerV3)."""
    reward_layers: int = setting(3, least=1)
    """Layers of the reward head (paper: 2; released: 3)."""
    reward_units: int = setting(300, least=1)
    """Units of these layers (paper: 200; released: 300)."""
    end_head: bool = setting(True, then=False)
    """Predict whether the episode goes on, with a head of this size, so that the planner counts no reward after the
    end; only for tasks that can terminate, such as gymnasium's."""
    value_discount: float | None = setting(None, then=None, least=0, below=1)
    """Discount per agent step of the value head, see `planner.terminal_value`; by default there is none (paper)."""
    precision: Literal['default', 'bfloat16', 'tensorfloat32', 'float32'] = 'default'
    """Precision of matrix products and convolutions, also in planning. `default` is the device's: float32 on a CPU,
    TF32 on a recent NVIDIA GPU. `bfloat16`, for accelerators, includes the activations between products."""

    def __post_init__(self):
        check('model', self)
        if not self.encoder_channels:
            raise ValueError('model.encoder_channels is empty, but the encoder needs at least one convolution.')
        for name, other in (('encoder_kernels', 'encoder_channels'), ('encoder_strides', 'encoder_channels'),
                            ('decoder_strides', 'decoder_kernels')):
            given, wanted = getattr(self, name), len(getattr(self, other))
            if given and len(given) != wanted:
                raise ValueError(f'model.{name} has {len(given)} entries and model.{other} {wanted}, but both must '
                                 f'have the same number, or the first must be empty.')
        if len(self.decoder_kernels) != len(self.decoder_channels) + 1:
            raise ValueError(f'model.decoder_kernels has {len(self.decoder_kernels)} entries and '
                             f'model.decoder_channels {len(self.decoder_channels)}, but there must be exactly one more '
                             f'kernel: the last convolution has the channels of the image.')
        if self.first_std is not None and self.first_std <= self.min_std:
            raise ValueError(f'model.first_std is {self.first_std} and model.min_std is {self.min_std}, but a standard '
                             f'deviation is above the least one: set the first to {self.min_std + 0.05:g}.')
        if self.decoder_units % self.decoder_start**2:
            raise ValueError(f'model.decoder_start is {self.decoder_start} and model.decoder_units is '
                             f'{self.decoder_units}, but the square of the start must divide the units.')

    @property
    def traits(self) -> Cell:
        """The traits of the cell."""
        return CELLS[self.cell]

    def encoder_layers(self) -> list[tuple[int, int, int]]:
        """Channels, kernel and stride of each of the encoder's convolutions."""
        layers = len(self.encoder_channels)
        return list(zip(self.encoder_channels, self.encoder_kernels or (4,) * layers,
                        self.encoder_strides or (2,) * layers, strict=True))

    def encoded_size(self, size: int) -> int:
        """Height and width of the encoder's last feature map for an image of `size` pixels; 0 if there is none."""
        for _, kernel, stride in self.encoder_layers():
            size = (size - kernel) // stride + 1 if size >= kernel else 0
        return size

    def decoded_size(self) -> int:
        """Height and width of the image that the decoder makes, in pixels."""
        size = self.decoder_start
        for kernel, stride in zip(self.decoder_kernels, self.decoder_strides or (2,) * len(self.decoder_kernels)):
            size = stride * (size - 1) + kernel
        return size
