"""The table of sinks, and all sinks of a run.

A run needs no sink, so one that fails is switched off after one warning.
"""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from planet_jax.loggers.protocol import Opener, Sink
from planet_jax.loggers.tensorboard import TensorBoard
from planet_jax.loggers.wandb import WandB

OPENERS: dict[str, Opener] = {'tensorboard': TensorBoard, 'wandb': WandB}
"""Sinks by their name in --sinks."""

if TYPE_CHECKING:
    SinkName = str
else:
    SinkName = Literal[tuple(OPENERS)]


@contextlib.contextmanager
def _nobody_answers() -> Iterator[None]:
    """Hides the terminal, so that a library that asks a question fails at once instead of waiting."""
    before = sys.stdin
    with open(os.devnull, encoding='utf-8') as nothing:
        sys.stdin = nothing
        try:
            yield
        finally:
            sys.stdin = before


class Sinks:
    """All sinks of one run folder. An exception in one sink does not affect the others."""

    def __init__(self, names: Sequence[SinkName], directory: Path, step: int, say: Callable[[str], None]):
        """Opens the sinks.

        Args:
            names: of the sinks.
            directory: of the run.
            step: environment steps so far.
            say: called with a sentence when a sink is switched off.
        """
        self._say = say
        self._open: dict[str, Sink] = {}
        for name in names:
            self._try(name, functools.partial(self._begin, name, directory, step))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Sends numbers to all open sinks."""
        for name, sink in [*self._open.items()]:
            self._try(name, functools.partial(sink.scalars, step, values))

    def image(self, step: int, title: str, path: Path) -> None:
        """Sends a PNG to all open sinks."""
        for name, sink in [*self._open.items()]:
            self._try(name, functools.partial(sink.image, step, title, path))

    def close(self) -> None:
        """Closes all sinks."""
        for name, sink in [*self._open.items()]:
            self._try(name, sink.close)
        self._open.clear()

    def _begin(self, name: SinkName, directory: Path, step: int) -> None:
        self._open[name] = OPENERS[name](directory, step)

    def _try(self, name: str, work: Callable[[], None]) -> None:
        try:
            with _nobody_answers():
                work()
        except Exception as error:  # Libraries and networks raise anything.
            self._open.pop(name, None)
            self._say(f'{name} is switched off, and the run goes on without it: {type(error).__name__}: {error}.')
