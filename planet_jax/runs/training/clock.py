"""Measures where a run's time goes, and at what pace."""

import statistics
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from planet_jax.config import Config


def units_left(config: Config, tasks: int, episodes: int, done: int, updates: int) -> dict[str, float]:
    """The work that a run has left in each phase.

    Args:
        config: of the run.
        tasks: number of tasks that the agent learns.
        episodes: of each task in the data at the end.
        done: episodes of each task that the data has now.
        updates: done so far.

    Returns:
        the remaining seed episodes, updates, planned episodes of each task, and evaluations of one task. An evaluation
        with fewer episodes counts as a fraction. Updates made during an episode belong to the episode.
    """
    seeds, interval = config.collector.seed_episodes, config.collector.interval(tasks)
    planned = max(episodes - max(done, seeds), 0)
    evaluations = config.evaluation.amount(done, episodes)
    alone = min(planned, done <= seeds) if config.collector.while_learning else planned
    return {'seed': max(seeds - done, 0), 'collect': planned, 'evaluate': evaluations * tasks,
            'learn': max(alone * interval - (updates - max(done - seeds, 0) * interval), 0)}


def phases(seconds: Mapping[str, float]) -> dict[str, float]:
    """The seconds of whole phases, without their parts (learn_xla) and paces (learn_each)."""
    return {name: value for name, value in seconds.items()
            if not name.endswith('_each') and not any(name.startswith(f'{other}_') for other in seconds)}


class Clock:
    """Measures phases of work.

    Attributes:
        seconds: spent in each phase and in its parts since the run began, over all its processes.
    """

    def __init__(self, seconds: dict[str, float]):
        """Continues from the seconds of earlier processes, and adds to them in place."""
        self.seconds = seconds
        self._times: dict[str, int] = {}
        self._latest: dict[str, deque[float]] = {}
        self._under_way: tuple[str, float, float] | None = None
        self._parts: dict[str, float] = {}

    @contextmanager
    def measure(self, phase: str, units: float = 1) -> Iterator[None]:
        """Times a piece of work of `units` units. Work that raises is not counted."""
        begun = time.monotonic()
        self._under_way, self._parts = (phase, begun, 0.0), {}
        import jax  # Whoever measures has loaded it; `info` only calculates, and is quick without.

        jax.monitoring.register_event_duration_secs_listener(self._listen)
        try:
            yield
        finally:
            jax.monitoring.unregister_event_duration_listener(self._listen)
            self._under_way = None
        spent = time.monotonic() - begun
        for name, seconds in {phase: spent, **self._parts}.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        times = self._times[phase] = self.times(phase) + 1
        if times <= 2:  # The first time includes compilation and says little about the pace.
            self._latest[phase] = deque(maxlen=9)
        self._latest[phase].append(spent / units)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Times a part of the current unit, if there is one, as 'phase_name' in `seconds`."""
        begun = time.monotonic()
        yield
        self._add(name, time.monotonic() - begun)

    def _listen(self, event: str, seconds: float, **_: object) -> None:
        """Adds XLA's compilation, or its reading from the cache, to the current phase."""
        if event == '/jax/core/compile/backend_compile_duration':
            self._add('xla', seconds)

    def _add(self, part: str, seconds: float) -> None:
        if self._under_way:
            name = f'{self._under_way[0]}_{part}'
            self._parts[name] = self._parts.get(name, 0.0) + seconds

    def mark(self, share: float) -> None:
        """Notes the share of the current unit that is done, 0 to 1."""
        phase, begun, _ = self._under_way
        self._under_way = phase, begun, share

    def times(self, phase: str) -> int:
        """How often this process has measured the phase."""
        return self._times.get(phase, 0)

    def pace(self, phase: str) -> float | None:
        """Recent seconds per unit, the median of nine; None if the phase was never measured.

        One update that compiles something would spoil a mean.
        """
        return statistics.median(self._latest[phase]) if phase in self._latest else None

    def remaining(self, units: dict[str, float], guesses: dict[str, float]) -> float | None:
        """Seconds that the remaining work takes, the rest of the current unit included.

        Args:
            units: left in each phase.
            guesses: seconds per unit of phases that have not been measured yet.

        Returns:
            None if the pace of a phase is unknown.
        """
        guesses, left = dict(guesses), 0.0
        under_way, begun, share = self._under_way or ('', 0.0, 0.0)
        if share > 0.02 and not self.times(under_way):
            guesses[under_way] = (time.monotonic() - begun) / share
        for phase, amount in units.items():
            pace = guesses.get(phase) if (known := self.pace(phase)) is None else known
            if amount > 0 and pace is None:
                return None
            if amount > 0:
                left += (amount - share * (phase == under_way)) * pace
        return left
