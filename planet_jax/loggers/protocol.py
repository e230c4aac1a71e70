"""The protocol of a sink, which gets a run's numbers and pictures besides the run's own files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Sink(Protocol):
    """An open sink. An exception switches it off after one warning. Steps are environment steps."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Sends numbers by name."""

    def image(self, step: int, title: str, path: Path) -> None:
        """Sends a picture, a PNG."""

    def close(self) -> None:
        """Closes the sink."""


class Opener(Protocol):
    """Opens a sink."""

    def __call__(self, directory: Path, step: int) -> Sink:
        """Opens the sink of a run.

        Args:
            directory: of the run.
            step: environment steps so far, where the sink continues.
        """
