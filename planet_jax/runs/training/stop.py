"""Stops a run at a safe moment after a signal or at the time limit."""

import os
import signal
import time


class Stopped(Exception):
    """Raised inside work that may be dropped, such as an unfinished episode."""


class Stop:
    """Records that the run should stop, and its exit status.

    SIGTERM, SIGINT and SIGHUP are obeyed after the current unit of work; a second one ends the process at once. The
    time limit stops in the same way, with exit status 0. A SIGHUP that is ignored, as by nohup, stays ignored.
    """

    def __init__(self, minutes: float | None):
        """Begins to listen.

        Args:
            minutes: time limit from now; None for no limit.
        """
        self.reason: str | None = None
        self.status = 0
        self._deadline = time.monotonic() + 60 * minutes if minutes is not None else None
        numbers = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        self._previous = {number: signal.signal(number, self._receive) for number in numbers}

    def _receive(self, number: int, frame: object) -> None:
        if self.status:
            os._exit(128 + number)
        self.reason, self.status = f'{signal.Signals(number).name} was received', 128 + number

    def asked(self) -> bool:
        """Whether to stop now."""
        if self.reason is None and self.seconds_left() == 0:
            self.reason = 'the time limit is reached'
        return self.reason is not None

    def seconds_left(self) -> float | None:
        """Seconds until the time limit; None without a limit."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    def check(self) -> None:
        """Raises `Stopped` if it is time to stop."""
        if self.asked():
            raise Stopped

    def close(self) -> None:
        """Restores the signal handlers."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
