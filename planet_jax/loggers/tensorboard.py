"""TensorBoard: event files in the run folder."""

import time
from collections.abc import Mapping
from pathlib import Path


class TensorBoard:
    """Event files in the run folder's `tensorboard/`, one for each process that worked on the run.

    Every event is written at once, in this thread. On a full disk, the thread of tensorboardX would die, and its full
    queue would block the program.
    """

    def __init__(self, directory: Path, step: int):
        """Begins a file.

        Args:
            directory: of the run.
            step: environment steps so far; TensorBoard drops later events of earlier processes.
        """
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        folder = directory / 'tensorboard'
        folder.mkdir(exist_ok=True)
        self._writer = EventsWriter(str(folder / 'events'), f'.{time.time_ns()}')
        self._write(step + 1, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes numbers by name."""
        from tensorboardX import summary

        for name, value in values.items():
            self._write(step, summary=summary.scalar(name, value))

    def image(self, step: int, title: str, path: Path) -> None:
        """Writes a PNG."""
        import numpy as np
        from PIL import Image
        from tensorboardX import summary

        with Image.open(path) as picture:
            self._write(step, summary=summary.image(title, np.asarray(picture.convert('RGB')), dataformats='HWC'))

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()

    def _write(self, step, **content):
        from tensorboardX.proto.event_pb2 import Event

        self._writer.write_event(Event(wall_time=time.time(), step=step, **content))
        self._writer.flush()
