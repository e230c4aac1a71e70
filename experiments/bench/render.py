"""Times a frame of a task's camera, in the suite's quality and in 'fast', and a step of the simulation."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import tyro

from experiments.bench import results
from experiments.bench.meter import Meter
from experiments.bench.options import Options, Row
from planet_jax import envs
from planet_jax.cli.values import REGISTRY
from planet_jax.config import preset
from planet_jax.envs.suite import rendering


@dataclass(frozen=True)
class Render(Options):
    """Time a frame."""

    tasks: tuple[str, ...] = ('cartpole_swingup', 'reacher_easy', 'cheetah_run', 'finger_spin', 'cup_catch',
                              'walker_walk')
    """Tasks of dm_control's suite."""


def measure(name: str, options: Render, meter: Meter) -> list[Row]:
    """A row for each quality, and one for an environment step."""
    task, rows = envs.resolve(name), []
    for quality in ('suite', 'fast'):
        settings = dataclasses.replace(preset(options.size).env, quality=quality)
        suite, _ = rendering.library()
        env = suite.load(task.domain, task.task, task_kwargs={'random': 0})
        env.reset()
        camera = rendering.open_camera(name, env.physics, settings)
        rows.append({'row': f'{name}, {quality}', **meter.time(
            lambda camera=camera, settings=settings: rendering.average(camera.render(), settings.supersample),
            options.repeats)})
        if quality == 'fast':
            action = np.zeros(env.action_spec().shape)
            rows.append({'row': f'{name}, an environment step', **meter.time(
                lambda env=env, action=action: env.step(action).reward, options.repeats)})
        env.physics.free()
    return [{**row, 'milliseconds': 1000 * row['seconds']} for row in rows]


def main(options: Render) -> None:
    """Measures and reports."""
    meter = Meter(options.size)
    results.finish('render', options, meter, [row for task in options.tasks for row in measure(task, options, meter)])


if __name__ == '__main__':
    main(tyro.cli(Render, registry=REGISTRY))
