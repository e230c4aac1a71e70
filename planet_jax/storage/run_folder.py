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
| `tensorboard/` | event files |
| `failures.txt` | why environments failed, with tracebacks, if they did |
| `set_aside/` | files among the episodes that are not the run's |
"""

import fcntl
import json
import os
import shutil
import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from planet_jax import config, envs
from planet_jax.storage import checkpoint, files, names
from planet_jax.storage.files import read_lines

if TYPE_CHECKING:
    from planet_jax.types import TrainState, Trajectory

SETTLED = ('task', 'preset', 'seed', 'config')
"""Entries of `config.json` that may not change when a run continues, except for the fields in `FREE`."""
FREE = ('evaluation.every', 'evaluation.episodes', 'evaluation.first', 'evaluation.growth', 'evaluation.full',
        'evaluation.open_loop', 'learner.most_skipped', 'learner.updates_per_call', 'replay.capacity',
        'replay.keep_files', 'replay.placement')
"""Fields of the configuration that may change."""
Resume = Literal['auto', 'must', 'never']
"""Whether to continue the run in a folder: if there is one; fail without one; fail if there is one."""
KEPT = 3
"""Number of checkpoints that are kept."""


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


def differences(record: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The settled fields in which two runs differ, each as 'field: there, here'."""

    def flat(record):
        values = {name: record[name] for name in SETTLED if name != 'config'}
        for group, fields in config.to_dict(record['config'].resolve()).items():
            values |= {f'{group}.{name}': value for name, value in fields.items()}
        return {name: value for name, value in values.items() if name not in FREE}

    there, here = flat(record), flat(other)
    return [f'{name}: {there.get(name)} there, {here.get(name)} now'
            for name in there if there[name] != here.get(name)]


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


def settle(directory: Path, record: dict[str, Any], resume: Resume = 'auto') -> dict[str, Any]:
    """The content for `config.json`, if the folder is new or belongs to the same run.

    Args:
        directory: LOGDIR/TASK/METHOD/SEED.
        record: of the run, or the part that identifies it; its 'config' is a `Config`.
        resume: see `Resume`.

    Returns:
        the record with the names of its metrics, and with what a continued run keeps.

    Raises:
        FolderError: the folder belongs to a run with other settings, which the message lists; or it is not as `resume`
            demands.
    """
    if resume == 'must' and not checkpoints(directory):
        raise FolderError(f'{directory} has no checkpoint to continue from, but --resume must was given: check the '
                          f'folder, or leave out --resume to begin a run.')
    if not (directory / 'config.json').exists():
        return record | {'names': names.NEWEST}
    if resume == 'never':
        raise FolderError(f'{directory} holds a run already, but --resume never was given: name another folder by '
                          f'--method or --logdir, or leave out --resume to continue the run.')
    before = read_config(directory, trust_task=True)
    changed = differences(before, record)
    if changed:
        raise FolderError(f'{directory} belongs to a run with other settings. Use these, or name another folder '
                          f'by --method or --logdir:\n  ' + '\n  '.join(changed))
    kept = {name: before[name] for name in ('exact', 'dropped_episodes', 'fit', 'begin_with') if name in before}
    return record | kept | {'names': before.get('names', 1)} | _earlier(before, record)


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


class RunFolder:
    """A run folder that only this process writes to."""

    def __init__(self, directory: Path, record: dict[str, Any], resume: Resume = 'auto'):
        """Makes or opens the folder, and locks it.

        Args:
            directory: LOGDIR/TASK/METHOD/SEED.
            record: for `config.json`; its 'config' is a `Config`.
            resume: see `settle`.

        Raises:
            FolderError: another process uses the folder, it belongs to a run with other settings, or it cannot be
                written.
        """
        self.directory, self._seed, self._tasks = directory, record['seed'], list(record['action_repeat'])
        record = settle(directory, record, resume)
        for path in directory.glob('*'):
            if path.is_symlink():
                raise FolderError(f'{path} is a link, but a run folder must hold its files itself: '
                                  f'replace the link by the file or folder.')
        try:
            (directory / 'episodes').mkdir(parents=True, exist_ok=True)
            (directory / 'checkpoints').mkdir(exist_ok=True)
            self._lock = open(directory / 'lock', 'a+', encoding='utf-8')
        except OSError as error:
            raise FolderError(f'{directory} cannot be written: {error.strerror}.') from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.seek(0)
            raise FolderError(f'{directory} is in use by {self._lock.read() or "another process"}.') from error
        self._lock.truncate(0)
        self._lock.write(f'process {os.getpid()} on {socket.gethostname()}')
        self._lock.flush()
        self._record = record
        self._write_record()

    def _write_record(self) -> None:
        resolved = config.to_dict(self._record['config'].resolve())
        files.write_json(self.directory / 'config.json', self._record | {'config': resolved}, indent=1)

    def close(self) -> None:
        """Releases the lock."""
        self._lock.close()

    def restore(self, like: 'TrainState', say: Callable[[str], None]) -> 'tuple[TrainState, dict[str, Any]] | None':
        """Restores the newest checkpoint that verifies. Damaged ones are set aside, and everything newer is removed.

        Args:
            like: see `checkpoint.restore`.
            say: called with a sentence on everything that is set aside.

        Returns:
            see `checkpoint.restore`; None if no checkpoint was ever finished.

        Raises:
            FolderError: none of the checkpoints verifies.
        """
        found = checkpoints(self.directory)
        for directory in reversed(found):
            try:
                state, progress = checkpoint.restore(directory, like)
            except checkpoint.CheckpointError as error:
                aside = directory.with_name(f'damaged-{directory.name}')
                shutil.rmtree(aside, ignore_errors=True)
                directory.rename(aside)
                say(f'{error} It was set aside as {aside.name}.')
                continue
            self._cut(progress, say)
            return state, progress
        if found or any(self.directory.glob('checkpoints/damaged-*')):
            raise FolderError(f'None of the checkpoints in {self.directory / "checkpoints"} can be used. Remove that '
                              f'folder and metrics.jsonl to start this run again from its seed.')
        if self.lines('metrics.jsonl'):
            say('No checkpoint was ever finished, so this run starts again from its seed; the result is the same.')
        self._cut({'episodes': [], 'updates': 0}, say)
        return None

    def save(self, state: 'TrainState', progress: dict[str, Any]) -> None:
        """Saves a checkpoint, named by episodes and updates, unless it exists, and removes all but the newest ones.

        Args:
            state: without [P].
            progress: with 'episodes', the digests of all episode files, and 'updates'.
        """
        name = f'{len(progress["episodes"]) // len(self._tasks):06d}-{progress["updates"]:09d}'
        if (self.directory / 'checkpoints' / name).exists():
            return
        checkpoint.save(self.directory / 'checkpoints' / name, state, progress)
        for old in checkpoints(self.directory)[:-KEPT]:
            shutil.rmtree(old)

    def remove_old_episodes(self, keep: int) -> None:
        """Removes episode files that no checkpoint needs.

        Args:
            keep: episodes of each task before a checkpoint that stay.
        """
        oldest = next(iter(checkpoints(self.directory)), None)
        if oldest:
            needed = max(int(oldest.name.partition('-')[0]) - keep, 0) * len(self._tasks)
            for path in (self.directory / 'episodes').glob('[0-9]*.npz'):
                if int(path.stem) < needed:
                    path.unlink()

    def episode_path(self, number: int) -> Path:
        """Path of the `number`-th episode, counted from 0."""
        return self.directory / 'episodes' / f'{number:06d}.npz'

    def write_episode(self, number: int, episode: 'Trajectory') -> str:
        """Writes an episode and returns its digest."""
        from planet_jax.storage import episodes  # It imports JAX.

        return episodes.write(self.episode_path(number), episode)

    def read_episode(self, number: int, spec: config.Spec, digest: str) -> 'Trajectory':
        """Reads an episode that the checkpoint lists.

        Raises:
            FolderError: the file is missing, damaged or changed.
        """
        from planet_jax.storage import episodes

        path = self.episode_path(number)
        try:
            if episodes.digest(path) != digest:
                raise ValueError(f'{path} is not as it was written.')
            return episodes.read(path, spec)
        except (OSError, ValueError) as error:
            raise FolderError(f'An episode that the checkpoint needs cannot be used: {error} Restore the file, or '
                              f'continue without it by --drop-bad-episodes, which marks the run as not exact.'
                              ) from error

    @property
    def dropped(self) -> dict[str, str]:
        """Numbers of the episodes that this run dropped, with the reasons."""
        return self._record.get('dropped_episodes', {})

    def drop_episode(self, number: int, reason: str) -> None:
        """Notes in `config.json` that the run continues without an episode, so it is not exact."""
        self._record |= {'exact': False, 'dropped_episodes': self.dropped | {str(number): reason}}
        self._write_record()

    def append(self, name: str, line: dict[str, Any]) -> None:
        """Adds a line to a .jsonl file, with the names of metrics that the run began with."""
        files.append_line(self.directory / name, names.as_begun(line, self._record['names']))

    def metric(self, name: str) -> str:
        """The name of a metric in this run, which keeps the names that it began with."""
        return names.earlier(name, self._record['names'])

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The lines of a .jsonl file with today's names of metrics; empty without the file."""
        return read_lines(self.directory / name)

    def scores(self) -> list[tuple[int, float]]:
        """See `mean_scores`."""
        return mean_scores(self.directory, len(self._tasks))

    def write_scores(self) -> None:
        """Writes scores.csv from all evaluations."""
        files.write_text(self.directory / 'scores.csv', 'step,reward,seed\n' + ''.join(
            f'{step},{reward!r},{self._seed}\n' for step, reward in self.scores()))

    def _cut(self, progress: dict[str, Any], say: Callable[[str], None]) -> None:
        """Removes everything newer than a checkpoint; the run makes the same again.

        Files in `episodes/` that the run cannot have written are set aside.
        """
        kept = len(progress['episodes'])
        for path in sorted(self.directory.glob('**/.*.partial*')):
            # A partial file inside a partial folder goes with the folder.
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        # A file is written before its line.
        written = len(self.lines('metrics.jsonl')) + len(self._tasks)
        own = {self.episode_path(number) for number in range(max(kept, written))}
        foreign = [path for path in (self.directory / 'episodes').iterdir() if path not in own]
        for path in foreign:
            aside = self.directory / 'set_aside' / f'{path.name}-{uuid.uuid4().hex[:8]}'
            aside.parent.mkdir(exist_ok=True)
            path.rename(aside)
        if foreign:
            say(f'{len(foreign)} files in {self.directory / "episodes"} do not belong to this run, and were moved '
                f'to {self.directory / "set_aside"}.')
        for number in range(kept, written):
            self.episode_path(number).unlink(missing_ok=True)
        for path in (self.directory / 'open_loop').glob('[0-9]' * 6 + '*'):
            if int(path.name[:6]) > kept // len(self._tasks):
                path.unlink()
        for name in ('metrics.jsonl', 'evaluations.jsonl', 'open_loop.jsonl', 'measures.jsonl'):
            path = self.directory / name
            if path.exists():
                lines = [line for line in self.lines(name)
                          if line['episodes'] <= kept // len(self._tasks) and line['updates'] <= progress['updates']]
                files.write_text(path, ''.join(
                    json.dumps(names.as_begun(line, self._record['names'])) + '\n' for line in lines))
        # Made anew, since a crash may have come between an evaluation's line and its line in scores.csv.
        if self.scores():
            self.write_scores()
        else:
            (self.directory / 'scores.csv').unlink(missing_ok=True)


def _earlier(before: dict[str, Any], record: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """An entry 'earlier' with versions and devices of the run so far, oldest first, if they differ from today's."""
    made_by = {name: before[name] for name in ('versions', 'device', 'commit', 'flags') if name in before}
    same = all(record.get(name) == value for name, value in made_by.items())
    earlier = before.get('earlier', []) + ([] if same else [made_by])
    return {'earlier': earlier} if earlier else {}
