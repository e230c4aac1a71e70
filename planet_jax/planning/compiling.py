"""How to compile a program that plans."""

import functools
import os

import jax


@functools.cache
def compiler_options(platform: str) -> dict[str, str]:
    """Options of XLA for `jax.jit` that make plans faster, as far as this version has them.

    On a CPU the products of a thousand rows by a small matrix go to Eigen and not to YNNPACK, with which a plan took
    15 to 20% more time. An update of the world model is faster without. What `XLA_FLAGS` says of it stays.

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
