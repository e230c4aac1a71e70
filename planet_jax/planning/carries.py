"""Gives the carry of a scan the types of the user's function, whatever the start is."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def settle(name: str, step: Callable[[Any], Any], start: Any) -> Any:
    """The start with the shapes and types that a step returns, so that a scan can carry it.

    So a state may begin as a Python number or an integer, and a scalar may become an array of one entry. Within
    `jax.shard_map` it varies over the devices that the step's results vary over.

    Args:
        name: of the carry, for the message.
        step: start -> next carry.
        start: any pytree; leaves have a leading axis of candidates, which stays.

    Raises:
        ValueError: a step changes the structure, or returns shapes that the start cannot be broadcast to.
    """
    for _ in range(3):
        following = jax.eval_shape(step, start)
        if jax.tree.structure(following) != jax.tree.structure(start):
            raise ValueError(f'{name} must keep its structure from step to step, but it begins as '
                             f'{jax.tree.structure(start)} and becomes {jax.tree.structure(following)}.')
        settled = jax.tree.map(lambda leaf, then: _like(name, leaf, then), start, following)
        if jax.tree.map(_type, settled) == jax.tree.map(_type, following):
            return settled
        start = settled
    raise ValueError(f'{name} must keep its shapes and types from step to step, but they keep changing: '
                     f'{jax.tree.map(_type, start)}, then {jax.tree.map(_type, following)}.')


def within_shard_map() -> bool:
    """Whether the function is being traced for a `jax.shard_map`."""
    return bool(jax.sharding.get_abstract_mesh().manual_axes)


def _like(name, leaf, then):
    leaf = jnp.asarray(leaf)
    if leaf.shape != then.shape:
        try:
            first, *rest = leaf.shape
            aligned = leaf.reshape(first, *(1,) * (len(then.shape) - leaf.ndim), *rest)
            leaf = jnp.broadcast_to(aligned, then.shape)
        except (TypeError, ValueError):
            raise ValueError(f'{name} must keep its shapes from step to step, but one of them is {leaf.shape[1:]} and '
                             f'becomes {then.shape[1:]}.') from None
    if leaf.dtype != then.dtype:
        leaf = leaf.astype(jnp.promote_types(leaf.dtype, then.dtype))
    missing = _varying(then) - _varying(jax.typeof(leaf))
    return jax.lax.pcast(leaf, tuple(sorted(missing)), to='varying') if missing else leaf


def _type(leaf):
    kind = leaf if isinstance(leaf, jax.ShapeDtypeStruct) else jax.typeof(leaf)
    return str(kind.dtype), kind.shape, tuple(sorted(_varying(kind)))


def _varying(kind):
    axes = getattr(kind, 'manual_axis_type', None)
    return getattr(axes, 'varying', None) or getattr(kind, 'vma', None) or frozenset()
