"""Scores of runs that are shipped with the package: what to expect of a training, and what to compare it with."""

import csv
import functools
import importlib.resources
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from planet_jax.config import Config, differences, from_dict, to_dict
from planet_jax.scores.numbers import significant

FILE = 'shipped.csv'
"""The curves, in a file beside this module; `experiments/ship.py` writes it."""
SETTINGS = 'shipped.jsonl'
"""The settings of the runs of each task and preset, in a file beside this module; `experiments/ship.py` writes it."""
NUMBERS = {1: 'one run', 2: 'two runs', 3: 'three runs', 4: 'four runs', 5: 'five runs'}


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of one run.

    Attributes:
        task: of the run.
        preset: of the run.
        seed: of the run.
        cores: processor cores that the run had.
        episodes: of data.
        minutes: of work before the evaluation.
        mean: return over `count` episodes.
        count: episodes of the evaluation.
    """

    task: str
    preset: str
    seed: int
    cores: int
    episodes: int
    minutes: float
    mean: float
    count: int


COLUMNS = tuple(Evaluation.__dataclass_fields__)


@functools.cache
def evaluations() -> tuple[Evaluation, ...]:
    """The evaluations of all shipped runs, in the order of the file."""
    text = (importlib.resources.files(__package__) / FILE).read_text(encoding='utf-8')
    return parse(text)


def parse(text: str) -> tuple[Evaluation, ...]:
    """The rows of a file like `FILE`."""
    types: dict[str, Any] = {name: field.type for name, field in Evaluation.__dataclass_fields__.items()}
    return tuple(Evaluation(**{name: types[name](row[name]) for name in COLUMNS})
                 for row in csv.DictReader(io.StringIO(text)))


def write(rows: Sequence[Evaluation]) -> str:
    """A file like `FILE`, sorted by task, preset, seed and episodes."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(COLUMNS)
    for row in sorted(rows, key=lambda row: (row.task, row.preset, row.seed, row.episodes)):
        writer.writerow([row.task, row.preset, row.seed, row.cores, row.episodes, f'{row.minutes:.1f}',
                         f'{row.mean:.6g}', row.count])
    return file.getvalue()


def curves(task: str, preset: str) -> dict[int, tuple[Evaluation, ...]]:
    """The evaluations of each shipped seed, in the order of episodes; empty if no run is shipped."""
    found: dict[int, list[Evaluation]] = {}
    for row in evaluations():
        if (row.task, row.preset) == (task, preset):
            found.setdefault(row.seed, []).append(row)
    return {seed: tuple(rows) for seed, rows in found.items()}


@functools.cache
def settings() -> dict[tuple[str, str], Config]:
    """The settings of the shipped runs, by task and preset."""
    return parse_settings((importlib.resources.files(__package__) / SETTINGS).read_text(encoding='utf-8'))


def parse_settings(text: str) -> dict[tuple[str, str], Config]:
    """The settings in a file like `SETTINGS`, by task and preset."""
    lines = map(json.loads, text.splitlines())
    return {(line['task'], line['preset']): from_dict(line['config']) for line in lines}


def write_settings(kept: Mapping[tuple[str, str], Config]) -> str:
    """A file like `SETTINGS`, sorted by task and preset."""
    return ''.join(json.dumps({'task': task, 'preset': preset, 'config': to_dict(found)}) + '\n'
                   for (task, preset), found in sorted(kept.items(), key=lambda entry: entry[0]))


def effective_differences(first: Config, second: Config, episodes: int) -> dict[str, tuple[Any, Any]]:
    """The settings by which the scores of two runs differ, as `config.differences` names them.

    The schedule of evaluations has no effect on what is learned, nor has the replay, unless it drops episodes.

    Args:
        first: settings of a run, resolved.
        second: settings of another, resolved.
        episodes: of data.
    """
    found = {name: values for name, values in differences(first, second).items()
             if name.partition('.')[0] not in ('evaluation', 'replay')}
    kept = first.replay.capacity, second.replay.capacity
    if any(capacity is not None and capacity < episodes for capacity in kept) and kept[0] != kept[1]:
        found['replay.capacity'] = kept
    return found


def expectation(found: dict[int, tuple[Evaluation, ...]], minutes: Sequence[int] = (30, 60)) -> str | None:
    """The scores to expect, as a sentence.

    Args:
        found: from `curves`.
        minutes: times to name; a time that a run did not reach is left out.

    Returns:
        such as '30 minutes: about 250; 100 episodes, in 50 minutes: about 400 (two runs, each on one core).'; None
        without a curve.
    """
    if not found:
        return None
    parts = []
    for limit in minutes:
        reached = [[row.mean for row in rows if row.minutes <= limit] for rows in found.values()]
        if all(reached) and all(rows[-1].minutes >= limit for rows in found.values()):
            parts.append(f'{limit} minutes: about {significant(np.mean([means[-1] for means in reached]), 2)}')
    # A longer run is compared where the shortest one ends.
    episodes = min(rows[-1].episodes for rows in found.values())
    ends = [[row for row in rows if row.episodes <= episodes][-1] for rows in found.values()]
    taken = max(row.minutes for row in ends)
    # Two runs say no more than two digits.
    mean = significant(np.mean([row.mean for row in ends]), 2)
    parts.append(f'{episodes} episodes, in {taken:.0f} minutes: about {mean}')
    cores = sorted({row.cores for row in ends})
    on = ' or '.join({1: 'one core', 2: 'two cores'}.get(number, f'{number} cores') for number in cores)
    runs = NUMBERS.get(len(found), f'{len(found)} runs')
    return f'{"; ".join(parts)} ({runs}{", each" if len(found) > 1 else ""} on {on}).'
