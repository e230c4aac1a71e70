"""`planet-jax sweep`: many runs, each in the folder that `train` would give it."""

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from planet_jax import seeds
from planet_jax.runs.run import Run, available_devices
from planet_jax.runs.trainer import Training
from planet_jax.scores.numbers import significant
from planet_jax.storage.files import read_lines
from planet_jax.storage.run_folder import mean_scores, newest_progress, read_config, settle

if TYPE_CHECKING:
    from planet_jax.cli.main import Sweep


def here(command: 'Sweep', console: Console) -> int:
    """Trains on this machine's devices: seeds that are equally far together, a remainder last.

    Args:
        command: the parsed command line.
        console: for a person.

    Returns:
        the exit status: 0 if all runs have their episodes or the time limit is reached, else that of a signal.

    Raises:
        FolderError: the folder of any run belongs to a run with other settings; nothing was trained then.
    """
    devices = available_devices()
    on_each = command.seeds_per_device or (1 if devices[0].platform == 'cpu' else len(command.seed_numbers))
    members = _members(command)
    begun, status = time.monotonic(), 0
    by_task = [[member for member in members if member[0].task == task] for task in
               dict.fromkeys(run.task for run, _ in members)]
    for group in (group for of_task in by_task for group in _groups(of_task, len(devices), on_each)):
        minutes = None
        if command.time_limit is not None:
            minutes = max(command.time_limit - (time.monotonic() - begun) / 60, 1e-3)
        used = devices[:len(group)]
        with console.status('starting the simulator and compiling'):
            training = Training(group, dataclasses.replace(command, time_limit=minutes), console, used)
        status = training.main()
        if training.stop.reason:
            break
    summarise([directory for _, directory in members], console)
    return status


def on_ray(command: 'Sweep', arguments: Sequence[str], console: Console) -> int:
    """Trains each run as a task of a Ray cluster that shares LOGDIR.

    Args:
        command: the parsed command line.
        arguments: the same, as typed.
        console: for a person.

    Returns:
        the exit status: that of the first run which did not end well, else 0.
    """
    from planet_jax.sweeps import on_ray as ray_launcher

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('--task', nargs='+')
    # Whether there may be a run is settled here, once: a run that is started again goes on with what it left.
    for name in ('seeds', 'seeds-per-device', 'launcher', 'preset', 'logdir', 'resume'):
        parser.add_argument(f'--{name}')
    others = parser.parse_known_args(arguments)[1]
    logdir = command.logdir.absolute()  # A worker of the cluster has a working folder of its own.
    members = _members(command)
    jobs = [ray_launcher.Job(
        directory.absolute(), ['train', '--task', run.task, '--seed', str(run.seed), '--preset', command.preset,
                               '--logdir', str(logdir), *others], command.total_episodes)
            for run, directory in members]
    statuses = ray_launcher.launch(
        jobs, say=lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True))
    summarise([directory for _, directory in members], console)
    return next((status for status in statuses if status), 0)


def _members(command: 'Sweep') -> list[tuple[Run, Path]]:
    """Every run and its folder, once it is sure that none belongs to another run."""
    members = [command.member(task, seed) for task in command.task for seed in command.seed_numbers]
    for run, directory in members:
        settle(directory, run.identity, command.resume)  # A cluster's driver leaves the devices to the runs.
    return members


def summarise(directories: Sequence[Path], console: Console) -> None:
    """A table with a row for each run that has begun."""
    table = Table('task', 'method', 'seed', 'episodes', 'updates', 'last score', 'best score')
    last = {}
    for directory in directories:
        metrics = read_lines(directory / 'metrics.jsonl')
        if metrics:
            tasks = len(read_config(directory, trust_task=True)['action_repeat'])
            found = [score for _, score in mean_scores(directory, tasks)]
            told = [significant(found[-1]), significant(max(found))] if found else ['none yet'] * 2
            table.add_row(*directory.parts[-3:], str(metrics[-1]['episodes']), str(metrics[-1]['updates']), *told)
            if found:
                last.setdefault(directory.parent, []).append(found[-1])
    console.print(table)
    for method, values in last.items():
        mean, least, most = map(significant, (np.mean(values), min(values), max(values)))
        console.print(f'{method}: mean of the last scores {mean} over {len(values)} seeds, from {least} to {most}',
                      highlight=False, markup=False, soft_wrap=True)


def _groups(members: Sequence[tuple[Run, Path]], devices: int, on_each: int) -> list[list[tuple[Run, Path]]]:
    """Runs that are trained together: equally far, as many as fit the devices."""
    by_progress: dict[tuple[int, int], list[int]] = {}
    for index, (_, directory) in enumerate(members):
        by_progress.setdefault(newest_progress(directory), []).append(index)
    return [[members[index] for index in group]
            for indices in by_progress.values() for group in seeds.rounds(indices, devices, on_each)]
