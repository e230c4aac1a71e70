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


def _with_kernel_gradient(function, x, y, *, stride, k):
    """What a function makes of the patches of x, and the gradient of the kernel, from the same patches."""
    numbers = math.prod(k) * x.shape[3]

    # The barriers: a product that turns an operand or its result takes up to three times as long as one that does not.
    def products(x, y):
        patches = _patches(x, k, stride)
        turned = lax.optimization_barrier(y.reshape(-1, y.shape[3]).T)
        # The sum over the slices is float32, also of bfloat16 images.
        return function(patches), jnp.matmul(turned, patches.reshape(-1, numbers), preferred_element_type=jnp.float32)

    made, matrix = in_slices(products, _SLICE_BYTES / (4 * y.shape[1] * y.shape[2] * numbers), x, y)
    return made, lax.optimization_barrier(matrix).T.reshape(*k, x.shape[3], y.shape[3]).astype(x.dtype)


def _matrix_kernel_gradient(x, y, **static):
    return _with_kernel_gradient(lambda patches: (), x, y, **static)[1]


def _matrix_gradients(x, y, kernel, *, stride):
    matrix = kernel.reshape(-1, kernel.shape[3])
    return _with_kernel_gradient(lambda patches: patches @ matrix, x, y, stride=stride, k=kernel.shape[:2])


# The primitives, on P kernels.


def _primitive(name, library, matrix, static, kernels=(), results=None):
    """Registers one.

    Args:
        name: of it.
        library: the operation on one kernel, on accelerators.
        matrix: the same on a CPU.
        static: names of the static parameters.
        kernels: positions of the operands that are kernels. While none of these is mapped, a mapped axis becomes more
            images. Without any, it always becomes more kernels.
        results: for several results, the positions of the operands that they are like.
    """
    def on_platform(*operands, precision, **static):
        def one(*operands):
            return lax.platform_dependent(*operands, cpu=partial(matrix, **static), default=partial(library, **static))

        with jax.default_matmul_precision(precision):
            if operands[0].shape[0] == 1:
                return jax.tree.map(lambda y: y[None], one(*[x[0] for x in operands]))
            return jax.vmap(one)(*operands)

    def abstract(*operands, precision, **static):
        # updating an operand keeps the axes of a mesh over which it varies, for shard_map
        first = operands[0]
        if results:
            return [first.update(shape=operands[i].shape, dtype=operands[i].dtype, weak_type=False) for i in results]
        shape = jax.eval_shape(jax.vmap(partial(library, **static)), *operands).shape
        return first.update(shape=shape, weak_type=False)

    def batch(operands, axes, **static):
        size = next(x.shape[a] for x, a in zip(operands, axes, strict=True) if a is not None)
        # the same kernels for all: more images; kernels for each element, or the gradient of each: more kernels
        images = bool(kernels) and all(axes[i] is None for i in kernels)

        def put(x, axis, place):
            x = jnp.expand_dims(x, place) if axis is None else jnp.moveaxis(x, axis, place)
            x = jnp.broadcast_to(x, (*x.shape[:place], size, *x.shape[place + 1:]))
            return x.reshape(*x.shape[:place], -1, *x.shape[place + 2:])

        out = primitive.bind(*[x if images and i in kernels else put(x, axis, int(images))
                               for i, (x, axis) in enumerate(zip(operands, axes, strict=True))], **static)
        if images:
            return out.reshape(out.shape[0], size, -1, *out.shape[2:]), 1
        apart = jax.tree.map(lambda y: y.reshape(size, -1, *y.shape[1:]), out)
        return apart, [0] * len(results) if results else 0

    primitive = Primitive(name)
    primitive.multiple_results = results is not None
    primitive.def_impl(jax.jit(on_platform, static_argnames=('precision', *static)))
    primitive.def_abstract_eval(abstract)
    mlir.register_lowering(primitive, mlir.lower_fun(on_platform, multiple_results=primitive.multiple_results))
    batching.primitive_batchers[primitive] = batch
    return primitive


_conv = _primitive('conv', _library_conv, _matrix_conv, ('stride',), kernels=(1,))
_conv_transpose = _primitive(
    'conv_transpose', _library_conv_transpose, _matrix_conv_transpose, ('stride', 'size'), kernels=(1,))
_kernel_gradient = _primitive('kernel_gradient', _library_kernel_gradient, _matrix_kernel_gradient, ('stride', 'k'))

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

# Both gradients of the transposed convolution are products with the patches of the same cotangent. So that a CPU copies
# these once, the tangent of both operands is one primitive, whose transpose makes both gradients together.


def _tangent_of(function):
    """A function (y, kernel) -> x, linear in each -> its tangent: (tangents of both, y, kernel) -> x."""
    return lambda y_dot, kernel_dot, y, kernel, **static: function(y_dot, kernel, **static) + function(
        y, kernel_dot, **static)


def _library_gradients(x, y, kernel, *, stride):
    return (_library_conv(x, kernel, stride=stride),
            _library_kernel_gradient(x, y, stride=stride, k=kernel.shape[:2]))


_tangent = _primitive(
    'conv_transpose_tangent', _tangent_of(_library_conv_transpose), _tangent_of(_matrix_conv_transpose),
    ('stride', 'size'), kernels=(1, 3))
_gradients = _primitive(
    'conv_transpose_gradients', _library_gradients, _matrix_gradients, ('stride',), results=(1, 2))


def _conv_transpose_jvp(primals, tangents, **static):
    (y, kernel), (y_dot, kernel_dot) = primals, tangents
    if type(kernel_dot) is ad.Zero:
        tangent = _conv_transpose.bind(y_dot, kernel, **static)
    elif type(y_dot) is ad.Zero:
        tangent = _conv_transpose.bind(y, kernel_dot, **static)
    else:
        tangent = _tangent.bind(y_dot, kernel_dot, y, kernel, **static)
    return _conv_transpose.bind(y, kernel, **static), tangent


def _tangent_transpose(x, y_dot, kernel_dot, y, kernel, *, size, **same):
    return *_gradients.bind(x, y, kernel, **same), None, None


def _separate_gradients(x, y, kernel, **same):
    return _conv.bind(x, kernel, **same), _kernel_gradient.bind(x, y, k=kernel.shape[1:3], **same)


def _through(function):
    """The derivative of a primitive as that of a function of primitives that have one."""
    def jvp(primals, tangents, **static):
        tangents = [ad.instantiate_zeros(tangent) for tangent in tangents]
        return jax.jvp(partial(function, **static), primals, tuple(tangents))
    return jvp


ad.primitive_jvps[_conv_transpose] = _conv_transpose_jvp
ad.primitive_transposes[_tangent] = _tangent_transpose
ad.primitive_jvps[_tangent] = _through(_tangent_of(_conv_transpose.bind))
ad.primitive_jvps[_gradients] = _through(_separate_gradients)
