"""Who is told what happens in a training: the facts, for somebody else to word."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from planet_jax.runs.run import Run

Work = Literal['compile', 'seed', 'learn', 'collect', 'evaluate', 'save']


class TimeLeft(NamedTuple):
    """What is left of a training.

    Attributes:
        seconds: none if that is not known yet.
        limit: whether they end with the time limit, and not with the last episode.
    """

    seconds: float | None
    limit: bool = False


class Opening(NamedTuple):
    """What is known before the first step.

    Attributes:
        run: of the first seed.
        seeds: their numbers.
        episodes: of each task in the data at the end.
        directories: of the seeds.
        device: in words.
        placement: of the replay.
        replay_bytes: there.
        seeds_on_device: all numbers of seeds that one device has computed together in these folders.
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
    """Is told what happens; this one says nothing. Counts of episodes are of each task, `left` is `TimeLeft`."""

    def note(self, sentence: str) -> None:
        """A sentence from the run folder, a sink or a picture, for the user to know."""

    @contextmanager
    def starting(self) -> Iterator[None]:
        """The simulator is started and folders are opened while this lasts."""
        yield

    def opened(self, opening: Opening) -> None:
        """The folders are open; a restored checkpoint is told of by `resumed`."""

    def resumed(self, episodes: int, updates: int) -> None:
        """The newest checkpoints are restored."""

    def complete(self, episodes: int) -> None:
        """All episodes are there, and nothing is left to do."""

    def baselines(self, means: Mapping[str, float]) -> None:
        """The mean returns of agents that look at nothing, by name."""

    @contextmanager
    def watching(self, episodes: int, done: int) -> Iterator[None]:
        """The training goes on while this lasts."""
        yield

    def phase(self, work: Work, *, total: int | None = None, done: int = 0, episode: int | None = None,
              task: str | None = None, first: bool = False) -> None:
        """A piece of work begins, or goes on.

        Args:
            work: which.
            total: updates or agent steps in it, if known.
            done: of them.
            episode: number of the episode that is collected.
            task: that is evaluated, if there are several.
            first: whether this process does it for the first time, so it is compiled before.
        """

    def advance(self, steps: int) -> None:
        """So many agent steps of the phase are done."""

    def time_left(self, episodes: int, left: TimeLeft) -> None:
        """How long it will take."""

    def updated(self, episodes: int, loss: float, seconds: float) -> None:
        """After a call of `learn`: the loss of its last update, averaged over the seeds, and seconds per update."""

    def paces(self, update: float, plan: float, left: TimeLeft) -> None:
        """Once, when both are known: seconds of an update and of a planned step."""

    def faults(self, count: int) -> None:
        """The environments have failed so often in this process."""

    def episode(self, episodes: int, returns: np.ndarray, losses: Mapping[str, float], env_steps: int, pace: float,
                left: TimeLeft) -> None:
        """An episode of each task was added.

        Args:
            episodes: so far.
            returns: [P, E].
            losses: averages of the updates before it, of one seed; nothing before the first update.
            env_steps: so far, of one seed.
            pace: agent steps of all seeds and tasks per second.
            left: until the end.
        """

    def evaluation(self, episodes: int, task: str, returns: np.ndarray, baselines: Mapping[str, float]) -> None:
        """A task was evaluated after so many episodes: returns [P, episodes of the evaluation]."""

    def evaluated(self, episodes: int, mean: float, scores: Sequence[float]) -> None:
        """All tasks were evaluated.

        Args:
            episodes: so far.
            mean: over the tasks.
            scores: of all evaluations so far.
        """

    def profiled(self, episode: int, trace: Path | None, directory: Path) -> None:
        """An episode was recorded; none as its number, and no trace: none was, since it ended before."""

    def stopping(self, reason: str) -> None:
        """It is time to stop."""

    def finished(self, episodes: int, updates: int, scores: Sequence[float], baselines: Mapping[str, float],
                 complete: bool) -> None:
        """The last checkpoint is saved; complete: all episodes are there."""
