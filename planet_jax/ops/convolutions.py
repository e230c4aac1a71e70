"""Strided convolutions that are fast on every platform: the library's on accelerators, matrix products on the CPU.

XLA's gradients of strided and transposed convolutions take 10 to 20 times their arithmetic on a CPU
(docs/performance.md), so there a convolution is a copy of the images' patches and one matrix product, in slices of
images whose patches stay in cache. Each function chooses by platform inside `jit`.

Convolution, transposed convolution and the kernel's gradient are the three derivatives of one trilinear form, the sum
of x[s i + a, s j + b] . kernel[a, b] . y[i, j], and the gradients of each are the other two. They are primitives and
not `jax.custom_vjp`s, since `vmap` of these computes a kernel's gradient for every element and then sums; the
primitives turn a mapped axis into more images, in any order of `grad`, `vmap` and `checkpoint`.

Inside, every array has a leading axis P, the number of kernels, which `vmap` over kernels fills: x [P, N, H, W, Ci],
y [P, N, h, w, Co], kernel [P, kh, kw, Ci, Co], where x is the image of the higher resolution.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from planet_jax.ops.slices import in_slices

_SLICE_BYTES = 8e6
"""Patches made at a time on the CPU. They are four to nine times larger than the images: all at once they would miss
the caches, and the operating system would have to find and clear fresh pages for them in every update."""


def conv(x, kernel, stride=2):
    """Convolves without padding: x [..., H, W, Ci], kernel [kh, kw, Ci, Co] -> [..., (H - kh) // stride + 1, ..., Co].

    Raises ValueError if the channels differ, or the image is smaller than the kernel.
    """
    _check(x, kernel, 2, at_least=kernel.shape[:2])
    if kernel.shape[:2] == (stride, stride):
        return _apart(x, kernel)
    y = _conv.bind(x.reshape(1, -1, *x.shape[-3:]), kernel[None], stride=stride, precision=_precision())
    return y.reshape(*x.shape[:-3], *y.shape[-3:])


def conv_transpose(x, kernel, stride=2):
    """The gradient of `conv` by its image: out[stride i + a, stride j + b] += kernel[a, b] @ x[i, j], without padding.

    As in TensorFlow's conv2d_transpose, the kernel is that of the convolution, so its output channels come first:
    x [..., H, W, Ci] and kernel [kh, kw, Co, Ci] -> [..., stride * (H - 1) + kh, ..., Co].

    Raises ValueError if the channels differ or the image is empty.
    """
    _check(x, kernel, 3, at_least=(1, 1))
    if kernel.shape[:2] == (stride, stride):
        return _apart_transposed(x, kernel)
    size = tuple(stride * (s - 1) + k for s, k in zip(x.shape[-3:-1], kernel.shape))
    y = _conv_transpose.bind(x.reshape(1, -1, *x.shape[-3:]), kernel[None], stride=stride, size=size,
                             precision=_precision())
    return y.reshape(*x.shape[:-3], *y.shape[-3:])


def _precision():
    """Of `jax.default_matmul_precision`; it must be asked for here, since primitives are lowered after its context."""
    return jax.config.jax_default_matmul_precision


def _check(x, kernel, axis, at_least):
    if x.ndim < 3 or kernel.ndim != 4 or x.shape[-1] != kernel.shape[axis]:
        raise ValueError(f'images {x.shape} do not fit the kernel {kernel.shape}: its axis {axis} must be as long as '
                         f'the last of [..., H, W, C]')
    if any(side < least for side, least in zip(x.shape[-3:-1], at_least)):
        raise ValueError(f'images {x.shape} are smaller than the kernel {kernel.shape} or empty')


# Where kernel and stride are equal, patches do not overlap: a convolution is a transposition of the image and one
# matrix product on every platform, and so are its derivatives.


def _apart(x, kernel):
    k, (*leading, height, width, channels) = kernel.shape[0], x.shape
    h, w = height // k, width // k
    x = x[..., :h * k, :w * k, :].reshape(*leading, h, k, w, k * channels)
    return x.swapaxes(-3, -2).reshape(*leading, h, w, -1) @ kernel.reshape(-1, kernel.shape[3])


def _apart_transposed(x, kernel):
    k, (*leading, h, w, channels) = kernel.shape[0], x.shape
    y = (x @ kernel.reshape(-1, channels).T).reshape(*leading, h, w, k, -1)
    return y.swapaxes(-3, -2).reshape(*leading, h * k, w * k, kernel.shape[2])


# The library's operations, on one kernel.


def _library_conv(x, kernel, *, stride):
    return lax.conv_general_dilated(x, kernel, (stride, stride), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))


def _library_conv_transpose(y, kernel, *, stride, size):
    padding = [(k - 1, s - stride * (n - 1) - 1) for s, n, k in zip(size, y.shape[1:3], kernel.shape)]
    return lax.conv_general_dilated(y, lax.rev(kernel, (0, 1)), (1, 1), padding, lhs_dilation=(stride, stride),
                                    dimension_numbers=('NHWC', 'HWOI', 'NHWC'))


def _library_kernel_gradient(x, y, *, stride, k):
    padding = [(0, side + stride * (n - 1) - s) for s, n, side in zip(x.shape[1:3], y.shape[1:3], k, strict=True)]
    return lax.conv_general_dilated(x, y, (1, 1), padding, rhs_dilation=(stride, stride),
                                    dimension_numbers=('CHWN', 'IHWO', 'HWNC'))


# The same as matrix products. A grid [N, H / s, s, W / s, s C] shows images in blocks of s x s pixels, so the piece of
# a patch in one row of one block is contiguous.


def _pieces(k, stride, channels):
    """Yields a patch's pieces: row of blocks, row in the block, column of blocks, and length in numbers."""
    height, width = k
    for a in range(height):
        for b in range(0, width, stride):
            yield a // stride, a % stride, b // stride, min(stride, width - b) * channels


def _more_blocks(k, stride):
    """Blocks that a patch has beyond its first, down and to the right."""
    return tuple(-(-side // stride) - 1 for side in k)


def _resize(x, height, width):
    more = [(0, 0, 0), (0, height - x.shape[1], 0), (0, width - x.shape[2], 0), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), more)


def _positions(x, k, stride):
    """Of a kernel's patches in images [N, H, W, C]: (h, w)."""
    return tuple((s - side) // stride + 1 for s, side in zip(x.shape[1:3], k, strict=True))


def _patches(x, k, stride):
    """[N, H, W, C] -> [N, h, w, kh kw C]."""
    n, _, _, c = x.shape
    (h, w), (down, right) = _positions(x, k, stride), _more_blocks(k, stride)
    grid = _resize(x, stride * (h + down), stride * (w + right))
    grid = grid.reshape(n, h + down, stride, w + right, stride * c)
    return jnp.concatenate([grid[:, i:i + h, r, j:j + w, :m] for i, r, j, m in _pieces(k, stride, c)], -1)


def _overlap_add(patches, k, stride, size):
    """The transpose of `_patches`: [N, h, w, kh kw C] -> [N, *size, C]."""
    n, h, w, numbers = patches.shape
    c, (down, right), at = numbers // math.prod(k), _more_blocks(k, stride), 0
    grid = jnp.zeros((n, h + down, stride, w + right, stride * c), patches.dtype)
    for i, r, j, m in _pieces(k, stride, c):
        piece = lax.slice(grid, (0, i, r, j, 0), (n, i + h, r + 1, j + w, m)) + patches[:, :, None, :, at:at + m]
        grid, at = lax.dynamic_update_slice(grid, piece, (0, i, r, j, 0)), at + m
    return _resize(grid.reshape(n, stride * (h + down), stride * (w + right), c), *size)


def _matrix_conv(x, kernel, *, stride):
    k, matrix = kernel.shape[:2], kernel.reshape(-1, kernel.shape[3])
    image_bytes = 4 * math.prod(_positions(x, k, stride)) * len(matrix)
    return in_slices(lambda x: (_patches(x, k, stride) @ matrix, ()), _SLICE_BYTES / image_bytes, x)[0]


def _matrix_conv_transpose(y, kernel, *, stride, size):
    k, matrix = kernel.shape[:2], kernel.reshape(-1, kernel.shape[3])
    image_bytes = 4 * y.shape[1] * y.shape[2] * len(matrix)
    return in_slices(lambda y: (_overlap_add(y @ matrix.T, k, stride, size), ()), _SLICE_BYTES / image_bytes, y)[0]


def _matrix_kernel_gradient(x, y, *, stride, k):
    numbers = math.prod(k) * x.shape[3]

    def product(x, y):
        # Slower, up to twice: the patches on the left, or y turned within the product instead of before it.
        turned = lax.optimization_barrier(y.reshape(-1, y.shape[3]).T)
        # The sum over the slices is float32, also of bfloat16 images.
        return (), jnp.matmul(turned, _patches(x, k, stride).reshape(-1, numbers), preferred_element_type=jnp.float32)

    matrix = in_slices(product, _SLICE_BYTES / (4 * y.shape[1] * y.shape[2] * numbers), x, y)[1]
    return matrix.T.reshape(*k, x.shape[3], y.shape[3]).astype(x.dtype)


# The primitives, on P kernels.


def _primitive(name, library, matrix, static, rhs_is_kernel=True):
    def on_platform(lhs, rhs, precision, **static):
        def one(lhs, rhs):
            return lax.platform_dependent(lhs, rhs, cpu=partial(matrix, **static), default=partial(library, **static))

        with jax.default_matmul_precision(precision):
            return one(lhs[0], rhs[0])[None] if lhs.shape[0] == 1 else jax.vmap(one)(lhs, rhs)

    def abstract(lhs, rhs, precision, **static):
        # updating an operand keeps the axes of a mesh over which it varies, for shard_map
        return lhs.update(shape=jax.eval_shape(jax.vmap(partial(library, **static)), lhs, rhs).shape, weak_type=False)

    def batch(operands, axes, **static):
        size = next(x.shape[a] for x, a in zip(operands, axes, strict=True) if a is not None)
        if rhs_is_kernel and axes[1] is None:  # the same kernel for all: more images
            x, kernel = jnp.moveaxis(operands[0], axes[0], 1), operands[1]
            out = primitive.bind(x.reshape(x.shape[0], -1, *x.shape[3:]), kernel, **static)
            return out.reshape(out.shape[0], size, -1, *out.shape[2:]), 1
        # a kernel for each element, or the gradient of each: more kernels
        operands = [jnp.broadcast_to(x, (size, *x.shape)) if a is None else jnp.moveaxis(x, a, 0)
                    for x, a in zip(operands, axes, strict=True)]
        out = primitive.bind(*[x.reshape(-1, *x.shape[2:]) for x in operands], **static)
        return out.reshape(size, -1, *out.shape[1:]), 0

    primitive = Primitive(name)
    primitive.def_impl(jax.jit(on_platform, static_argnames=('precision', *static)))
    primitive.def_abstract_eval(abstract)
    mlir.register_lowering(primitive, mlir.lower_fun(on_platform, multiple_results=False))
    batching.primitive_batchers[primitive] = batch
    return primitive


_conv = _primitive('conv', _library_conv, _matrix_conv, ('stride',))
_conv_transpose = _primitive('conv_transpose', _library_conv_transpose, _matrix_conv_transpose, ('stride', 'size'))
_kernel_gradient = _primitive(
    'kernel_gradient', _library_kernel_gradient, _matrix_kernel_gradient, ('stride', 'k'), rhs_is_kernel=False)

# A rule gets the cotangent, both operands (the one it is for known by its shape only) and the static parameters.
ad.defbilinear(
    _conv,
    lambda y, x, kernel, stride, **same: _conv_transpose.bind(
        y, kernel, stride=stride, size=x.aval.shape[2:4], **same),
    lambda y, x, kernel, stride, **same: _kernel_gradient.bind(x, y, stride=stride, k=kernel.aval.shape[1:3], **same))
ad.defbilinear(
    _conv_transpose,
    lambda x, y, kernel, stride, size, **same: _conv.bind(x, kernel, stride=stride, **same),
    lambda x, y, kernel, stride, size, **same: _kernel_gradient.bind(
        x, y, stride=stride, k=kernel.aval.shape[1:3], **same))
ad.defbilinear(
    _kernel_gradient,
    lambda kernel, x, y, stride, k, **same: _conv_transpose.bind(
        y, kernel, stride=stride, size=x.aval.shape[2:4], **same),
    lambda kernel, x, y, stride, k, **same: _conv.bind(x, kernel, stride=stride, **same))
