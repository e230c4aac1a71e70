"""Consoles whose readers may leave: nothing that cannot be printed ends a command."""

import contextlib
import os
import sys
from typing import IO, Any

from rich.console import Console


class Steady:
    """A stream of text that is written into while it can be, and then into nothing.

    A pipe whose reader has ended, a terminal that was closed and a full disk all fail as OSError. What a command is
    about does not depend on whether somebody reads it.
    """

    def __init__(self, stream: IO[str]):
        """Args: sys.stdout or sys.stderr."""
        self._stream, self._broken = stream, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes, if there is still somebody to read it."""
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Hands on what was written."""
        self._try(self._stream.flush)

    def _try(self, function, *arguments):
        if not self._broken:
            try:
                function(*arguments)
            except OSError:
                self._broken = True
                # What is still in the stream's buffer must not fail again when the process ends.
                with contextlib.suppress(OSError), open(os.devnull, 'w') as nowhere:
                    os.dup2(nowhere.fileno(), self._stream.fileno())


def make(stderr: bool = False) -> Console:
    """A console for this process's stdout or stderr."""
    stream: Any = Steady(sys.stderr if stderr else sys.stdout)
    return Console(file=stream, stderr=stderr)
