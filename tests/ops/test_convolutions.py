"""The convolutions, compared with the library's."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, PartitionSpec

from planet_jax.ops import convolutions
from planet_jax.ops.convolutions import conv, conv_transpose


def library(x, kernel, stride=2):
    return lax.conv_general_dilated(x, kernel, (stride, stride), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))


def library_transpose(x, kernel, stride=2):
    """The gradient of the library's convolution by its image."""
    height, width = (stride * (s - 1) + k for s, k in zip(x.shape[1:3], kernel.shape))
    image = jax.ShapeDtypeStruct((x.shape[0], height, width, kernel.shape[2]), x.dtype)
    return jax.linear_transpose(lambda image: library(image, kernel, stride), image)(x)[0]


def numbers(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def assert_close(actual, expected):
    def close(actual, expected):
        assert actual.shape == expected.shape and actual.dtype == expected.dtype
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5 * np.max(np.abs(expected)))

    jax.tree.map(close, actual, expected)


def loss_of(function):
    """A scalar that is not linear in the function's values."""
    return lambda x, kernel: jnp.sum(jnp.sin(function(x, kernel)))


def values_and_gradients(function, x, kernel):
    return function(x, kernel), jax.grad(loss_of(function), (0, 1))(x, kernel)


CASES = [
    # images, kernel, stride: rows cut off or not, odd and even, no larger than the kernel, strides over the kernel
    *[(conv, library, images, kernel, stride) for images, kernel, stride in [
        ((6, 8, 8, 3), (4, 4, 3, 5), 2), ((4, 9, 9, 3), (4, 4, 3, 5), 2), ((3, 4, 4, 3), (4, 4, 3, 5), 2),
        ((1, 5, 8, 2), (4, 4, 2, 3), 2),
        ((2, 9, 12, 2), (4, 5, 2, 3), 2), ((5, 13, 10, 2), (5, 5, 2, 3), 2), ((2, 12, 11, 2), (6, 6, 2, 3), 2),
        ((2, 7, 6, 2), (3, 3, 2, 3), 1), ((4, 11, 12, 2), (4, 4, 2, 3), 3), ((3, 9, 8, 2), (1, 1, 2, 3), 2),
        ((3, 8, 12, 2), (4, 4, 2, 3), 4), ((2, 7, 5, 2), (2, 2, 2, 3), 2), ((2, 3, 4, 2), (1, 1, 2, 3), 1)]],
    *[(conv_transpose, library_transpose, images, kernel, stride) for images, kernel, stride in [
        ((3, 1, 1, 8), (5, 5, 4, 8), 2), ((2, 1, 1, 4), (4, 4, 3, 4), 2), ((6, 5, 5, 4), (6, 6, 3, 4), 2),
        ((4, 3, 4, 4), (5, 5, 3, 4), 2),
        ((2, 2, 3, 4), (5, 6, 3, 4), 2), ((3, 2, 1, 4), (4, 6, 3, 4), 4),
        ((5, 4, 3, 4), (4, 4, 3, 4), 2), ((1, 2, 1, 4), (6, 6, 3, 4), 2),
        ((2, 3, 2, 4), (3, 3, 3, 4), 1), ((4, 2, 3, 4), (4, 4, 3, 4), 3), ((3, 3, 2, 4), (1, 1, 3, 4), 2),
        ((3, 2, 3, 4), (4, 4, 3, 4), 4), ((2, 1, 4, 4), (2, 2, 3, 4), 2), ((2, 3, 4, 4), (1, 1, 3, 4), 1)]],
]
PAIRS = [(conv, library, (9, 8, 3), (4, 4, 3, 5)), (conv_transpose, library_transpose, (4, 3, 3), (5, 5, 2, 3))]


@pytest.mark.parametrize('slice_bytes', [3000, 1e9])
@pytest.mark.parametrize('function, library, images, kernel, stride', CASES)
def test_equal_to_the_library(function, library, images, kernel, stride, slice_bytes, monkeypatch):
    monkeypatch.setattr(convolutions, '_SLICE_BYTES', slice_bytes)
    x, kernel = numbers(*images), numbers(*kernel, seed=1)
    actual, expected = jax.jit(lambda x, kernel: tuple(
        values_and_gradients(partial(f, stride=stride), x, kernel) for f in (function, library)))(x, kernel)
    assert_close(actual, expected)


@pytest.mark.parametrize('function, image, kernel', [
    (conv, (8, 8, 3), (4, 4, 3, 5)), (conv_transpose, (2, 2, 5), (4, 4, 3, 5))])
def test_patches_apart_are_one_product(function, image, kernel):
    """Of mapped images too, and so is the gradient of the kernel: nothing is copied piece by piece or in slices."""
    def mapped(x, kernel):
        return jax.vmap(jax.vmap(lambda x: function(x, kernel, stride=4)))(x)

    equations = jax.make_jaxpr(jax.grad(loss_of(mapped), (0, 1)))(numbers(2, 3, *image), numbers(*kernel)).eqns
    names = [equation.primitive.name for equation in equations]
    assert names.count('dot_general') == 3
    assert not {'conv', 'conv_transpose', 'kernel_gradient', 'scan', 'concatenate', 'gather'} & set(names)


@pytest.mark.parametrize('name, operands, static', [
    ('conv', ((3, 9, 8, 3), (4, 4, 3, 5)), {}),
    ('conv_transpose', ((3, 3, 3, 5), (4, 4, 3, 5)), {'size': (9, 8)}),
    ('kernel_gradient', ((3, 9, 8, 3), (3, 3, 3, 5)), {'k': (4, 4)}),
])
def test_both_platforms_agree(name, operands, static):
    operands = [numbers(*shape, seed=seed) for seed, shape in enumerate(operands)]
    actual, expected = (
        getattr(convolutions, f'_{kind}_{name}')(*operands, stride=2, **static) for kind in ('matrix', 'library'))
    assert_close(actual, expected)


@pytest.mark.parametrize('function, library, image, kernel', PAIRS)
def test_any_leading_axes(function, library, image, kernel):
    x, kernel = numbers(2, 3, *image), numbers(*kernel, seed=1)
    actual = function(x, kernel)
    assert_close(actual.reshape(6, *actual.shape[2:]), library(x.reshape(6, *image), kernel))
    assert_close(function(x[0, 0], kernel), actual[0, 0])
    assert function(x[:0], kernel).shape == (0, *actual.shape[1:])


@pytest.mark.parametrize('axes', [(0, 0), (None, 0), (0, None)])
@pytest.mark.parametrize('function, library, image, kernel', PAIRS)
def test_mapped_is_a_loop(function, library, image, kernel, axes):
    """Gradients of a mapped function and mapped gradients, over images, over kernels, and over both."""
    operands = [numbers(2, *shape, seed=seed)[0 if axis is None else slice(None)]
                for seed, (shape, axis) in enumerate(zip([(3, *image), kernel], axes, strict=True))]

    def loop(function, *operands):
        values = [function(*[x if a is None else x[i] for x, a in zip(operands, axes, strict=True)]) for i in range(2)]
        return jax.tree.map(lambda *x: jnp.stack(x), *values)

    @jax.jit
    def both(*operands):
        def gradient(function):
            return jax.grad(loss_of(function), (0, 1))

        actual = gradient(jax.vmap(function, axes))(*operands), jax.vmap(gradient(function), axes)(*operands)
        return actual, (gradient(partial(loop, library))(*operands), loop(gradient(library), *operands))

    assert_close(*both(*operands))


@pytest.mark.parametrize('function, library, image, kernel', PAIRS)
def test_mapped_axes_become_images(function, library, image, kernel):
    """Mapping an unbatched network computes the gradient of a kernel once, over all images."""
    def mapped(x, kernel):
        return jax.vmap(jax.vmap(lambda x: function(x, kernel)))(x)

    equations = jax.make_jaxpr(jax.grad(loss_of(mapped), 1))(numbers(2, 3, *image), numbers(*kernel)).eqns
    shapes = [[x.aval.shape for x in e.invars + e.outvars] for e in equations if e.primitive.name == 'kernel_gradient']
    assert len(shapes) == 1
    assert [shape[1] for shape in shapes[0][:2]] == [6, 6] and shapes[0][2] == (1, *kernel)


def test_both_gradients_of_the_transposed_convolution_copy_its_patches_once():
    def copies(argnums):
        def mapped(x, kernel):
            return jax.vmap(lambda x: conv_transpose(x, kernel))(x)

        gradient = jax.grad(loss_of(mapped), argnums)
        shapes = numbers(6, 3, 3, 4), numbers(6, 6, 2, 4)
        names = [equation.primitive.name for equation in jax.make_jaxpr(gradient)(*shapes).eqns]
        return names, jax.jit(gradient).lower(*shapes).as_text().count('stablehlo.concatenate')

    both, image, kernel = copies((0, 1)), copies(0), copies(1)
    assert both[0].count('conv_transpose_gradients') == 1 and 'kernel_gradient' not in both[0]
    assert both[1] == image[1] == kernel[1] > 0


@pytest.mark.parametrize('function, library, image, kernel', PAIRS)
def test_checkpoint_and_second_derivatives(function, library, image, kernel):
    x, kernel = numbers(2, *image), numbers(*kernel, seed=1)

    def slopes(function):
        def slope(x, kernel):
            return jax.grad(loss_of(function), (0, 1))(x, kernel)

        forward = jax.jvp(slope, (x, kernel), (x[::-1], kernel[::-1]))
        return forward, jax.vjp(slope, x, kernel)[1]((x[::-1], kernel[::-1]))

    plain, checkpointed, expected = jax.jit(
        lambda: tuple(slopes(f) for f in (function, jax.checkpoint(function), library)))()
    assert_close(plain, expected)
    assert_close(checkpointed, expected)


@pytest.mark.parametrize('function, library, image, kernel', PAIRS)
def test_jit_is_no_jit(function, library, image, kernel):
    x, kernel = numbers(2, *image), numbers(*kernel, seed=1)
    assert_close(jax.jit(function)(x, kernel), function(x, kernel))


@pytest.mark.parametrize('function, library, image, kernel', PAIRS)
def test_sharded_kernels(function, library, image, kernel, monkeypatch):
    monkeypatch.setattr(convolutions, '_SLICE_BYTES', 1)
    xs, kernels = numbers(1, 2, *image), numbers(1, *kernel, seed=1)
    mesh = jax.make_mesh((1,), ('seeds',), axis_types=(AxisType.Auto,), devices=jax.devices()[:1])
    sharded = jax.shard_map(jax.vmap(partial(values_and_gradients, function)), mesh=mesh,
                            in_specs=PartitionSpec('seeds'), out_specs=PartitionSpec('seeds'))
    expected = jax.jit(partial(values_and_gradients, library))(xs[0], kernels[0])
    assert_close(jax.tree.map(lambda x: x[0], jax.jit(sharded)(xs, kernels)), expected)


@pytest.mark.skipif(jax.default_backend() != 'cpu', reason='about the program for the CPU')
@pytest.mark.parametrize('function, library, image, kernel', PAIRS)
def test_program_of_the_cpu(function, library, image, kernel):
    """It has matrix products only, and no gradient for images that need none."""
    x, kernel = numbers(2, *image), numbers(*kernel, seed=1)

    def program(argnums):
        return jax.jit(jax.grad(loss_of(jax.vmap(function, (0, None))), argnums)).lower(x, kernel).compile().as_text()

    both, kernel_only = program((0, 1)), program(1)
    assert not any(word in both for word in ('convolution(', 'conditional('))
    assert (both.count(' dot('), kernel_only.count(' dot(')) == (3, 2)


@pytest.mark.parametrize('function, images, kernel, message', [
    (conv, (8, 8, 3), (4, 4, 2, 5), 'do not fit'), (conv, (8, 3, 3), (4, 5, 3, 5), 'smaller'),
    (conv, (8, 3), (4, 4, 3, 5), 'do not fit'), (conv, (8, 3, 3), (4, 4, 3, 5), 'smaller'),
    (conv_transpose, (8, 8, 3), (4, 4, 3, 5), 'do not fit'), (conv_transpose, (0, 8, 5), (4, 4, 3, 5), 'empty'),
])
def test_refuses(function, images, kernel, message):
    with pytest.raises(ValueError, match=message):
        function(jnp.zeros(images), jnp.zeros(kernel))
