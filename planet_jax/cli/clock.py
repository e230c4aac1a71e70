"""Where a run's time goes, and at what pace."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Measures phases of work.

    Attributes:
        seconds: spent in each phase since the run began, over all its processes.
    """

    def __init__(self, seconds: dict[str, float]):
        """Goes on from the seconds of earlier processes; they are added to in place."""
        self.seconds = seconds
        self._started = time.monotonic()
        self._times: dict[str, int] = {}
        self._pace: dict[str, float] = {}

    @contextmanager
    def measure(self, phase: str, units: int = 1) -> Iterator[None]:
        """Times a piece of work of so many units; one that raises counts nothing."""
        begun = time.monotonic()
        yield
        spent = time.monotonic() - begun
        self.seconds[phase] = self.seconds.get(phase, 0.0) + spent
        times = self._times[phase] = self._times.get(phase, 0) + 1
        # The first time, which had to be compiled, says little of the pace; later ones are smoothed.
        latest = spent / units
        self._pace[phase] = latest if times <= 2 else 0.8 * self._pace[phase] + 0.2 * latest

    def times(self, phase: str) -> int:
        """How often this process has measured the phase."""
        return self._times.get(phase, 0)

    def pace(self, phase: str) -> float | None:
        """Seconds per unit lately; none if the phase was never measured."""
        return self._pace.get(phase)

    @property
    def elapsed(self) -> float:
        """Seconds since this process began."""
        return time.monotonic() - self._started
