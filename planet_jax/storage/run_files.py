"""A run's folder: LOGDIR/TASK/METHOD/SEED, and the files in it.

| file | what |
|---|---|
| `config.json` | everything resolved: task, preset, seed, configuration, versions, device, commit, flags |
| `metrics.jsonl` | a line per episode |
| `evaluations.jsonl` | a line per evaluation and task, with every return |
| `open_loop.jsonl` | a line per evaluation and task, with the errors of predicting its first episode |
| `measures.jsonl` | a line per measurement of the model: of a fit, or of an evaluation's first episode |
| `open_loop/` | pictures of these predictions, named by episodes |
| `scores.csv` | `step,reward,seed`: environment steps, and the mean return of the evaluation there, over all tasks |
| `episodes/` | one archive each, written as it ends |
| `checkpoints/` | the newest three, named by episodes and updates |
| `fit/` | the newest state of a fit that is not finished |
| `tensorboard/` | event files |
| `failures.txt` | why environments failed, with tracebacks, if they did |
| `set_aside/` | files among the episodes that are not the run's |
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planet_jax import config, envs
from planet_jax.storage import checkpoint, files
from planet_jax.storage.files import read_lines

if TYPE_CHECKING:
    from planet_jax.types import TrainState


class FolderError(ValueError):
    """The run folder cannot be used. The message says why, and what to do."""


def run_directory(logdir: Path, task: str, method: str, seed: int) -> Path:
    """LOGDIR/TASK/METHOD/SEED."""
    return logdir / envs.file_name(task) / method / str(seed)


def read_config(directory: Path, trust_task: bool = False) -> dict[str, Any]:
    """Reads `config.json`.

    Args:
        directory: of the run.
        trust_task: whether the task may import a module of the user's own: the user allowed it, or no environment
            will be made.

    Raises:
        FolderError: the file is missing or damaged, or the task imports a module and is not trusted.
    """
    path = directory / 'config.json'
    if not path.exists():
        raise FolderError(f'{directory} is not a run folder: it has no config.json.')
    try:
        record = json.loads(files.read_text(path))
        record['config'] = config.from_dict(record['config'])
        if isinstance(record['action_repeat'], int):  # A run from before agents could learn several tasks.
            record['action_repeat'] = {record['task']: record['action_repeat']}
        modules = envs.foreign_modules(record['task'])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FolderError(f'{path} cannot be read: {error}') from error
    if modules and not trust_task:
        raise FolderError(f'The task of {directory} is {record["task"]}, which imports, and so runs, '
                          f'{" and ".join(modules)}: add --trust-task if you trust that code.')
    return record


def checkpoints(directory: Path) -> list[Path]:
    """Finished checkpoints of a run, oldest first."""
    return sorted(path for path in (directory / 'checkpoints').glob('[0-9]*-[0-9]*') if path.is_dir())


def newest_checkpoint(directory: Path, like: 'TrainState') -> 'tuple[TrainState, dict[str, Any]]':
    """The newest checkpoint that verifies, to be used without continuing the run. Nothing is changed.

    Args:
        directory: of the run.
        like: see `checkpoint.restore`.

    Raises:
        FolderError: no checkpoint verifies.
    """
    reasons = []
    for path in reversed(checkpoints(directory)):
        try:
            return checkpoint.restore(path, like)
        except checkpoint.CheckpointError as error:
            reasons.append(str(error))
    raise FolderError(' '.join([f'{directory} has no checkpoint that can be used.', *reasons]))


def newest_progress(directory: Path) -> tuple[int, int]:
    """Numbers of episode files and updates of the newest checkpoint that verifies; zeros without one."""
    for path in reversed(checkpoints(directory)):
        try:
            checkpoint.verify(path)
            progress = json.loads(files.read_text(path / 'progress.json'))
            return len(progress['episodes']), progress['updates']
        except checkpoint.CheckpointError:
            continue  # `RunFolder.restore` reports it and sets it aside.
    return 0, 0


def mean_scores(directory: Path, tasks: int) -> list[tuple[int, float]]:
    """Environment steps and mean return of each complete evaluation of the agent, over its episodes and all tasks.

    Args:
        directory: of the run.
        tasks: number of tasks that the agent learns.
    """
    found: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for line in read_lines(directory / 'evaluations.jsonl'):
        if line['agent'] == 'planet':
            found.setdefault((line['episodes'], line['updates']), []).append(line)
    return [(lines[0]['env_steps'], float(np.mean([np.mean(line['returns']) for line in lines])))
            for lines in found.values() if len(lines) == tasks]


def check_space(directory: Path, least: int, most: int) -> str | None:
    """Compares the free space on a folder's disk with what a run will write.

    Args:
        directory: of the run; it need not exist.
        least: bytes that the run certainly writes.
        most: bytes that it writes if nothing can be compressed.

    Returns:
        a warning if the space may be too small, or None.

    Raises:
        FolderError: the space is too small.
    """
    free, there = files.free_bytes(directory)
    if free < least:
        raise FolderError(f'There are {free / 1e9:.2f} GB free in {there}, but the run writes {least / 1e9:.2f} GB at '
                          f'least: make room, or name another folder by --logdir.')
    if free < most:
        return (f'There are {free / 1e9:.2f} GB free in {there}; the run writes up to {most / 1e9:.2f} GB, '
                f'less if its images compress well.')
    return None
