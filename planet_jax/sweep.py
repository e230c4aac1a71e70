"""Seeds over devices: the same steps with [P] in front. The only file that knows of devices."""

from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from planet_jax.types import Steps


def _single(function: Callable, device: jax.Device, donate: tuple[int, ...]) -> Callable:
    """One seed: the unbatched program, its axis taken off and put back inside the jit, which keeps the donation."""

    def run(*arguments):
        outputs = function(*jax.tree.map(lambda leaf: leaf[0], arguments))
        return jax.tree.map(lambda leaf: leaf[None], outputs)

    compiled = jax.jit(run, donate_argnums=donate)

    def call(*arguments):
        with jax.default_device(device):
            return compiled(*arguments)

    return call


def _several_on_each(function: Callable, devices: Sequence[jax.Device], donate: tuple[int, ...]) -> Callable:
    """Several seeds on each device, vmapped there; leaves stay [P] and in place."""
    seeds = PartitionSpec('seed')
    mapped = jax.shard_map(jax.vmap(function), mesh=Mesh(np.array(devices), ('seed',)), in_specs=seeds,
                           out_specs=seeds, check_vma=False)
    return jax.jit(mapped, donate_argnums=donate)


def over_seeds(steps: Steps, devices: Sequence[jax.Device], seeds: int | None = None) -> Steps:
    """Compiles the steps for several seeds.

    `random`, `act` and `evaluate` take keys, beliefs and observations with [P, E] in front; `add` takes episodes with
    [P, E]; everything else has [P]. `learn` and `add` donate the state. One seed on each device is the unbatched
    program, so it equals a single run bit for bit on a CPU; more on a device are vmapped, equal to rounding only.

    Args:
        steps: without batch axes.
        devices: to run on.
        seeds: P, a multiple of the number of devices; none: one on each.

    Raises:
        ValueError: there is no device, or the seeds cannot be spread over them evenly.
    """
    seeds = len(devices) if seeds is None else seeds
    if not devices:
        raise ValueError('There is no device to run on.')
    if seeds < 1 or seeds % len(devices):
        raise ValueError(f'{seeds} seeds cannot be spread over {len(devices)} devices evenly: the number must be a '
                         f'multiple of {len(devices)}.')

    def compiled(function, donate=()):
        if seeds > len(devices):
            return _several_on_each(function, devices, donate)
        if len(devices) == 1:
            return _single(function, devices[0], donate)
        return jax.pmap(function, devices=devices, donate_argnums=donate)

    def side_by_side(act):
        return compiled(jax.vmap(act, (None, 0, 0, 0)))

    return Steps(
        init=compiled(steps.init), begin=compiled(steps.begin), random=side_by_side(steps.random),
        act=side_by_side(steps.act), evaluate=side_by_side(steps.evaluate), learn=compiled(steps.learn, (0,)),
        add=compiled(steps.add, (0,)))


def rounds(seeds: Sequence[int], devices: int, seeds_per_device: int) -> Iterator[list[int]]:
    """Splits seeds into groups that run at once: each a multiple of the devices, a remainder below that comes last.

    Args:
        seeds: all of them.
        devices: how many there are.
        seeds_per_device: at most so many on each.
    """
    left = list(seeds)
    while left:
        size = min(seeds_per_device, len(left) // devices) * devices or len(left)
        yield left[:size]
        left = left[size:]
