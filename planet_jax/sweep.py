"""Seeds over devices: the same steps with [P] in front. The only file that knows of devices."""

from collections.abc import Callable, Sequence

import jax

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


def over_seeds(steps: Steps, devices: Sequence[jax.Device]) -> Steps:
    """Compiles the steps for as many seeds as devices, one on each.

    `random`, `act` and `evaluate` take keys, beliefs and observations with [P, E] in front; `add` takes episodes with
    [P, E] and adds them in order; everything else has [P]. `learn` and `add` donate the state.

    Args:
        steps: without batch axes.
        devices: P of them.

    Raises:
        ValueError: there is no device.
    """
    if not devices:
        raise ValueError('There is no device to run on.')

    def compiled(function, donate=()):
        if len(devices) == 1:
            return _single(function, devices[0], donate)
        return jax.pmap(function, devices=devices, donate_argnums=donate)

    def side_by_side(act):
        return compiled(jax.vmap(act, (None, 0, 0, 0)))

    def add_all(state, episodes):
        return jax.lax.scan(lambda state, episode: (steps.add(state, episode), None), state, episodes)[0]

    return Steps(
        init=compiled(steps.init), begin=compiled(steps.begin), random=side_by_side(steps.random),
        act=side_by_side(steps.act), evaluate=side_by_side(steps.evaluate), learn=compiled(steps.learn, (0,)),
        add=compiled(add_all, (0,)))
