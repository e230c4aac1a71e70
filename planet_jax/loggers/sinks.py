"""Where a run's numbers and pictures go besides its own files: the table of sinks, and all of a run together.

Nothing here is needed to go on with a run, so a sink that fails is switched off after one warning.
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
"""By the name that --sinks takes."""

if TYPE_CHECKING:
    SinkName = str
else:
    SinkName = Literal[tuple(OPENERS)]


@contextlib.contextmanager
def _nobody_answers() -> Iterator[None]:
    """While it lasts, a library that asks a question finds no terminal: it fails at once instead of waiting."""
    before = sys.stdin
    with open(os.devnull, encoding='utf-8') as nothing:
        sys.stdin = nothing
        try:
            yield
        finally:
            sys.stdin = before


class Sinks:
    """All sinks of one run folder; what one of them raises costs that one alone."""

    def __init__(self, names: Sequence[SinkName], directory: Path, step: int, say: Callable[[str], None]):
        """Opens them.

        Args:
            names: which.
            directory: of the run.
            step: environment steps so far.
            say: called with a sentence when a sink is switched off.
        """
        self._say = say
        self._open: dict[str, Sink] = {}
        for name in names:
            self._try(name, functools.partial(self._begin, name, directory, step))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Sends numbers to all that are open."""
        for name, sink in [*self._open.items()]:
            self._try(name, functools.partial(sink.scalars, step, values))

    def image(self, step: int, title: str, path: Path) -> None:
        """Sends a picture, a PNG, to all that are open."""
        for name, sink in [*self._open.items()]:
            self._try(name, functools.partial(sink.image, step, title, path))

    def close(self) -> None:
        """Ends them."""
        for name, sink in [*self._open.items()]:
            self._try(name, sink.close)
        self._open.clear()

    def _begin(self, name: SinkName, directory: Path, step: int) -> None:
        self._open[name] = OPENERS[name](directory, step)

    def _try(self, name: str, work: Callable[[], None]) -> None:
        try:
            with _nobody_answers():
                work()
        except Exception as error:  # libraries and networks fail in ways of their own
            self._open.pop(name, None)
            self._say(f'{name} is switched off, and the run goes on without it: {type(error).__name__}: {error}.')
