"""Reads the score files of any number of runs.

A run of this project has every return in `evaluations.jsonl`. Without that file, `scores.csv` is read, which holds only
means: `step,reward,seed`, as other tools write it in folders TASK/METHOD/SEED or TASK/METHOD.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from planet_jax.storage.files import read_lines, read_text
from planet_jax.storage.run_files import FolderError

TRAINED = 'planet'
"""Name of the trained agent in an evaluation; the others are baselines."""
Axis = Literal['episodes', 'env_steps']
"""The horizontal axis of scores."""
COLUMNS = ('step', 'reward', 'seed')
"""Columns of a score file; further columns are ignored."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of one agent on one task.

    Attributes:
        agent: 'planet', or a baseline: 'zero' or 'uniform'.
        episodes: of this task in the data at that time; 0 for baselines, None if unknown.
        returns: of the evaluation's episodes, or only their mean.
        env_steps: collected at that time, on all tasks of the agent; None if unknown.
    """

    agent: str
    episodes: int | None
    returns: tuple[float, ...]
    env_steps: int | None = None


@dataclass(frozen=True)
class Scores:
    """The scores of one run on one task; a run on several tasks has one record for each.

    Attributes:
        task: that was evaluated.
        trained_on: name of the run's task folder, which may name several tasks.
        method: name of the run's method folder.
        preset: that its configuration started from; None for a run of another tool.
        seed: of the run.
        evaluations: in the order of the file.
        mujoco: version of the simulator, which defines the task; None if unknown.
    """

    task: str
    trained_on: str
    method: str
    preset: str | None
    seed: int
    evaluations: tuple[Evaluation, ...]
    mujoco: str | None = None

    @property
    def trained(self) -> tuple[Evaluation, ...]:
        """Evaluations of the trained agent."""
        return tuple(evaluation for evaluation in self.evaluations if evaluation.agent == TRAINED)

    @property
    def episodes(self) -> int:
        """Episodes of data at the last evaluation of the trained agent; 0 without one."""
        return max((evaluation.episodes or 0 for evaluation in self.trained), default=0)

    def places(self, axis: Axis = 'episodes', width: int = 1) -> dict[int, list[float]]:
        """Returns of the trained agent at each place of an axis.

        Args:
            axis: of the places.
            width: of a place, whose evaluations are pooled and named by its end.
        """
        found: dict[int, list[float]] = {}
        for entry in sorted(self.trained, key=lambda entry: getattr(entry, axis)):
            found.setdefault(-(-getattr(entry, axis) // width) * width, []).extend(entry.returns)
        return found


def find_runs(path: Path) -> list[Path]:
    """Folders with scores at or below a path, which may be a LOGDIR, a task's, a method's or a run's folder."""
    return sorted({found.parent for depth in ('', '*/', '*/*/', '*/*/*/') for name in ('config.json', 'scores.csv')
                   for found in path.glob(f'{depth}{name}')})


def read_run(directory: Path) -> tuple[Scores, ...]:
    """The scores of a run on each task; empty before its first evaluation.

    Args:
        directory: LOGDIR/TASK/METHOD/SEED, or LOGDIR/TASK/METHOD of another tool with several seeds.

    Raises:
        FolderError: the folder is no run folder, or a file in it is damaged.
    """
    directory = directory.resolve()
    path = directory / 'scores.csv'
    try:
        if path.exists() and not (directory / 'evaluations.jsonl').exists():
            return _read_means(path)
        path = directory / 'config.json'
        if not path.exists():
            raise FolderError(f'{directory} is not a run folder: it has no config.json.')
        record = json.loads(read_text(path))
        task, preset, seed = (record[name] for name in ('task', 'preset', 'seed'))
        mujoco = record.get('versions', {}).get('mujoco')
        path = directory / 'evaluations.jsonl'
        lines = [(line.get('task', task), Evaluation(line['agent'], line['episodes'], tuple(line['returns']),
                                                     line.get('env_steps'))) for line in read_lines(path)]
    except FolderError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise FolderError(f'{path} cannot be read: {type(error).__name__}, {error}. Restore that file from a copy if '
                          f'there is one; other runs are not affected.') from error
    trained_on, method = directory.parts[-3:-1]
    return tuple(Scores(name, trained_on, method, preset, seed, tuple(entry for task, entry in lines if task == name),
                        mujoco) for name in dict.fromkeys(task for task, _ in lines))


def _read_means(path: Path) -> tuple[Scores, ...]:
    """The runs in a `scores.csv`, one for each seed. The folders above it name task and method."""
    *above, last = path.parent.parts
    # A seed's folder is a number, perhaps after the word seed; any other name is a method's.
    task, method = above[-2:] if re.fullmatch(r'(seed)?[-_]?\d+', last) else (above[-1], last)
    seeds: dict[int, list[Evaluation]] = {}
    for step, reward, seed in _rows(path):
        seeds.setdefault(seed, []).append(Evaluation(TRAINED, None, (reward,), step))
    return tuple(Scores(task, task, method, None, seed, tuple(entries)) for seed, entries in seeds.items())


def _rows(path: Path) -> Iterable[tuple[int, float, int]]:
    """Step, reward and seed of each line of a score file.

    Raises:
        FolderError: the file is no score file. The message names the line.
    """
    try:
        text = path.read_text(encoding='utf-8-sig')  # Spreadsheets begin a file with a byte-order mark.
    except UnicodeDecodeError as error:
        raise FolderError(f'{path} is not UTF-8 text: save it with that encoding.') from error
    head = text.partition('\n')[0]
    lines = csv.DictReader(io.StringIO(text, newline=''), skipinitialspace=True)
    try:
        missing = [name for name in COLUMNS if name not in (lines.fieldnames or ())]
        if missing:
            other = {';': 'semicolons', '\t': 'tabs'}.get(next((sign for sign in ';\t' if sign in head), ''))
            raise FolderError(
                f'{path} has {other} between its columns, but a score file needs commas: save it with commas, and with '
                f'decimal points.' if other else
                f'{path} has no column {" and no column ".join(missing)}: a score file begins with a line that names '
                f'its columns, {", ".join(COLUMNS)}.')
        for row in lines:
            step, reward, seed = (_number(path, lines.line_num, name, row[name]) for name in COLUMNS)
            if step < 0 or step != int(step) or seed != int(seed):
                raise FolderError(f'{path}, line {lines.line_num}: the step is {row["step"]} and the seed '
                                  f'{row["seed"]}, but both must be whole numbers, and the step at least 0.')
            yield int(step), reward, int(seed)
    except csv.Error as error:
        raise FolderError(f'{path}, line {lines.line_num}, cannot be read: {error}.') from error


def _number(path: Path, line: int, name: str, text: str | None) -> float:
    try:
        value = float(text or '')
    except ValueError as error:
        raise FolderError(f'{path}, line {line}: the {name} is {text!r}, which is not a number.' if text else
                          f'{path}, line {line}, has no {name}: it may be cut short.') from error
    if not math.isfinite(value):
        raise FolderError(f'{path}, line {line}: the {name} is {text}, which cannot be averaged: delete the '
                          f'line if there was no evaluation, or correct it.')
    return value


def by_method(runs: Iterable[Scores]) -> dict[tuple[str, str, str], list[Scores]]:
    """The runs that make one curve, by evaluated task, task folder and method."""
    groups = {}
    for run in runs:
        groups.setdefault((run.task, run.trained_on, run.method), []).append(run)
    return groups
