"""Counts the arithmetic of a function in its trace."""

import math
from collections.abc import Callable
from typing import Any

import jax


def gigaflops(function: Callable, *arguments: Any) -> float:
    """Arithmetic of a function's matrix products and convolutions in GFLOP, a product and a sum each, as it is written.

    What a CPU computes twice to save memory counts once.

    Args:
        function: is traced, not run.
        *arguments: arrays or shapes.
    """
    return _flops(jax.make_jaxpr(function)(*arguments).jaxpr) / 1e9


def _flops(jaxpr):
    total = 0
    for equation in jaxpr.eqns:
        shapes = [variable.aval.shape for variable in (*equation.invars, *equation.outvars)]
        parameters = equation.params
        match equation.primitive.name:
            case 'dot_general':
                (contracted, _), _ = parameters['dimension_numbers']
                total += 2 * math.prod(shapes[2]) * math.prod(shapes[0][axis] for axis in contracted)
            # A form in x [P, N, H, W, Ci], y [P, N, h, w, Co] and kernel [P, k, k, Ci, Co]: each number of y meets
            # k k Ci others. See planet_jax/ops/convolutions.py.
            case 'conv':
                total += 2 * math.prod(shapes[2]) * math.prod(shapes[1][1:4])
            case 'conv_transpose':
                total += 2 * math.prod(shapes[0]) * math.prod(shapes[1][1:4])
            case 'kernel_gradient':
                total += 2 * math.prod(shapes[1]) * math.prod(shapes[2][1:4])
            case 'conv_transpose_tangent':
                total += 4 * math.prod(shapes[0]) * math.prod(shapes[1][1:4])
            case 'conv_transpose_gradients':
                total += 4 * math.prod(shapes[1]) * math.prod(shapes[2][1:4])
            case 'cond':
                flops = [_flops(branch.jaxpr) for branch in parameters['branches']]
                # Of several platforms the one that computes nothing twice.
                total += (min if parameters.get('branches_platforms') else max)(flops)
            case _:
                inner = sum(_flops(getattr(value, 'jaxpr', value)) for value in parameters.values()
                            if hasattr(value, 'eqns') or hasattr(value, 'jaxpr'))
                total += inner * parameters.get('length', 1)
    return total
