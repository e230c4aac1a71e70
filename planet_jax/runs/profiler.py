"""A recording of one episode and its updates with JAX's profiler."""

from pathlib import Path

import jax


class Profiler:
    """Records once.

    Attributes:
        directory: where to.
        state: 'wanted', 'recording' or 'done'.
    """

    def __init__(self, directory: Path):
        """Nothing is recorded yet."""
        self.directory, self.state = directory, 'wanted'

    def begin(self) -> None:
        """Begins to record, if that is still wanted."""
        if self.state == 'wanted':
            options = jax.profiler.ProfileOptions()
            # Every Python call would be recorded, which takes longer than what it calls.
            options.python_tracer_level = 0
            jax.profiler.start_trace(self.directory, profiler_options=options)
            self.state = 'recording'

    def end(self) -> Path | None:
        """Ends the recording; the file that it is in, or none if there was no recording."""
        if self.state != 'recording':
            return None
        self.state = 'done'
        jax.profiler.stop_trace()
        return max(self.directory.glob('plugins/profile/*/*.trace.json.gz'), default=None)
