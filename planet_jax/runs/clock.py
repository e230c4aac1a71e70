"""Where a run's time goes, and at what pace."""

import statistics
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from planet_jax.config import Config


def units_left(config: Config, tasks: int, episodes: int, done: int, updates: int) -> dict[str, float]:
    """What a run has still to do in each phase.

    Args:
        config: of the run.
        tasks: that its agent learns.
        episodes: of each task in the data at the end.
        done: of them, already there.
        updates: done.

    Returns:
        seed episodes, updates, planned episodes of each task, and evaluations of a task that come after this moment,
        one with a part of its episodes being that part of one.
    """
    seeds, interval = config.collector.seed_episodes, config.collector.interval(tasks)
    planned = max(episodes - max(done, seeds), 0)
    evaluations = config.evaluation.amount(done, episodes)
    return {'seed': max(seeds - done, 0), 'collect': planned, 'evaluate': evaluations * tasks,
            'learn': max(planned * interval - (updates - max(done - seeds, 0) * interval), 0)}


def phases(seconds: Mapping[str, float]) -> dict[str, float]:
    """The seconds of phases alone: without their parts, such as learn_xla, and without paces, such as learn_each."""
    return {name: value for name, value in seconds.items()
            if not name.endswith('_each') and not any(name.startswith(f'{other}_') for other in seconds)}


class Clock:
    """Measures phases of work.

    Attributes:
        seconds: spent in each phase, and in its parts, since the run began, over all its processes.
    """

    def __init__(self, seconds: dict[str, float]):
        """Goes on from the seconds of earlier processes; they are added to in place."""
        self.seconds = seconds
        self._times: dict[str, int] = {}
        self._latest: dict[str, deque[float]] = {}
        self._under_way: tuple[str, float, float] | None = None
        self._parts: dict[str, float] = {}

    @contextmanager
    def measure(self, phase: str, units: float = 1) -> Iterator[None]:
        """Times a piece of work of so many units; one that raises counts nothing."""
        begun = time.monotonic()
        self._under_way, self._parts = (phase, begun, 0.0), {}
        import jax  # Loaded long ago where something is measured; `info` only reckons.

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
        if times <= 2:  # The first time, which had to be compiled, says little of the pace.
            self._latest[phase] = deque(maxlen=9)
        self._latest[phase].append(spent / units)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Times a part of the unit that is being measured, if one is; its seconds are those of 'phase_name'."""
        begun = time.monotonic()
        yield
        self._add(name, time.monotonic() - begun)

    def _listen(self, event: str, seconds: float, **_: object) -> None:
        """What XLA compiles, or reads from its cache, is a part of the phase that needed it."""
        if event == '/jax/core/compile/backend_compile_duration':
            self._add('xla', seconds)

    def _add(self, part: str, seconds: float) -> None:
        if self._under_way:
            name = f'{self._under_way[0]}_{part}'
            self._parts[name] = self._parts.get(name, 0.0) + seconds

    def mark(self, share: float) -> None:
        """Notes which share of the unit that is being measured is done, 0 to 1."""
        phase, begun, _ = self._under_way
        self._under_way = phase, begun, share

    def times(self, phase: str) -> int:
        """How often this process has measured the phase."""
        return self._times.get(phase, 0)

    def pace(self, phase: str) -> float | None:
        """Seconds per unit lately, the median of nine; none if the phase was never measured.

        A mean would be spoiled by one update that had to compile something.
        """
        return statistics.median(self._latest[phase]) if phase in self._latest else None

    def remaining(self, units: dict[str, float], guesses: dict[str, float]) -> float | None:
        """Seconds that the rest of the work takes, the unit being measured included.

        Args:
            units: left in each phase.
            guesses: seconds per unit, for phases that were not measured yet.

        Returns:
            none if the pace of a phase is not known.
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
