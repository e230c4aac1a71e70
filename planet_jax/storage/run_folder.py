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
| `failures.txt` | why environments failed, with tracebacks; only where they did |
| `set_aside/` | what lay among the episodes and was none |
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
"""What of `config.json` may not change when a run goes on; cadences in the configuration may."""
FREE = ('evaluation.every', 'evaluation.episodes', 'evaluation.first', 'evaluation.growth', 'evaluation.full',
        'evaluation.open_loop', 'learner.most_skipped', 'learner.updates_per_call', 'replay.capacity',
        'replay.keep_files', 'replay.placement')
"""Fields of the configuration that may change."""
Resume = Literal['auto', 'must', 'never']
"""Whether to go on with the run in a folder: if there is one; there must be one; there must be none."""
KEPT = 3
"""Checkpoints kept."""


class FolderError(ValueError):
    """The run folder cannot be used; the message is a sentence that says why and what to do."""


def run_directory(logdir: Path, task: str, method: str, seed: int) -> Path:
    """LOGDIR/TASK/METHOD/SEED."""
    return logdir / envs.file_name(task) / method / str(seed)


def read_config(directory: Path, trust_task: bool = False) -> dict[str, Any]:
    """What `config.json` holds.

    Args:
        directory: of the run.
        trust_task: whether the task may be one that is made by importing a module of the user's own, since the user
            said so, or since no environment will be made.

    Raises:
        FolderError: there is none, it is damaged, or the task is such a one.
    """
    path = directory / 'config.json'
    if not path.exists():
        raise FolderError(f'{directory} is not a run folder: it has no config.json.')
    try:
        record = json.loads(files.read_text(path))
        record['config'] = config.from_dict(record['config'])
        if isinstance(record['action_repeat'], int):  # Of a run that was begun before an agent could learn several.
            record['action_repeat'] = {record['task']: record['action_repeat']}
        modules = envs.foreign_modules(record['task'])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FolderError(f'{path} cannot be read: {error}') from error
    if modules and not trust_task:
        raise FolderError(f'The task of {directory} is {record["task"]}, for which {" and ".join(modules)} would be '
                          f'imported, and so run: add --trust-task if that is code of yours, or of somebody you trust.')
    return record


def differences(record: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The settled fields in which two runs differ, each as a line 'field: there, here'."""

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
    """The newest checkpoint that verifies, for use without going on with the run; nothing is changed.

    Args:
        directory: of the run.
        like: see `checkpoint.restore`.

    Raises:
        FolderError: there is none.
    """
    reasons = []
    for path in reversed(checkpoints(directory)):
        try:
            return checkpoint.restore(path, like)
        except checkpoint.CheckpointError as error:
            reasons.append(str(error))
    raise FolderError(' '.join([f'{directory} has no checkpoint that can be used.', *reasons]))


def newest_progress(directory: Path) -> tuple[int, int]:
    """How many episode files and updates the newest checkpoint that verifies has; zeros if there is none."""
    for path in reversed(checkpoints(directory)):
        try:
            checkpoint.verify(path)
            progress = json.loads(files.read_text(path / 'progress.json'))
            return len(progress['episodes']), progress['updates']
        except checkpoint.CheckpointError:
            continue  # `RunFolder.restore` says so and sets it aside.
    return 0, 0


def settle(directory: Path, record: dict[str, Any], resume: Resume = 'auto') -> dict[str, Any]:
    """What `config.json` is to hold, if the folder is new or belongs to the same run.

    Args:
        directory: LOGDIR/TASK/METHOD/SEED.
        record: of the run, or what identifies it; its 'config' is a `Config`.
        resume: whether there may or must be a run to go on with.

    Returns:
        the record, with which names its metrics have, and with what a run that goes on has kept.

    Raises:
        FolderError: it belongs to a run with other settings, which the message lists; or there is a run and must not
            be, or none and must.
    """
    if resume == 'must' and not checkpoints(directory):
        raise FolderError(f'{directory} has no checkpoint to go on from, and --resume must asks for one: check the '
                          f'folder, or leave that option out to begin a run.')
    if not (directory / 'config.json').exists():
        return record | {'names': names.NEWEST}
    if resume == 'never':
        raise FolderError(f'{directory} holds a run already, and --resume never asks for a new one: name another '
                          f'folder by --method or --logdir, or leave that option out to go on with the run.')
    before = read_config(directory, trust_task=True)
    changed = differences(before, record)
    if changed:
        raise FolderError(f'{directory} belongs to a run with other settings. Go on with those, or name another folder '
                          f'by --method or --logdir:\n  ' + '\n  '.join(changed))
    kept = {name: before[name] for name in ('exact', 'dropped_episodes', 'fit', 'begin_with') if name in before}
    return record | kept | {'names': before.get('names', 1)} | _earlier(before, record)


def mean_scores(directory: Path, tasks: int) -> list[tuple[int, float]]:
    """Environment steps and mean return of each whole evaluation of the agent, over its episodes and all tasks.

    Args:
        directory: of the run.
        tasks: how many its agent learns.
    """
    found: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for line in read_lines(directory / 'evaluations.jsonl'):
        if line['agent'] == 'planet':
            found.setdefault((line['episodes'], line['updates']), []).append(line)
    return [(lines[0]['env_steps'], float(np.mean([np.mean(line['returns']) for line in lines])))
            for lines in found.values() if len(lines) == tasks]


def check_space(directory: Path, least: int, most: int) -> str | None:
    """Compares the free space of a folder's disk with what a run will write.

    Args:
        directory: of the run; it need not exist.
        least: bytes that it will certainly write.
        most: bytes that it may write, if nothing could be compressed.

    Returns:
        a sentence if it may not suffice, else none.

    Raises:
        FolderError: it cannot suffice.
    """
    free, there = files.free_bytes(directory)
    if free < least:
        raise FolderError(f'There are {free / 1e9:.2f} GB free in {there}, but the run writes {least / 1e9:.2f} GB at '
                          f'least: make room, or name another folder by --logdir.')
    if free < most:
        return (f'There are {free / 1e9:.2f} GB free in {there}; the run writes up to {most / 1e9:.2f} GB, less what '
                f'its images can be compressed.')
    return None


class RunFolder:
    """A run folder opened for writing by this process alone."""

    def __init__(self, directory: Path, record: dict[str, Any], resume: Resume = 'auto'):
        """Makes the folder, or opens the one there is, and locks it.

        Args:
            directory: LOGDIR/TASK/METHOD/SEED.
            record: for `config.json`; its 'config' is a `Config`.
            resume: see `settle`.

        Raises:
            FolderError: another process uses it, it belongs to a run with other settings, or it cannot be written.
        """
        self.directory, self._seed, self._tasks = directory, record['seed'], list(record['action_repeat'])
        record = settle(directory, record, resume)
        for path in directory.glob('*'):
            if path.is_symlink():
                raise FolderError(f'{path} is a link, and what is written to a run folder may not end up elsewhere: '
                                  f'put the file or folder itself in its place.')
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
        """Gives up the lock."""
        self._lock.close()

    def restore(self, like: 'TrainState', say: Callable[[str], None]) -> 'tuple[TrainState, dict[str, Any]] | None':
        """The newest checkpoint that verifies; damaged ones are set aside. Everything written after it is removed.

        Args:
            like: see `checkpoint.restore`.
            say: called with a sentence for all that is set aside.

        Returns:
            what `checkpoint.restore` returns, or none if no checkpoint was ever finished.

        Raises:
            FolderError: there are checkpoints, but none verifies.
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
        """A checkpoint named by episodes and updates; all but the newest are removed. Nothing is done if it is there.

        Args:
            state: without [P].
            progress: with 'episodes', the digests of the episode files so far, and 'updates'.
        """
        name = f'{len(progress["episodes"]) // len(self._tasks):06d}-{progress["updates"]:09d}'
        if (self.directory / 'checkpoints' / name).exists():
            return
        checkpoint.save(self.directory / 'checkpoints' / name, state, progress)
        for old in checkpoints(self.directory)[:-KEPT]:
            shutil.rmtree(old)

    def remove_old_episodes(self, keep: int) -> None:
        """Removes the files of episodes that no checkpoint needs to go on.

        Args:
            keep: episodes of each task, before each of the checkpoints, that stay.
        """
        oldest = next(iter(checkpoints(self.directory)), None)
        if oldest:
            needed = max(int(oldest.name.partition('-')[0]) - keep, 0) * len(self._tasks)
            for path in (self.directory / 'episodes').glob('[0-9]*.npz'):
                if int(path.stem) < needed:
                    path.unlink()

    def episode_path(self, number: int) -> Path:
        """Of the `number`-th episode, counted from 0."""
        return self.directory / 'episodes' / f'{number:06d}.npz'

    def write_episode(self, number: int, episode: 'Trajectory') -> str:
        """Writes an episode and returns its digest."""
        from planet_jax.storage import episodes  # Its records are JAX's.

        return episodes.write(self.episode_path(number), episode)

    def read_episode(self, number: int, spec: config.Spec, digest: str) -> 'Trajectory':
        """An episode that the checkpoint lists.

        Raises:
            FolderError: it is missing, damaged or changed.
        """
        from planet_jax.storage import episodes

        path = self.episode_path(number)
        try:
            if episodes.digest(path) != digest:
                raise ValueError(f'{path} is not as it was written.')
            return episodes.read(path, spec)
        except (OSError, ValueError) as error:
            raise FolderError(f'An episode that the checkpoint needs cannot be used: {error} Put the file back, or go '
                              f'on without it by --drop-bad-episodes; the run is then marked as no longer exact.'
                              ) from error

    @property
    def dropped(self) -> dict[str, str]:
        """Numbers of the episodes that this run had to go on without, and why."""
        return self._record.get('dropped_episodes', {})

    def drop_episode(self, number: int, reason: str) -> None:
        """Notes in `config.json` that the run goes on without an episode, so it is no longer exact."""
        self._record |= {'exact': False, 'dropped_episodes': self.dropped | {str(number): reason}}
        self._write_record()

    def append(self, name: str, line: dict[str, Any]) -> None:
        """Adds a line to a .jsonl file, with the names of metrics that the run has had from its beginning."""
        files.append_line(self.directory / name, names.as_begun(line, self._record['names']))

    def metric(self, name: str) -> str:
        """What this run calls a metric: a run that was begun with other names keeps them."""
        return names.earlier(name, self._record['names'])

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The lines of a .jsonl file with today's names of metrics; none if it is not there."""
        return read_lines(self.directory / name)

    def scores(self) -> list[tuple[int, float]]:
        """See `mean_scores`."""
        return mean_scores(self.directory, len(self._tasks))

    def write_scores(self) -> None:
        """Makes scores.csv of the evaluations so far."""
        files.write_text(self.directory / 'scores.csv', 'step,reward,seed\n' + ''.join(
            f'{step},{reward!r},{self._seed}\n' for step, reward in self.scores()))

    def _cut(self, progress: dict[str, Any], say: Callable[[str], None]) -> None:
        """Removes what was written after a checkpoint: it will be made again, and be the same.

        What this run cannot have written in `episodes/` is set aside.
        """
        kept = len(progress['episodes'])
        for path in sorted(self.directory.glob('**/.*.partial*')):
            # A half-written file within a half-written folder goes with it.
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
            say(f'{len(foreign)} files in {self.directory / "episodes"} are of no episode of this run, and were moved '
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
        # Not cut but made anew: a crash may have come after an evaluation's line there and before its line here.
        if self.scores():
            self.write_scores()
        else:
            (self.directory / 'scores.csv').unlink(missing_ok=True)


def _earlier(before: dict[str, Any], record: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """An entry 'earlier' with what made the run until now, oldest first; none if it is what goes on with it."""
    made_by = {name: before[name] for name in ('versions', 'device', 'commit', 'flags') if name in before}
    same = all(record.get(name) == value for name, value in made_by.items())
    earlier = before.get('earlier', []) + ([] if same else [made_by])
    return {'earlier': earlier} if earlier else {}
