"""Many runs on this machine, each in the folder of a single training."""

import dataclasses
import gc
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from planet_jax import seeds
from planet_jax.runs.devices import available_devices
from planet_jax.runs.options import Options
from planet_jax.runs.run import Run
from planet_jax.runs.training.process import Training
from planet_jax.runs.training.reporter import Reporter
from planet_jax.storage.files import read_lines
from planet_jax.storage.run_files import mean_scores, newest_progress, read_config
from planet_jax.storage.settled import settle

Member = tuple[Run, Path]
"""A run and its folder."""


class Result(NamedTuple):
    """Progress and scores of a run.

    Attributes:
        directory: of the run, TASK/METHOD/SEED at its end.
        episodes: of each task, in the data.
        updates: done.
        scores: mean return of each evaluation, in order.
    """

    directory: Path
    episodes: int
    updates: int
    scores: list[float]


def make_members(options: Options, tasks: Sequence[str], numbers: Sequence[int]) -> list[Member]:
    """Every run of a sweep with its folder, after a check that no folder belongs to another run.

    Args:
        options: of all runs.
        tasks: each has an agent of its own.
        numbers: the seeds.

    Raises:
        FolderError: the folder of a run belongs to a run with other settings.
    """
    members = [options.member(task, seed) for task in tasks for seed in numbers]
    for run, directory in members:
        settle(directory, run.identity, options.resume)  # It touches no device: a cluster's driver needs none.
    return members


def train(members: Sequence[Member], options: Options, reporter: Reporter, seeds_per_device: int | None = None) -> int:
    """Trains on this machine's devices. Seeds with equal progress train together, a remainder last.

    Args:
        members: see `make_members`.
        options: of all runs; the time limit is that of the sweep.
        reporter: is told of every event.
        seeds_per_device: seeds that one device computes together; by default 1 on a CPU and all elsewhere.

    Returns:
        the exit status: 0 if all runs have their episodes or the time limit is reached, else that of a signal.
    """
    devices = available_devices()
    on_each = seeds_per_device or (1 if devices[0].platform == 'cpu' else len({run.seed for run, _ in members}))
    begun, status = time.monotonic(), 0
    by_task = [[member for member in members if member[0].task == task] for task in
               dict.fromkeys(run.task for run, _ in members)]
    for group in (group for of_task in by_task for group in _groups(of_task, len(devices), on_each)):
        minutes = None
        if options.time_limit is not None:
            minutes = max(options.time_limit - (time.monotonic() - begun) / 60, 1e-3)
        status, stopped = _train_group(group, dataclasses.replace(options, time_limit=minutes), reporter,
                                       devices[:len(group)])
        if stopped:
            break
    return status


def results(directories: Sequence[Path]) -> list[Result]:
    """Progress and scores of each run that has begun."""
    found = []
    for directory in directories:
        if metrics := read_lines(directory / 'metrics.jsonl'):
            tasks = len(read_config(directory, trust_task=True)['action_repeat'])
            found.append(Result(directory, metrics[-1]['episodes'], metrics[-1]['updates'],
                                [score for _, score in mean_scores(directory, tasks)]))
    return found


def _train_group(group: Sequence[Member], options: Options, reporter: Reporter, devices: Sequence[jax.Device],
                 ) -> tuple[int, bool]:
    """Trains one round and frees its arrays; returns the exit status, and whether it was stopped."""
    with reporter.starting():
        training = Training(group, options, reporter, devices)
    status = training.main()
    stopped = training.stop.reason is not None
    del training
    gc.collect()  # Its parts refer to each other, so their memory would stay while the next round fills up.
    return status, stopped


def _groups(members: Sequence[Member], devices: int, on_each: int) -> list[list[Member]]:
    """Groups of runs that train together: with equal progress, and as many as the devices take."""
    by_progress: dict[tuple[int, int], list[int]] = {}
    for index, (_, directory) in enumerate(members):
        by_progress.setdefault(newest_progress(directory), []).append(index)
    return [[members[index] for index in group]
            for indices in by_progress.values() for group in seeds.rounds(indices, devices, on_each)]
