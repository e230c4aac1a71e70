"""Where a run's numbers and pictures go besides its own files: TensorBoard, and Weights & Biases if asked for.

Nothing here is needed to go on with a run, so a sink that fails is switched off after one warning.
"""

import contextlib
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from planet_jax.storage.files import read_text, write_text

SinkName = Literal['tensorboard', 'wandb']


class Sink(NamedTuple):
    """A place to send to; steps are environment steps.

    Attributes:
        scalars: (step, name -> value).
        image: (step, name, path of a PNG).
        close: ends it.
    """

    scalars: Callable[[int, Mapping[str, float]], None]
    image: Callable[[int, str, Path], None]
    close: Callable[[], None]


def tensorboard(directory: Path, step: int) -> Sink:
    """Event files in the run folder's `tensorboard/`, one for each process that worked on the run.

    They are written here and now: with a full disk, the thread that tensorboardX would write in ends, and its queue
    then stops the program.

    Args:
        directory: of the run.
        step: environment steps so far; TensorBoard leaves out what an earlier process wrote after it.
    """
    import numpy as np
    from PIL import Image
    from tensorboardX import summary
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto import event_pb2

    folder = directory / 'tensorboard'
    folder.mkdir(exist_ok=True)
    writer = EventsWriter(str(folder / 'events'), f'.{time.time_ns()}')

    def write(step, **content):
        writer.write_event(event_pb2.Event(wall_time=time.time(), step=step, **content))
        writer.flush()

    write(step + 1, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))

    def scalars(step, values):
        for name, value in values.items():
            write(step, summary=summary.scalar(name, value))

    def image(step, name, path):
        with Image.open(path) as picture:
            write(step, summary=summary.image(name, np.asarray(picture.convert('RGB')), dataformats='HWC'))

    return Sink(scalars, image, writer.close)


def wandb(directory: Path, step: int) -> Sink:
    """A run of Weights & Biases, in the project `planet_jax` unless WANDB_PROJECT says otherwise.

    `config.json` is sent too. The run of a folder stays one run there when it goes on. WANDB_MODE=offline sends
    nothing.

    Args:
        directory: of the run.
        step: environment steps so far.

    Raises:
        ModuleNotFoundError: the package is not installed.
        RuntimeError: nobody is logged in; the message names the settings.
    """
    import wandb

    (directory / 'wandb').mkdir(exist_ok=True)
    identity = directory / 'wandb' / 'id'
    if not identity.exists():
        write_text(identity, uuid.uuid4().hex[:8])
    try:
        run = wandb.init(
            project=os.environ.get('WANDB_PROJECT', 'planet_jax'), dir=directory, name='-'.join(directory.parts[-3:]),
            id=read_text(identity), resume='allow', config=json.loads(read_text(directory / 'config.json')),
            settings=wandb.Settings(silent=True, init_timeout=30))
    except wandb.errors.UsageError as error:  # No login: it would ask for one.
        raise RuntimeError(f'{error} Run `wandb login` first, or set WANDB_API_KEY; WANDB_MODE=offline needs neither'
                           ) from error
    run.define_metric('*', step_metric='env_steps')
    return Sink(
        lambda step, values: run.log({**values, 'env_steps': step}),
        lambda step, name, path: run.log({name: wandb.Image(str(path)), 'env_steps': step}),
        run.finish)


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


OPENERS = {'tensorboard': tensorboard, 'wandb': wandb}


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
        self._say, self._open = say, {}
        for name in names:
            self._try(name, lambda name=name: self._open.update({name: OPENERS[name](directory, step)}))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Sends numbers to all that are open."""
        for name, sink in [*self._open.items()]:
            self._try(name, lambda sink=sink: sink.scalars(step, values))

    def image(self, step: int, title: str, path: Path) -> None:
        """Sends a picture, a PNG, to all that are open."""
        for name, sink in [*self._open.items()]:
            self._try(name, lambda sink=sink: sink.image(step, title, path))

    def close(self) -> None:
        """Ends them."""
        for name, sink in [*self._open.items()]:
            self._try(name, sink.close)
        self._open.clear()

    def _try(self, name: str, work: Callable[[], None]) -> None:
        try:
            with _nobody_answers():
                work()
        except Exception as error:  # libraries and networks fail in ways of their own
            self._open.pop(name, None)
            self._say(f'{name} is switched off, and the run goes on without it: {type(error).__name__}: {error}.')
