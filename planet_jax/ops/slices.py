"""Process a batch in slices so that intermediates fit a CPU's cache."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def in_slices(function: Callable, most: float, *xs: jax.Array) -> Any:
    """Applies a function to equal slices of rows, one after the other.

    Args:
        function: xs [m, ...] -> (ys [m, ...], sums), two pytrees.
        most: largest m; m is the largest divisor of n up to it.
        *xs: each [n, ...].

    Returns:
        ys [n, ...], and the sums of all slices.
    """
    n = xs[0].shape[0]
    fewest = max(1, -(-n // max(1, int(most))))
    slices = next((m for m in range(fewest, n) if n % m == 0), max(1, n))
    if slices == 1:
        return function(*xs)
    sliced = [x.reshape(slices, -1, *x.shape[1:]) for x in xs]

    def step(sums, xs):
        ys, part = function(*xs)
        return jax.tree.map(jnp.add, sums, part), ys

    shapes = jax.eval_shape(function, *[x[0] for x in sliced])[1]
    zeros = jax.tree.map(lambda s: jnp.zeros_like(xs[0], shape=s.shape, dtype=s.dtype), shapes)
    sums, ys = lax.scan(step, zeros, sliced)
    return jax.tree.map(lambda y: y.reshape(n, *y.shape[2:]), ys), sums


def map_in_slices(function: Callable, most: int, xs: Any) -> Any:
    """Applies a function to slices of rows, one after the other; the last slice is filled up with zeros.

    Unlike `in_slices` it adds nothing up, so the number of rows need not have a divisor.

    Args:
        function: a pytree with leading [m] -> another one, each row of its own.
        most: m; n if there are fewer rows.
        xs: a pytree with leading [n].

    Returns:
        what the function makes, with leading [n].
    """
    n = len(jax.tree.leaves(xs)[0])
    most = min(most, n)

    def cut(x):
        return jnp.pad(x, ((0, -n % most), *((0, 0) for _ in x.shape[1:]))).reshape(-1, most, *x.shape[1:])

    ys = lax.map(function, jax.tree.map(cut, xs))
    return jax.tree.map(lambda y: y.reshape(-1, *y.shape[2:])[:n], ys)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def total(function: Callable, most: float, params: Any, xs: jax.Array, data: tuple[jax.Array, ...]) -> jax.Array:
    """A sum over rows whose gradient is computed in the forward pass, so that a slice keeps only its gradient.

    A CPU computes slice by slice; elsewhere all rows are one slice. Only `jax.grad` uses slices: the value alone, or
    another kind of derivative, does not.

    Args:
        function: (params, xs [m, ...], *data [m, ...]) -> [], a sum over the rows.
        most: rows in a slice.
        params: a pytree.
        xs: [n, ...].
        data: each [n, ...]; no gradient goes to them.
    """
    return function(params, xs, *data)


def _forward(function, most, params, xs, data):
    def part(params, xs, *data):
        value, (to_params, to_xs) = jax.value_and_grad(function, (0, 1))(params, xs, *data)
        return to_xs, (value, to_params)

    def in_parts(params, *rows):
        # At least two slices: XLA does not fuse the producer of the rows into a loop, so the rounding of the sum does
        # not depend on where the rows come from, such as a replay on the device or on the host.
        return in_slices(partial(part, params), min(most, len(rows[0]) / 2), *rows)

    to_xs, (value, to_params) = lax.platform_dependent(params, xs, *data, cpu=in_parts, default=part)
    return value, (to_params, to_xs)


def _backward(function, most, gradients, cotangent):
    del function, most
    return (*jax.tree.map(lambda gradient: cotangent * gradient, gradients), None)


total.defvjp(_forward, _backward)
