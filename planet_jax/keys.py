"""Random keys by purpose and count, so that no key needs to be stored.

The root key of a seed never changes. Every use folds in a stream, named after its purpose, and a counter that the train
state has anyway. So the numbers do not depend on how the work is split, interrupted or resumed.
"""

import zlib

import jax

GENERATOR = 'threefry2x32'
"""JAX's default random generator, whose keys have two words."""


def check_modes() -> None:
    """Refuses modes of JAX that would change every number.

    Raises:
        RuntimeError: numbers are float64 by default, or keys belong to another generator. The message names the flag.
    """
    if jax.config.jax_enable_x64:
        raise RuntimeError('JAX is in its x64 mode, but the agent computes with float32: set JAX_ENABLE_X64=0, or '
                           "jax.config.update('jax_enable_x64', False).")
    if jax.config.jax_default_prng_impl != GENERATOR:
        raise RuntimeError(f"JAX's default random generator is {jax.config.jax_default_prng_impl}, but the agent draws "
                           f"with {GENERATOR}: set JAX_DEFAULT_PRNG_IMPL={GENERATOR}, or "
                           f"jax.config.update('jax_default_prng_impl', '{GENERATOR}').")


def root(seed: int) -> jax.Array:
    """The root key of a seed: uint32 [2], a plain array that is saved and sharded like any other.

    Raises:
        RuntimeError: see `check_modes`.
    """
    check_modes()
    return jax.random.key_data(jax.random.key(seed, impl=GENERATOR))


def stream(key: jax.Array, purpose: str, counter: jax.Array | int = 0) -> jax.Array:
    """The key for the `counter`-th use of `key` for `purpose`.

    Args:
        key: uint32 [2].
        purpose: the stream's name, such as 'update' or 'collect'; static.
        counter: [], int32.
    """
    return jax.random.fold_in(jax.random.fold_in(key, zlib.crc32(purpose.encode())), counter)
