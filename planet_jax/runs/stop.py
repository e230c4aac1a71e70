"""Stopping a run: signals and the time limit, obeyed at the next safe moment."""

import os
import signal
import time


class Stopped(Exception):
    """Raised inside a long piece of work that may be dropped, such as an episode under way."""


class Stop:
    """Notes that the run should end, and with which exit status.

    SIGTERM, SIGINT and SIGHUP are obeyed after the current unit of work; a second one ends the process at once. The
    time limit stops as a signal would, but with exit status 0. A SIGHUP that is ignored, as by nohup, stays ignored.
    """

    def __init__(self, minutes: float | None):
        """Begins to listen.

        Args:
            minutes: of wall-clock time from now; none for no limit.
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
        """Until the time limit; none if there is no limit."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    def check(self) -> None:
        """Raises `Stopped` if it is time to stop."""
        if self.asked():
            raise Stopped

    def close(self) -> None:
        """Gives the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
