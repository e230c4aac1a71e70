"""The events of a training, for a reporter to put into words."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from planet_jax.runs.run import Run

Work = Literal['compile', 'seed', 'learn', 'collect', 'evaluate', 'save']


class TimeLeft(NamedTuple):
    """The time left of a training.

    Attributes:
        seconds: None if unknown.
        limit: whether the time limit ends the training before the last episode.
    """

    seconds: float | None
    limit: bool = False


class Opening(NamedTuple):
    """The facts before the first step.

    Attributes:
        run: of the first seed.
        seeds: all seed numbers.
        episodes: of each task in the data at the end.
        directories: of the seeds.
        device: in words.
        placement: of the replay.
        replay_bytes: memory of the replay there.
        seeds_on_device: every number of seeds that one device has computed together in these folders.
    """

    run: Run
    seeds: Sequence[int]
    episodes: int
    directories: Sequence[Path]
    device: str
    placement: Literal['device', 'host']
    replay_bytes: int
    seeds_on_device: Sequence[int]


class Reporter:
    """Receives every event. This base class ignores them. Episodes are counted for each task."""

    def note(self, sentence: str) -> None:
        """A sentence for the user, from the run folder, a sink or a picture."""

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Lasts while the simulator starts and folders are opened."""
        yield

    def opened(self, opening: Opening) -> None:
        """The folders are open; `resumed` follows if there is a checkpoint."""

    def resumed(self, episodes: int, updates: int, changes: Sequence[str]) -> None:
        """The newest checkpoints are restored. With changes, see `RunFolder`, numbers go on to rounding only."""

    def complete(self, episodes: int) -> None:
        """All episodes are collected, and nothing is left to do."""

    def baselines(self, means: Mapping[str, float]) -> None:
        """The mean return of each baseline, by name."""

    @contextmanager
    def watching(self, episodes: int, done: int) -> Iterator[None]:
        """Lasts while the training runs."""
        yield

    def phase(self, work: Work, *, total: int | None = None, done: int = 0, episode: int | None = None,
              task: str | None = None, first: bool = False) -> None:
        """A piece of work begins or continues.

        Args:
            work: its kind.
            total: its updates or agent steps, if known.
            done: updates or agent steps done.
            episode: number of the episode that is collected.
            task: that is evaluated, if the run has several.
            first: whether this process does the work for the first time, and so compiles it.
        """

    def advance(self, steps: int) -> None:
        """The number of agent steps of the phase that are done."""

    def time_left(self, episodes: int, left: TimeLeft) -> None:
        """The time left."""

    def updated(self, episodes: int, loss: float, seconds: float) -> None:
        """After a call of `learn`: the loss of its last update, averaged over the seeds, and seconds per update."""

    def paces(self, update: float, plan: float, left: TimeLeft) -> None:
        """Once, when both are known: seconds of an update and of a planned step, and the time left."""

    def faults(self, count: int) -> None:
        """The number of failures of the environments in this process."""

    def episode(self, episodes: int, returns: np.ndarray, losses: Mapping[str, float], env_steps: int, pace: float,
                left: TimeLeft) -> None:
        """An episode of each task was added.

        Args:
            episodes: so far.
            returns: [P, E].
            losses: means over the updates before the episode, of one seed; empty before the first update.
            env_steps: so far, of one seed.
            pace: agent steps of all seeds and tasks per second.
            left: until the end.
        """

    def evaluation(self, episodes: int, task: str, returns: np.ndarray, baselines: Mapping[str, float]) -> None:
        """A task was evaluated.

        Args:
            episodes: of each task in the data.
            task: its name.
            returns: [P, episodes of the evaluation].
            baselines: mean returns on the task, by name.
        """

    def evaluated(self, episodes: int, mean: float, scores: Sequence[float]) -> None:
        """All tasks were evaluated.

        Args:
            episodes: so far.
            mean: over the tasks.
            scores: means of all evaluations so far.
        """

    def profiled(self, episode: int, trace: Path | None, directory: Path) -> None:
        """An episode was recorded by the profiler.

        Args:
            episode: its number; None if the training ended before one was recorded.
            trace: the file, or None.
            directory: of the recording.
        """

    def stopping(self, reason: str) -> None:
        """It is time to stop."""

    def finished(self, episodes: int, updates: int, scores: Sequence[float], baselines: Mapping[str, float],
                 complete: bool) -> None:
        """The last checkpoint is saved; `complete` tells whether all episodes are collected."""
