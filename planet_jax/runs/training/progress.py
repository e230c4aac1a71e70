"""The progress of a run: what it must remember besides its train state."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from planet_jax.agent import action_change
from planet_jax.loggers.sinks import Sinks
from planet_jax.measures import coming
from planet_jax.runs.run import Run
from planet_jax.storage import names
from planet_jax.storage.run_files import FolderError, check_space
from planet_jax.storage.run_folder import RunFolder
from planet_jax.types import TrainState, Trajectory


def tree_bytes(tree: Any) -> int:
    """Bytes of all arrays in a tree, or in a tree of shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


@dataclasses.dataclass
class RunProgress:
    """What a run must remember besides its train state; saved with every checkpoint.

    Attributes:
        episodes: SHA-256 of each episode file, in order; with several tasks, one episode of each in turn.
        updates: done.
        agent_steps: collected, evaluation not counted.
        env_steps: the same in environment steps.
        pending: for each metric, its values in the updates since the last episode.
        seconds: spent in each phase, see `Clock`; seeds that are trained together share them.
    """

    episodes: list[str] = dataclasses.field(default_factory=list)
    updates: int = 0
    agent_steps: int = 0
    env_steps: int = 0
    pending: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any], repeats: int) -> 'RunProgress':
        """Reads the progress of a checkpoint.

        Args:
            saved: the fields. Old runs lack environment steps, and have other names of metrics.
            repeats: R, summed over the tasks.

        Raises:
            TypeError: a field is unknown.
        """
        return cls(**{'env_steps': saved.get('agent_steps', 0) * repeats, **names.today(saved)})

    def add_updates(self, metrics: Mapping[str, np.ndarray]) -> None:
        """Counts the updates of a call of `learn`, and keeps their metrics, [updates] each, until the next episode."""
        for name, values in metrics.items():
            self.pending.setdefault(name, []).extend(values.tolist())
        self.updates += len(metrics['loss'])

    def add_episode(self, digest: str, length: int, repeat: int) -> None:
        """Counts an episode.

        Args:
            digest: SHA-256 of its file.
            length: rows.
            repeat: R.
        """
        self.episodes.append(digest)
        self.agent_steps += length - 1
        self.env_steps += (length - 1) * repeat

    def averages(self) -> dict[str, float]:
        """Means of the pending updates, and how many were skipped. A metric without a finite value is left out."""
        means = {name: float(np.mean(finite)) for name, values in self.pending.items() if name != 'skipped'
                 and (finite := [value for value in values if np.isfinite(value)])}
        return means | ({'skipped': int(sum(self.pending.get('skipped', [])))} if self.pending else {})


@dataclasses.dataclass
class Seed:
    """One of the seeds that are trained together.

    Attributes:
        run: of the seed.
        folder: of the run, opened.
        progress: so far.
        sinks: None until the progress is restored.
    """

    run: Run
    folder: RunFolder
    progress: RunProgress = dataclasses.field(default_factory=RunProgress)
    sinks: Sinks | None = None

    def write_episodes(self, episodes: Trajectory, returns: np.ndarray, expected: np.ndarray, seconds: dict[str, float],
                       paces: dict[str, float]) -> dict[str, float]:
        """Writes an episode of each task, then a line of metrics for each, so that every line has its episode.

        Args:
            episodes: [E, T+1, ...].
            returns: of these episodes, [E].
            expected: the return that the planner expected, [E].
            seconds: spent in each phase so far.
            paces: seconds per unit of each phase, by their names in a line.

        Returns:
            the averages of the updates before these episodes.
        """
        progress, losses = self.progress, self.progress.averages()
        lines: list[dict[str, Any]] = []
        for number, (task, repeat) in enumerate(self.run.action_repeats.items()):
            episode = jax.tree.map(lambda leaf, number=number: leaf[number], episodes)
            digest = self.folder.write_episode(len(progress.episodes), episode)
            progress.add_episode(digest, int(episode.length), repeat)
            of_plans = float(expected[number])
            planned = {}
            if progress.updates and np.isfinite(of_plans):
                planned = {'expected_return': of_plans, 'action_change': action_change(episode), **self._came(episode)}
            lines.append({'task': task, 'return': float(returns[number]), **losses, **planned})
        for line in lines:
            self.folder.append('metrics.jsonl', {
                'episodes': len(progress.episodes) // len(lines), 'updates': progress.updates,
                'agent_steps': progress.agent_steps, 'env_steps': progress.env_steps, **line,
                'seconds': {name: round(value, 3) for name, value in (seconds | paces).items()},
            })
            if self.sinks:
                of_task = ('return', 'expected_return', 'action_change', 'horizon_return')
                on = self.on(line['task'])
                self.sinks.scalars(progress.env_steps, {
                    f'train/{self.folder.metric(name)}{on if name in of_task else ""}': value
                    for name, value in line.items() if name != 'task'
                } | {f'seconds/{name}': value for name, value in paces.items()})
        progress.pending = {}
        return losses

    def _came(self, episode: Trajectory) -> dict[str, float]:
        """The return over the next H agent steps, a mean over the steps that have H more after them."""
        horizon = self.run.config.planner.horizon
        rewards = episode.reward[:int(episode.length)]
        return {'horizon_return': float(coming(rewards, horizon).mean())} if len(rewards) > horizon else {}

    def save(self, state: TrainState) -> None:
        """Saves a checkpoint unless it exists, and removes episode files that no checkpoint needs, if configured.

        Args:
            state: without [P].

        Raises:
            FolderError: the disk has no room for it.
        """
        check_space(self.folder.directory, 2 * tree_bytes(state.learner), 0)
        self.folder.save(state, dataclasses.asdict(self.progress))
        if keep := self.run.config.replay.keep_files:
            self.folder.remove_old_episodes(keep)

    def write_failure(self, text: str) -> None:
        """Adds the reason for a failure of the environments to `failures.txt`, several lines."""
        when = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
        with open(self.folder.directory / 'failures.txt', 'a', encoding='utf-8') as file:
            file.write(f'{when}, after {len(self.progress.episodes)} episodes: {text.rstrip()}\n\n')

    def on(self, task: str) -> str:
        """The end of a task's metrics in the sinks; empty if the run has one task."""
        return f'/{task}' if len(self.run.tasks) > 1 else ''

    def continue_from(self, saved: Mapping[str, Any], updates: int) -> None:
        """Takes over the progress of a checkpoint.

        Args:
            saved: see `RunProgress.from_dict`.
            updates: that the learner of the checkpoint has done.

        Raises:
            FolderError: another version saved the progress with unknown fields.
        """
        try:
            self.progress = RunProgress.from_dict(saved, sum(self.run.action_repeats.values()))
        except TypeError as error:
            raise FolderError(f'The newest checkpoint of {self.folder.directory} was saved with another progress '
                              f'than this version keeps: {error}.') from error
        # Seeds that were trained together may have been saved with too few updates, when one of them gave up.
        self.progress.updates = max(self.progress.updates, updates)


def write_given(seed: Seed, episodes: Trajectory) -> None:
    """Writes given episodes as the first ones of a run.

    Args:
        seed: without episodes, of one task.
        episodes: with leading [E], NumPy arrays.
    """
    for number in range(len(episodes.length)):
        one = jax.tree.map(lambda leaf, number=number: leaf[number][None], episodes)
        seed.write_episodes(one, one.reward.sum(-1, dtype=np.float64), np.full(1, np.nan), {}, {})
