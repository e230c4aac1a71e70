"""Trains the seeds of the shipped curves again, and compares the scores.

    make reproduce TASK=cartpole_swingup
    make reproduce TASK=cartpole_swingup ARGS=--smoke

Settings, seeds and episodes are those of the shipped runs. At each evaluation the median over the seeds stands beside
the shipped one. The last must reach the floor: as far above the uniform policy as `FLOOR` times the shipped median is.
Runs that are complete are used, others continued. The status is 1 under the floor. `--smoke` does all of it at debug
size in two minutes, in a temporary folder; its scores mean nothing, so its floor is that there are scores.
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from experiments import runs
from planet_jax import config
from planet_jax.cli.values import REGISTRY
from planet_jax.scores import shipped, statistics
from planet_jax.scores.numbers import significant

FLOOR = 0.6
"""Required share of the shipped median's distance from the uniform policy, since seeds and machines differ."""


@dataclass(frozen=True)
class Command:
    """Train the seeds of the shipped curves again, and compare the scores."""

    task: str
    """A task with shipped curves."""
    preset: str = 'cpu'
    """Preset of the curves."""
    logdir: Path = Path('logs')
    """Parent of the run folders, LOGDIR/TASK/reproduce-PRESET/SEED."""
    time_limit: float | None = None
    """Minutes after which to stop; the same command continues."""
    smoke: bool = False
    """Run everything at debug size, as a test."""


def table(new: Mapping[int, Mapping[int, float]], old: Mapping[int, Mapping[int, float]]) -> str:
    """Median and range of the new and the shipped scores at each number of episodes, as Markdown."""
    lines = ['| episodes | shipped | reproduced |', '|---:|---:|---:|']
    for place in sorted({place for curves in (new, old) for curve in curves.values() for place in curve}):
        cells = []
        for curves in (old, new):
            values = [curve[place] for curve in curves.values() if place in curve]
            cells.append(f'{significant(np.median(values))} ({significant(min(values))} to {significant(max(values))}, '
                         f'{len(values)} seeds)' if values else '')
        lines.append(f'| {place} | {cells[0]} | {cells[1]} |')
    return '\n'.join(lines)


def options(task: str, preset: str) -> tuple[str, ...]:
    """The options of a training that give the settings of the shipped runs, where today's preset has others."""
    found = config.differences(shipped.settings()[task, preset], config.preset(preset).resolve(task))
    # The replay of a run depends on its machine.
    return tuple(word for name, (value, _) in found.items() if not name.startswith('replay.')
                 for word in (f'--{name.replace("_", "-")}', *map(str, value if isinstance(value, list) else [value])))


def reproduce(command: Command, logdir: Path) -> int:
    """Trains and compares; returns the exit status.

    Raises:
        ValueError: no curve of this task is shipped.
    """
    found = shipped.curves(command.task, command.preset)
    if not found:
        known = sorted({f'{row.task} ({row.preset})' for row in shipped.evaluations()})
        raise ValueError(f'There is no shipped curve of {command.task} with preset {command.preset}: there are '
                         f'{", ".join(known) or "none yet"}.')
    old = {seed: {row.episodes: row.mean for row in rows} for seed, rows in found.items()}
    size = 'debug' if command.smoke else command.preset
    episodes = config.PRESET_EPISODES['debug'] if command.smoke else min(max(curve) for curve in old.values())
    # Method folders are reproduce-PRESET.
    method = runs.Method('PlaNet, again', 'reproduce', () if command.smoke else options(command.task, command.preset))
    sweep = runs.Sweep(method, (command.task,), runs.Options(
        size, (command.task,), seeds=','.join(map(str, old)), episodes=episodes, logdir=logdir,
        time_limit=command.time_limit))
    if status := runs.run_missing([sweep]):
        return status
    scores = sweep.read()
    new = {entry.seed: {found.episodes: float(np.mean(found.returns)) for found in entry.trained} for entry in scores}
    print(f'\n{command.task}, preset {size}, seeds {", ".join(map(str, old))}\n\n{table(new, old)}\n')
    if sweep.missing():
        print(f'Not every seed has {episodes} episodes yet: give the same command again.', file=sys.stderr)
        return 1
    if command.smoke:
        print('Everything works; scores of this size mean nothing.')
        return 0
    wanted, reached = (np.median([curve[episodes] for curve in curves.values()]) for curves in (old, new))
    uniform = statistics.baseline(scores, 'uniform')
    floor = uniform + FLOOR * (wanted - uniform)
    print(f'The median after {episodes} episodes is {significant(reached)}, the shipped one {significant(wanted)}, the '
          f'floor {significant(floor)}: {"reproduced" if reached >= floor else "NOT reproduced"}.')
    return 0 if reached >= floor else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Reproduces; returns the exit status."""
    command = tyro.cli(Command, args=arguments, prog='python -m experiments.reproduce', description=__doc__,
                       config=(tyro.conf.FlagCreatePairsOff,), registry=REGISTRY)
    try:
        if not command.smoke:
            return reproduce(command, command.logdir)
        with tempfile.TemporaryDirectory() as folder:
            return reproduce(command, Path(folder))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == '__main__':
    sys.exit(main())
