"""`planet-jax sweep`: many runs, each in the folder that `train` would give it."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from planet_jax.cli.reporter import Terminal
from planet_jax.scores.numbers import significant
from planet_jax.sweeps import here, on_ray

if TYPE_CHECKING:
    from planet_jax.runs.options import Options

NOT_OF_A_RUN = ('seeds', 'seeds-per-device', 'launcher', 'preset', 'logdir', 'resume')
"""Options that a single run of the sweep is not given as they were typed."""


def sweep(options: 'Options', tasks: Sequence[str], numbers: Sequence[int], seeds_per_device: int | None,
          console: Console) -> int:
    """Trains on this machine's devices.

    Args:
        options: of all runs.
        tasks: an agent for each.
        numbers: the seeds.
        seeds_per_device: see `sweeps.here.train`.
        console: for a person.

    Returns:
        the exit status, see `sweeps.here.train`.

    Raises:
        FolderError: the folder of any run belongs to a run with other settings; nothing was trained then.
    """
    members = here.make_members(options, tasks, numbers)
    status = here.train(members, options, Terminal(console), seeds_per_device)
    summarise([directory for _, directory in members], console)
    return status


def sweep_on_ray(options: 'Options', tasks: Sequence[str], numbers: Sequence[int], arguments: Sequence[str],
                 console: Console) -> int:
    """Trains each run as a task of a Ray cluster that shares LOGDIR.

    Args:
        options: of all runs.
        tasks: an agent for each.
        numbers: the seeds.
        arguments: of the command, as typed.
        console: for a person.

    Returns:
        the exit status: that of the first run which did not end well, else 0.

    Raises:
        FolderError: see `sweep`.
    """
    logdir = options.logdir.absolute()  # A worker of the cluster has a working folder of its own.
    members = here.make_members(options, tasks, numbers)
    jobs = [on_ray.Job(
        directory.absolute(), ['train', '--task', run.task, '--seed', str(run.seed), '--preset', options.preset,
                               '--logdir', str(logdir), *arguments_of_a_run(arguments)], options.total_episodes)
            for run, directory in members]
    statuses = on_ray.launch(
        jobs, say=lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True))
    summarise([directory for _, directory in members], console)
    return next((status for status in statuses if status), 0)


def arguments_of_a_run(arguments: Sequence[str]) -> list[str]:
    """What of a sweep's command line each of its runs is given as it was typed.

    Whether there may be a run is settled before, once: a run that is started again goes on with what it left.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('--task', nargs='+')
    for name in NOT_OF_A_RUN:
        # Dashes may be typed as underscores.
        parser.add_argument(*dict.fromkeys((f'--{name}', f'--{name.replace("-", "_")}')))
    return parser.parse_known_args(arguments)[1]


def summarise(directories: Sequence[Path], console: Console) -> None:
    """A table with a row for each run that has begun."""
    table = Table('task', 'method', 'seed', 'episodes', 'updates', 'last score', 'best score')
    last = {}
    for result in here.results(directories):
        told = [significant(result.scores[-1]), significant(max(result.scores))] if result.scores else ['none yet'] * 2
        table.add_row(*result.directory.parts[-3:], str(result.episodes), str(result.updates), *told)
        if result.scores:
            last.setdefault(result.directory.parent, []).append(result.scores[-1])
    console.print(table)
    for method, values in last.items():
        mean, least, most = map(significant, (np.mean(values), min(values), max(values)))
        console.print(f'{method}: mean of the last scores {mean} over {len(values)} seeds, from {least} to {most}',
                      highlight=False, markup=False, soft_wrap=True)
