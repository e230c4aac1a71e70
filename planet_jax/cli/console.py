"""Consoles that survive a closed pipe, a closed terminal or a full disk: output that is lost ends no command."""

import contextlib
import os
import sys
from typing import IO, Any

from rich.console import Console


class Steady:
    """A text stream that drops its output after the first OSError.

    A pipe without a reader, a closed terminal and a full disk all raise OSError. A training must go on although nobody
    reads its output.
    """

    def __init__(self, stream: IO[str]):
        """Args: sys.stdout or sys.stderr."""
        self._stream, self._broken = stream, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes, unless an earlier write has failed."""
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Flushes the stream."""
        self._try(self._stream.flush)

    def _try(self, function, *arguments):
        if not self._broken:
            try:
                function(*arguments)
            except OSError:
                self._broken = True
                # The rest of the buffer must not fail again when the process ends.
                with contextlib.suppress(OSError), open(os.devnull, 'w') as nowhere:
                    os.dup2(nowhere.fileno(), self._stream.fileno())


def make(stderr: bool = False) -> Console:
    """A console for this process's stdout or stderr."""
    stream: Any = Steady(sys.stderr if stderr else sys.stdout)
    return Console(file=stream, stderr=stderr)
