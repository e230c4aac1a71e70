"""Times one agent step of collection: planning, simulating, rendering, and the rest of the host's loop."""

import time
from dataclasses import dataclass

import jax
import numpy as np
import tyro

from experiments.bench import meter as meters
from experiments.bench import results
from experiments.bench.options import Options, Row
from planet_jax import algorithm, collector, envs, keys, seeds
from planet_jax.cli.values import REGISTRY
from planet_jax.config import preset


@dataclass(frozen=True)
class Collect(Options):
    """Time an agent step of collection."""

    tasks: tuple[str, ...] = ('cartpole_swingup', 'cheetah_run')
    """Task of the episodes."""
    environments: tuple[int, ...] = (1, 2)
    """Number of parallel episodes."""
    steps: int = 11
    """Agent steps of a timed run, without the first one, which begins the episode."""


class Enough(Exception):
    """Ends a collection before the end of its episode."""


def measure(task: str, environments: int, options: Collect, meter: meters.Meter) -> Row:
    """One row: the seconds of a step of all environments together, and their parts."""
    config = preset(options.size)
    spec = envs.spec(task, config.env)
    steps = seeds.over_seeds(
        algorithm.make_steps(config, spec, slots=1, updates_per_call=1), jax.devices()[:1])
    vector = envs.make_vector([task] * environments, config.env)
    # Only parameters are needed of the state.
    params = steps.init(keys.root(0)[None]).learner.params
    spent = {'plan': 0.0, 'simulate_and_render': 0.0}

    def timed(part, function):
        def call(*arguments):
            begun = time.perf_counter()
            result = jax.block_until_ready(function(*arguments))
            spent[part] += time.perf_counter() - begun
            return result
        return call

    act, vector.step = timed('plan', steps.act), timed('simulate_and_render', vector.step)
    counted, readings, parts, first = min(options.steps, spec.steps) - 1, [], {name: [] for name in spent}, None
    for repeat in range(1 + options.repeats):  # The first one compiles.
        begun, done = 0.0, 0

        def report(step):
            nonlocal begun, done
            if step == 1:
                begun = time.perf_counter()
                spent.update(dict.fromkeys(spent, 0.0))
            done = step
            if step > counted:
                raise Enough

        if repeat == 1:
            first = len(meter.products)
        meter.yardsticks()
        try:
            collector.collect(act, steps.begin, vector, params, jax.random.split(keys.root(repeat), (1, environments)),
                              report)
        except Enough:
            pass
        if repeat:
            readings.append((time.perf_counter() - begun) / counted)
            for name, seconds in spent.items():
                parts[name].append(seconds / counted)
    meter.yardsticks()
    vector.close()
    row = meter.timing(readings, first)
    parts['rest'] = [whole - sum(shares) for whole, *shares in zip(readings, *parts.values(), strict=True)]
    return {**row, **{f'{name}_seconds': float(np.median(values)) for name, values in parts.items()},
            'agent_steps_per_second': environments / row['seconds'], 'steps': done}


def main(options: Collect) -> None:
    """Measures and reports."""
    if options.steps < 2:
        raise SystemExit(f'steps is {options.steps}, but must be at least 2, for the first one is not counted.')
    meter, rows = meters.Meter(options.size), []
    for task in options.tasks:
        of_task = [{'row': f'{task}, {n} side by side', **measure(task, n, options, meter)}
                   for n in options.environments]
        rows += meters.relative(of_task, of_task[0])
    results.finish('collect', options, meter, rows)


if __name__ == '__main__':
    main(tyro.cli(Collect, registry=REGISTRY))
