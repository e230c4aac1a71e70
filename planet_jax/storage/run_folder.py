"""A run folder that is written to: one process holds its lock."""

import fcntl
import json
import os
import shutil
import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planet_jax import config
from planet_jax.storage import checkpoint, files, names
from planet_jax.storage.files import read_lines
from planet_jax.storage.run_files import FolderError, checkpoints, mean_scores
from planet_jax.storage.settled import Resume, settle

if TYPE_CHECKING:
    from planet_jax.types import TrainState, Trajectory

KEPT = 3
"""Number of checkpoints that are kept."""


class RunFolder:
    """A run folder that only this process writes to.

    Attributes:
        changes: what computes otherwise than when the run was last continued, each as 'what: before, now'.
    """

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
        record, self.changes = settle(directory, record, resume)
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

    def restore_fit(self, like: 'TrainState', say: Callable[[str], None],
                    ) -> 'tuple[TrainState, dict[str, Any]] | None':
        """Restores the newest state of a fit, and removes everything newer; without one everything, to begin again.

        Args:
            like: see `checkpoint.restore`.
            say: called with a sentence on everything that is set aside.

        Returns:
            see `checkpoint.restore`; None if there is no state that verifies.
        """
        for path in sorted((self.directory / 'fit').glob('[0-9]*'), reverse=True):
            try:
                state, progress = checkpoint.restore(path, like)
            except checkpoint.CheckpointError as error:
                say(f'{error} The fit does without it.')
                continue
            self._cut(progress, say)
            return state, progress
        for path in checkpoints(self.directory):
            shutil.rmtree(path)
        self._cut({'episodes': [], 'updates': 0}, say)
        return None

    def save_fit(self, state: 'TrainState', progress: dict[str, Any]) -> None:
        """Saves the newest state of a fit, and removes the one before it."""
        path = self.directory / 'fit' / f'{progress["updates"]:09d}'
        if not path.exists():
            checkpoint.save(path, state, progress)
        for old in sorted(path.parent.glob('[0-9]*'))[:-1]:
            shutil.rmtree(old)

    def has(self, episodes: int, updates: int) -> bool:
        """Whether there is a checkpoint after so many episodes of each task and updates."""
        return (self.directory / 'checkpoints' / f'{episodes:06d}-{updates:09d}').exists()

    def end_fit(self) -> None:
        """Removes the state of a finished fit, whose best model is a checkpoint."""
        shutil.rmtree(self.directory / 'fit', ignore_errors=True)

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
