"""Times an update by precision, and by the place of the replay.

What an accelerator gains by numbers of fewer bits, and what it loses by a replay in the host's memory.
"""

import dataclasses
from dataclasses import dataclass

import jax
import numpy as np
import tyro

from experiments.bench import meter as meters
from experiments.bench import results
from experiments.bench.options import Options, Row
from experiments.bench.update import spec_of
from planet_jax import algorithm, keys
from planet_jax.cli.values import REGISTRY
from planet_jax.config import Config, preset
from planet_jax.seeds import over_seeds
from planet_jax.types import Trajectory


@dataclass(frozen=True)
class Variants(Options):
    """Time an update by precision and by the place of the replay."""

    repeats: int = 3
    """Timed runs of each row."""
    precisions: tuple[str, ...] = ('float32', 'tensorfloat32', 'bfloat16')
    """Values of model.precision besides the device's default."""
    updates: int = 0
    """Updates in a call; 0 means 1 on a CPU and 10 elsewhere, as in a run."""


def measure(config: Config, placement: str, options: Variants, meter: meters.Meter) -> Row:
    """Seconds of an update by the steps of a run, chunks that come from the host's memory included."""
    spec = spec_of(config)
    updates = options.updates or (1 if jax.default_backend() == 'cpu' else 10)
    steps = over_seeds(algorithm.make_steps(config, spec, slots=4, updates_per_call=updates), jax.devices()[:1],
                       placement=placement)
    state = steps.init(keys.root(0)[None])
    rng = np.random.default_rng(0)
    rows = 1, 1, spec.steps + 1
    for _ in range(4):
        state = steps.add(state, Trajectory(
            rng.integers(0, 256, (*rows, *spec.observation_shape), np.uint8),
            rng.uniform(-1, 1, (*rows, spec.action_size)).astype(np.float32),
            rng.random(rows, np.float32), np.full((1, 1), rows[2], np.int32)))

    def call():
        nonlocal state
        state, metrics = steps.learn(state)
        return metrics

    row = meter.time(call, options.repeats, updates)
    return {**row, 'image_loss': float(np.mean(call()['image_loss']))}


def main(options: Variants) -> None:
    """Measures and reports."""
    config, meter = preset(options.size).resolve(), meters.Meter(options.size)
    rows = []
    for precision, placement in (('default', 'device'), ('default', 'host'),
                                 *((precision, 'device') for precision in options.precisions)):
        changed = dataclasses.replace(config, model=dataclasses.replace(config.model, precision=precision))
        rows.append({'row': f'{precision}, replay on the {placement}', **measure(changed, placement, options, meter)})
    results.finish('variants', options, meter, meters.relative(rows, rows[0]))


if __name__ == '__main__':
    main(tyro.cli(Variants, registry=REGISTRY))
