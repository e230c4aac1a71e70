"""Trains the seeds of the shipped curves again, and compares.

    make reproduce TASK=cartpole_swingup
    python -m experiments.reproduce --task cartpole_swingup --smoke

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
from planet_jax.config import PRESET_EPISODES
from planet_jax.scores import reading, shipped
from planet_jax.scores.numbers import significant
from planet_jax.storage.run_folder import run_directory

FLOOR = 0.6
"""Share of the shipped median's distance from the uniform policy; seeds, and even machines, differ."""


@dataclass(frozen=True)
class Command:
    """Train the seeds of the shipped curves again, and compare."""

    task: str
    """Of those that have shipped curves."""
    preset: str = 'cpu'
    """Of the curves."""
    logdir: Path = Path('logs')
    """Run folders are LOGDIR/TASK/reproduce-PRESET/SEED."""
    time_limit: float | None = None
    """Minutes for each seed; the same command goes on."""
    smoke: bool = False
    """All of it at debug size, to see that it works."""


def medians(curves: Mapping[int, Mapping[int, float]]) -> dict[int, float]:
    """Over the seeds, at each place that all of them have.

    Args:
        curves: seed to episodes to mean return.
    """
    places = set.intersection(*(set(curve) for curve in curves.values())) if curves else set()
    return {place: float(np.median([curve[place] for curve in curves.values()])) for place in sorted(places)}


def table(new: Mapping[int, Mapping[int, float]], old: Mapping[int, Mapping[int, float]]) -> str:
    """Median and range of both at each number of episodes, as Markdown."""
    lines = ['| episodes | shipped | reproduced |', '|---:|---:|---:|']
    for place in sorted({place for curves in (new, old) for curve in curves.values() for place in curve}):
        cells = []
        for curves in (old, new):
            values = [curve[place] for curve in curves.values() if place in curve]
            cells.append(f'{significant(np.median(values))} ({significant(min(values))} to {significant(max(values))}, '
                         f'{len(values)} seeds)' if values else '')
        lines.append(f'| {place} | {cells[0]} | {cells[1]} |')
    return '\n'.join(lines)


def read(directories: Sequence[Path]) -> tuple[dict[int, dict[int, float]], float]:
    """The curves of run folders, seed to episodes to mean return, and what the uniform policy scores."""
    curves, uniform = {}, []
    for directory in directories:
        for scores in reading.read_run(directory):
            curves[scores.seed] = {entry.episodes: float(np.mean(entry.returns)) for entry in scores.trained}
            uniform += [np.mean(entry.returns) for entry in scores.evaluations if entry.agent == 'uniform']
    return curves, float(np.mean(uniform))


def reproduce(command: Command, logdir: Path) -> int:
    """Trains and compares; returns the exit status.

    Raises:
        ValueError: no curve of this task is shipped.
    """
    found = shipped.curves(command.task, command.preset)
    if not found:
        known = sorted({(row.task, row.preset) for row in shipped.evaluations()})
        raise ValueError(f'There is no shipped curve of {command.task} with preset {command.preset}: there are '
                         f'{", ".join(f"{task} ({preset})" for task, preset in known) or "none"}.')
    old = {seed: {row.episodes: row.mean for row in rows} for seed, rows in found.items()}
    preset = 'debug' if command.smoke else command.preset
    episodes = PRESET_EPISODES['debug'] if command.smoke else min(max(curve) for curve in old.values())
    directories = []
    for seed in old:
        directories.append(run_directory(logdir, command.task, f'reproduce-{preset}', seed))
        limit = [] if command.time_limit is None else ['--time-limit', str(command.time_limit)]
        status = runs.run([sys.executable, '-m', 'planet_jax', 'train', '--task', command.task, '--preset', preset,
                           '--seed', str(seed), '--episodes', str(episodes), '--method', f'reproduce-{preset}',
                           '--logdir', str(logdir), *limit])
        if status:
            print(f'The training of seed {seed} ended with status {status}. The same command goes on from here.',
                  file=sys.stderr)
            return status
    new, uniform = read(directories)
    print(f'\n{command.task}, preset {preset}, seeds {", ".join(map(str, old))}\n\n{table(new, old)}\n')
    ours = medians(new)
    if episodes not in ours:
        print(f'There are not {episodes} episodes of each seed yet: the same command goes on.', file=sys.stderr)
        return 1
    if command.smoke:
        print('All of it works; scores of this size mean nothing.')
        return 0
    wanted = medians(old)[episodes]
    floor = uniform + FLOOR * (wanted - uniform)
    reached = ours[episodes] >= floor
    print(f'The median after {episodes} episodes is {significant(ours[episodes])}, the shipped one '
          f'{significant(wanted)}, the floor {significant(floor)}: {"reproduced" if reached else "NOT reproduced"}.')
    return 0 if reached else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Reproduces; returns the exit status."""
    command = tyro.cli(Command, args=arguments, prog='python -m experiments.reproduce', description=__doc__,
                       config=(tyro.conf.FlagCreatePairsOff,))
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
