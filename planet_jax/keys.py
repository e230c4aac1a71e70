"""Random keys by purpose and count, so that no key is ever stored.

The root key of a seed never changes. Every use folds in a stream, named after its purpose, and a counter that is in the
train state already. So however the work is split, interrupted or resumed, the same numbers come out.
"""

import zlib

import jax


def root(seed: int) -> jax.Array:
    """The root key of a seed: uint32 [2], a plain array, so that it is saved and sharded like any other."""
    return jax.random.key_data(jax.random.key(seed, impl='threefry2x32'))


def stream(key: jax.Array, purpose: str, counter: jax.Array | int = 0) -> jax.Array:
    """The key for the `counter`-th use of `key` for `purpose`.

    Args:
        key: uint32 [2].
        purpose: the stream's name, such as 'update' or 'collect'; static.
        counter: [], int32.
    """
    return jax.random.fold_in(jax.random.fold_in(key, zlib.crc32(purpose.encode())), counter)
