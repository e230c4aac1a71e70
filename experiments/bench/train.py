"""The cost of a whole run, extrapolated from the phases of a short run of the real command.

The short run has the preset's sizes but few episodes, 30 updates before each, and one evaluation of few episodes. What
was compiled is told apart from all phases; writing episodes and checkpoints does not count.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from experiments.bench import results
from experiments.bench.meter import Meter
from experiments.bench.options import Options, Row
from planet_jax import envs
from planet_jax.cli.values import REGISTRY
from planet_jax.config import preset

EPISODES = 1000
"""Episodes of the extrapolated run."""
UPDATES = 30
"""Updates between two episodes of the short run."""


@dataclass(frozen=True)
class Train(Options):
    """Time the phases of a short run, and extrapolate the cost of a whole one."""

    size: Literal['planet', 'cpu', 'debug'] = 'cpu'
    """Preset that is measured."""
    repeats: int = 1
    """Collected episodes of each task."""
    tasks: tuple[str, ...] = ('cartpole_swingup', 'reacher_easy', 'cheetah_run', 'finger_spin', 'cup_catch',
                              'walker_walk')
    """Tasks, each trained alone."""


def short_run(task: str, size: str, seeds: int, planned: int, evaluated: int, interval: int,
              environment: dict[str, str]) -> list[dict[str, float]]:
    """Trains, and returns the seconds that every phase took in total, after each episode and at the end.

    Raises:
        RuntimeError: the command failed; the message is what it printed.
    """
    episodes = seeds + planned
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            [sys.executable, '-m', 'planet_jax', 'train', f'--task={task}', f'--preset={size}', f'--logdir={folder}',
             f'--episodes={episodes}', f'--collector.seed-episodes={seeds}', f'--collector.collect-interval={interval}',
             # Once, at the end, and so is the checkpoint, which holds its seconds.
             f'--evaluation.every={EPISODES}', f'--evaluation.episodes={evaluated}', '--checkpoint-minutes=1e6',
             '--sinks', '--collector.while-learning=False'],  # One phase after the other, since each is timed.
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
        if ran.returncode:
            raise RuntimeError(f'The training of {task} failed:\n{ran.stdout}')
        run, = Path(folder).glob('*/*/*')
        lines = [json.loads(line)['seconds'] for line in (run / 'metrics.jsonl').read_text().splitlines()]
        newest = max(run.glob('checkpoints/*/progress.json'))
        return [*lines, json.loads(newest.read_text())['seconds']]


def measure(task: str, options: Train, environment: dict[str, str]) -> Row:
    """One row: the phases of a short run, and the hours of a whole one."""
    config = preset(options.size).resolve(task)
    learning, evaluation = config.collector, config.evaluation
    interval = min(UPDATES, learning.interval(1))
    seeds, evaluated = 2, min(envs.cores(), evaluation.episodes)
    seconds = short_run(task, options.size, seeds, options.repeats, evaluated, interval, environment)
    total = seconds[-1]

    seed = seconds[1]['seed'] - seconds[0]['seed']
    update = seconds[-2]['learn_each']  # Its first call, which is compiled, does not count in it.
    collected, simulated = total['collect'] / options.repeats, total['collect_simulator'] / options.repeats
    evaluated_one = (total['evaluate'] - total.get('evaluate_xla', 0.0)) / evaluated
    planned = EPISODES - learning.seed_episodes
    updates, evaluations = planned * learning.interval(1), evaluation.amount(0, EPISODES)
    hours = [seconds / 3600 for seconds in (updates * update, planned * collected, learning.seed_episodes * seed,
                                            evaluations * evaluation.episodes * evaluated_one)]
    return {
        'hours_extrapolated': sum(hours), 'update_hours': hours[0], 'collect_hours': hours[1] + hours[2],
        'evaluate_hours': hours[3], 'measured_episodes': options.repeats, 'measured_evaluations': evaluated,
        'measured_updates': interval * options.repeats, 'agent_steps': envs.spec(task, config.env).steps,
        'update_seconds': update, 'episode_seconds': collected, 'of_it_simulator': simulated / collected,
        'seed_episode_seconds': seed, 'evaluated_episode_seconds': evaluated_one,
        # The planner, tracing included, and what XLA compiled later.
        'compile_seconds': total['compile'] + sum(
            value for name, value in total.items() if name in ('learn_xla', 'evaluate_xla')),
    }


def main(options: Train) -> None:
    """Measures and reports."""
    environment = dict(os.environ)
    # The yardsticks are to leave an accelerator's memory to the run.
    os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
    meter, rows = Meter(options.size), []
    for task in options.tasks:
        first = len(meter.products)
        meter.yardsticks()
        row = measure(task, options, environment)
        meter.yardsticks()
        rows.append({'row': task, **row, **meter.speeds(first)})
    results.finish('train', options, meter, rows)


if __name__ == '__main__':
    main(tyro.cli(Train, registry=REGISTRY))
