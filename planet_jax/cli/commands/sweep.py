"""`planet-jax sweep`: many runs, each in the folder that `train` would give it."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.table import Table

from planet_jax.cli.options import TrainingOptions
from planet_jax.runs.options import parse_seeds

if TYPE_CHECKING:
    from planet_jax.runs.run import Run

NOT_OF_A_RUN = ('seeds', 'seeds-per-device', 'launcher', 'preset', 'logdir', 'resume')
"""Options of a sweep that its runs do not take over."""


@dataclass(frozen=True, kw_only=True)
class Sweep(TrainingOptions):
    """Train on several tasks and seeds, each run in its own folder."""

    task: tuple[str, ...]
    """One or more tasks, each with an agent of its own; `train` says how one agent learns several."""
    seeds: str = '0:5'
    """A range, where 0:5 means 0 to 4, or a list such as 0,3,7."""
    seeds_per_device: int | None = None
    """Seeds that one device computes together; by default 1 on a CPU and all elsewhere. One on each device gives what
    `train` gives, bit for bit; more are equal to rounding only."""
    launcher: Literal['local', 'ray'] = 'local'
    """On this machine, or as tasks of a Ray cluster, each with an accelerator of its own where the cluster has any."""

    def __post_init__(self):
        super().__post_init__()
        parse_seeds(self.seeds)
        if self.task == ():
            raise ValueError('No task is given: name at least one behind --task.')
        if self.seeds_per_device is not None and self.seeds_per_device < 1:
            raise ValueError(f'seeds_per_device is {self.seeds_per_device}, but must be at least 1: the nearest valid '
                             f'value is 1.')

    @property
    def seed_numbers(self) -> list[int]:
        """The seeds, one by one."""
        return parse_seeds(self.seeds)


def run(command: Sweep, arguments: Sequence[str], console: Console) -> int:
    """Trains every run, then prints a table.

    Args:
        command: the options.
        arguments: as typed; runs on a cluster take over those that they share.
        console: where progress and the table are printed.

    Returns:
        the exit status; on a cluster that of the first run that failed, or 0.

    Raises:
        FolderError: the folder of a run belongs to a run with other settings. Nothing has been trained then.
    """
    from planet_jax.sweeps import here

    command.apply_debugging()
    members = here.make_members(command, command.task, command.seed_numbers)
    if command.launcher == 'ray':
        status = _on_ray(command, members, arguments, console)
    else:
        from planet_jax.cli.reporter import Terminal
        status = here.train(members, command, Terminal(console), command.seeds_per_device)
    summarise([directory for _, directory in members], console)
    return status


def _on_ray(command: Sweep, members: Sequence[tuple['Run', Path]], arguments: Sequence[str], console: Console) -> int:
    """Trains each run as a task of a Ray cluster that shares LOGDIR; returns the status of the first that failed."""
    from planet_jax.sweeps import on_ray

    logdir = command.logdir.absolute()  # A worker of the cluster has a working folder of its own.
    jobs = [on_ray.Job(
        directory.absolute(), ['train', '--task', run.task, '--seed', str(run.seed), '--preset', command.preset,
                               '--logdir', str(logdir), *arguments_of_a_run(arguments)], command.total_episodes)
            for run, directory in members]
    statuses = on_ray.launch(
        jobs, say=lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True))
    return next((status for status in statuses if status), 0)


def arguments_of_a_run(arguments: Sequence[str]) -> list[str]:
    """The part of a sweep's command line that each of its runs takes over as it was typed.

    `--resume` is left out: the sweep checks it once, and a run that is started again must continue.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('--task', nargs='+')
    for name in NOT_OF_A_RUN:
        # Dashes may be typed as underscores.
        parser.add_argument(*dict.fromkeys((f'--{name}', f'--{name.replace("-", "_")}')))
    return parser.parse_known_args(arguments)[1]


def summarise(directories: Sequence[Path], console: Console) -> None:
    """Prints a table with a row for each run that has begun."""
    import numpy as np

    from planet_jax.scores.numbers import significant
    from planet_jax.sweeps import here

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
