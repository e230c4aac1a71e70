"""How to compile a program that plans."""

import functools
import os

import jax


@functools.cache
def compiler_options(platform: str) -> dict[str, str]:
    """Options of XLA for `jax.jit` that make plans faster, if this version has them.

    On a CPU they send products of a thousand rows with a small matrix to Eigen instead of YNNPACK, with which a plan
    takes 15 to 20% longer. An update of the world model is slower with them. `XLA_FLAGS` have priority.

    Args:
        platform: of the device, such as 'cpu' or 'gpu'.
    """
    option = 'xla_cpu_experimental_ynn_fusion_type'
    if platform != 'cpu' or option in os.environ.get('XLA_FLAGS', ''):
        return {}
    options = {option: ''}
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return options
