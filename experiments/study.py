"""Measures what a setting is worth to the world model: fixed episodes, some updates, then held-out predictions.

    python -m experiments.study_data --task cartpole_swingup --out logs/study_data
    python -m experiments.study --task cartpole_swingup --arms all --updates 1000 --seeds 2 --out logs/study

No planner and no environment take part, so an arm takes minutes and a difference is the model's. Every arm is preset
`cpu` with settings of its own (`study_arms.ARMS`, or `--arm 'name: group.field=value ...'`). Each row of the table is
an arm on the observations of a task: images (`pixels`), the task's own vectors (`state`), or cartpole's positions
without velocities, hidden while |x| is beyond 1.6 (`hidden`), where the camera does not show the cart. What is measured
is defined in `planet_jax/measures.py`. Results are OUT/TASK/OBSERVATION/ARM/SEED.json, and a row whose files are there
is left alone; OUT/study.md is the table of all of them.
"""

import functools
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

from experiments import study_arms, study_data
from experiments.study_arms import ARMS, BASE, PIXELS_ONLY
from experiments.study_fit import HORIZON, OBSERVATIONS, load, run
from planet_jax import measures
from planet_jax.cli.values import REGISTRY
from planet_jax.machine import prepare_process
from planet_jax.storage import files, names


@dataclass(frozen=True)
class Command:
    """Train the missing arms of a study, and write the table of all results."""

    arms: tuple[str, ...] = ('all',)
    """Names of arms, or `all`."""
    task: tuple[str, ...] = ('cartpole_swingup',)
    """Tasks of the episodes, or `all`."""
    observation: tuple[str, ...] = ('pixels',)
    """Observations: pixels, state or hidden."""
    arm: tuple[str, ...] = ()
    """Further arms, each 'NAME: group.field=value group.field=value ...'."""
    updates: int = 1000
    """Gradient steps."""
    measurements: int = 4
    """Number of measurements, at equal distances; the table shows the mean of the last two."""
    seeds: int = 2
    """Number of seeds, from 0: trained together on an accelerator, one after the other on a CPU."""
    out: Path = Path('logs/study')
    """Folder of the results."""
    data: Path = Path('logs/study_data')
    """Folder of the episodes, from `experiments.study_data`."""
    part: str = '0/1'
    """I/N: only every N-th row, from the I-th on, for N parallel processes."""
    table: bool = False
    """Write OUT/study.md from existing results, without training."""

    def __post_init__(self):
        if not 1 <= self.measurements <= self.updates:
            raise ValueError(f'measurements is {self.measurements}, but must be 1 to the updates, {self.updates}.')
        if self.seeds < 1:
            raise ValueError(f'seeds is {self.seeds}, but must be at least 1: the nearest valid value is 1.')
        number, of = self.parts()
        if not 0 <= number < of:
            raise ValueError(f'part is {self.part!r}, but must be I/N with I from 0 to N - 1.')
        if unknown := set(self.observation) - set(OBSERVATIONS):
            raise ValueError(f'There is no observation {min(unknown)!r}: choose of {", ".join(OBSERVATIONS)}.')
        if unknown := set(self.arms) - {'all'} - set(self.all_arms()):
            raise ValueError(f'There is no arm {min(unknown)!r}: choose of {", ".join(self.all_arms())}, or add one by '
                             f'--arm.')

    def parts(self) -> tuple[int, int]:
        """I and N of `part`."""
        found = re.fullmatch(r'(\d+)/(\d+)', self.part)
        return tuple(map(int, found.groups())) if found else (0, 0)

    def all_arms(self) -> dict[str, tuple[str, ...]]:
        """The built-in arms, and those of the command line."""
        added = dict(entry.partition(':')[::2] for entry in self.arm)
        return ARMS | {name.strip(): tuple(values.split()) for name, values in added.items()}

    def rows(self) -> list[tuple[str, str, str]]:
        """Task, observation and arm of each row that this process trains."""
        tasks = study_data.TASKS if 'all' in self.task else self.task
        names = self.all_arms() if 'all' in self.arms else self.arms
        rows = [(task, seen, name) for task in tasks for seen in self.observation for name in names
                if not (seen == 'hidden' and not task.startswith('cartpole'))
                and not (seen != 'pixels' and name.startswith(PIXELS_ONLY))]
        number, of = self.parts()
        return rows[number::of]


def file_of(out: Path, row: tuple[str, str, str], seed: int) -> Path:
    return out.joinpath(*row, f'{seed}.json')


def missing(command: Command, row: tuple[str, str, str]) -> list[int]:
    """The missing seeds of a row.

    Raises:
        ValueError: an existing seed has other settings or another number of updates.
    """
    wanted = {'updates': command.updates, 'settings': [*BASE, *command.all_arms()[row[2]]]}
    found = []
    for seed in range(command.seeds):
        path = file_of(command.out, row, seed)
        if not path.exists():
            found.append(seed)
            continue
        record = json.loads(path.read_text())
        record['settings'] = [study_arms.renamed(setting) for setting in record['settings']]
        for name, value in wanted.items():
            if record[name] != value:
                raise ValueError(f'{path} was made with {name} {record[name]}, not {value}: name another folder by '
                                 f'--out, or remove it.')
    return found


def write(path: Path, record: dict[str, Any]) -> None:
    """Writes a record, see `files.write_json`."""
    files.write_json(path, record)


COLUMNS = ('arm', 'R2', 'R2, seeds', 'R2, mean rollouts', 'R2, training', 'reward, filter', 'reward, open loop',
           'moving, filter', 'moving, open loop', 'nats', 'under', 'in use', 'ms')


def table(out: Path) -> str:
    """Every result in a folder as Markdown, the best held-out R2 first."""
    rows = {}
    for path in sorted(out.glob('*/*/*/[0-9]*.json')):
        rows.setdefault(path.parts[-4:-1], []).append(names.today(json.loads(path.read_text())))
    lines = ['# What settings are worth to the world model', '', *_LEGEND.split('\n')]
    for task, observation in sorted({row[:2] for row in rows}):
        of_this = {row[2]: records for row, records in rows.items() if row[:2] == (task, observation)}
        every = [record for records in of_this.values() for record in records]
        scores = {name: [_last(record, 'held_out', 'r2') for record in records] for name, records in of_this.items()}
        lines += ['', f'## {task}, {observation}', '', _made(every), '', f'| {" | ".join(COLUMNS)} |',
                  '|---|' + '---:|' * (len(COLUMNS) - 1)]
        for name in sorted(of_this, key=lambda name: -float(np.nan_to_num(np.mean(scores[name]), nan=-9))):
            lines.append('| ' + ' | '.join([f'`{name}`', *_cells(of_this[name])]) + ' |')
        lines.append('| *mean of the data* | 0 | | | | ' + ' | '.join(_baseline(every)) + ' | | | | |')
    return '\n'.join([*lines, ''])


_LEGEND = f"""\
`experiments/study.py` makes this file from its results. R2: of the sum of {HORIZON} rewards predicted open loop, on
held-out episodes, the mean over seeds of the last two measurements; then of each seed; then where rollouts follow the
mean of the prior instead of a sample; then on training episodes. Reward and moving: mean squared errors of an agent
step's reward, and of the entries that differ from the data's mean by more than {measures.MOVING}, filtering and open
loop over {HORIZON} steps, in brackets on training episodes. Nats: KL of a row; under: share of rows below the
free nats; in use: latent dimensions; ms: milliseconds an update of all seeds at once. Definitions:
`planet_jax/measures.py`."""


def _last(record, data, name):
    """The mean of the last two measurements, over the horizon if there is one."""
    return float(np.mean([np.nanmean(point[data][name]) for point in record['curve'][-2:]]))


def _cells(records):
    def over(data, name):
        return float(np.mean([_last(record, data, name) for record in records]))

    def both(name):
        return f'{over("held_out", name):.3g} ({over("training", name):.3g})'

    each = ' '.join(f'{_last(record, "held_out", "r2"):.2f}' for record in records)
    moving = [both('filtering/moving'), both('open_loop/moving')]
    return [f'**{over("held_out", "r2"):.2f}**', each, f'{over("held_out", "r2_mean"):.2f}',
            f'{over("training", "r2"):.2f}', both('filtering/reward'), both('open_loop/reward'), *moving,
            f'{over("held_out", "kl"):.1f}', f'{over("held_out", "under_free_nats"):.2f}',
            f'{over("held_out", "active"):.0f}', f'{np.mean([record["milliseconds"] for record in records]):.3g}']


def _baseline(records):
    return [f'{_last(records[0], "held_out", name):.3g}' for name in (
        'filtering_mean/reward', 'mean/reward', 'filtering_mean/moving', 'mean/moving')]


def _made(records):
    def told(*names):
        return ', '.join(sorted({' '.join(str(record[name]) for name in names) for record in records}))

    data = records[0]['episodes']
    return (f'{data["training"]} training and {data["held_out"]} held-out episodes; updates: {told("updates")}; '
            f'device: {told("device")}; seeds at once: {told("seeds_at_once")}; commit: {told("commit")}.')


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0 if all is well, 2 for an error that the user can fix, 130 after Ctrl-C."""
    prepare_process()
    command = tyro.cli(Command, args=arguments, registry=REGISTRY)
    try:
        if not command.table:
            _train(command)
        files.write_text(command.out / 'study.md', table(command.out))
    except KeyboardInterrupt:
        return 130
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _train(command: Command) -> None:
    at_once = 1 if jax.default_backend() == 'cpu' else command.seeds
    loaded = functools.lru_cache(1)(lambda task, seen: load(command.data, task, seen))
    rows = command.rows()
    todo = [(row, missing(command, row)) for row in rows]
    for number, (row, left) in enumerate(todo):
        for first in range(0, len(left), at_once):
            began = time.perf_counter()
            for record in run(command.all_arms()[row[2]], row[1], *loaded(*row[:2]), left[first:first + at_once],
                              command.updates, command.measurements):
                write(file_of(command.out, row, record['seed']),
                      dict(zip(('task', 'observation', 'arm'), row)) | record)
                print(f'{number + 1}/{len(rows)} {" ".join(row)} seed {record["seed"]}: R2 '
                      f'{_last(record, "held_out", "r2"):.3f}, {record["milliseconds"]:.3g} ms an update, '
                      f'{time.perf_counter() - began:.0f} s', flush=True)


if __name__ == '__main__':
    sys.exit(main())
