"""Slices of rows give the same as all rows at once, with one gradient or many, for any number of rows."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax.ops import slices

RNG = np.random.default_rng(0)
PARAMS = {'matrix': RNG.normal(size=(3, 4)).astype('float32'), 'unused': np.ones(2, 'float32')}


def rows_of(n):
    return (RNG.normal(size=(n, 3)).astype('float32'), RNG.normal(size=(n, 4)).astype('float32'),
            RNG.integers(0, 3, n).astype('float32'))


def weighted_error(params, xs, target, weights):
    return (weights * jnp.square(jnp.tanh(xs @ params['matrix']) - target).sum(1)).sum()


def in_slices_of(most, params, xs, *data):
    return slices.total(weighted_error, most, params, xs, data)


@pytest.mark.parametrize('n, most, sizes', [(13, 4, {4}), (12, 4, {4}), (3, 4, {3}), (7, 1, {1})])
def test_mapped_slices_are_equal_for_any_number_of_rows(n, most, sizes):
    seen = set()

    def function(x):
        seen.add(len(x))
        return {'twice': 2 * x, 'sum': x.sum(1)}

    x = np.arange(1.0, 2 * n + 1, dtype='float32').reshape(n, 2)
    found = slices.map_in_slices(function, most, x)
    assert seen == sizes
    np.testing.assert_array_equal(found['twice'], 2 * x)
    np.testing.assert_array_equal(found['sum'], x.sum(1))


@pytest.mark.parametrize('n, most, largest', [(12, 5, 4), (12, 4.7, 4), (7, 3, 1), (1, 8, 1), (6, 0.2, 1), (6, 6, 6)])
def test_slices_are_equal_and_no_larger_than_asked(n, most, largest):
    seen = []

    def function(x):
        seen.append(len(x))
        return 2 * x, {'sum': x.sum(0), 'rows': jnp.ones(()) * len(x)}

    x = np.arange(2.0 * n, dtype='float32').reshape(n, 2)
    doubled, sums = slices.in_slices(function, most, x)
    assert set(seen) == {largest}
    np.testing.assert_array_equal(doubled, 2 * x)
    np.testing.assert_array_equal(sums['sum'], x.sum(0))
    assert sums['rows'] == n


@pytest.mark.parametrize('n, most', [(12, 5), (7, 3), (6, 100), (1, 1)])
def test_a_total_and_its_gradient_are_those_of_all_rows_at_once(n, most):
    rows = rows_of(n)
    for function in (lambda total: total, lambda total: -2.5 * total):
        expected, found = (jax.jit(jax.value_and_grad(lambda params, *rows, total=total, function=function: function(
            total(params, *rows)), (0, 1)))(PARAMS, *rows) for total in (weighted_error, partial(in_slices_of, most)))
        # Sums of terms up to 12, which XLA adds in another order from version to version.
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), found, expected)
    np.testing.assert_allclose(in_slices_of(most, PARAMS, *rows), weighted_error(PARAMS, *rows), rtol=1e-6)


def test_every_element_of_a_vmap_has_a_gradient_of_its_own():
    many = [jax.tree.map(lambda *leaves: np.stack(leaves), *of_three)
            for of_three in ((PARAMS, jax.tree.map(np.negative, PARAMS), PARAMS), [rows_of(12) for _ in range(3)])]
    gradients = jax.jit(jax.vmap(jax.grad(lambda params, rows: in_slices_of(4, params, *rows))))(*many)
    expected = [jax.grad(weighted_error)(jax.tree.map(lambda leaf, i=i: leaf[i], many[0]), *(x[i] for x in many[1]))
                for i in range(3)]
    jax.tree.map(lambda leaf, *rows: np.testing.assert_allclose(leaf, np.stack(rows), rtol=1e-5, atol=1e-6),
                 gradients, *expected)


def test_no_gradient_goes_to_data():
    xs, *data = rows_of(6)
    found = jax.grad(lambda data: in_slices_of(2, PARAMS, xs, *data))(tuple(data))
    assert all(not leaf.any() for leaf in found)
