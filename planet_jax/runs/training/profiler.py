"""Records one episode and its updates with JAX's profiler."""

from pathlib import Path

import jax


class Profiler:
    """Records once.

    Attributes:
        directory: where the recording is written.
        state: 'wanted', 'recording' or 'done'.
    """

    def __init__(self, directory: Path):
        """Records nothing yet."""
        self.directory, self.state = directory, 'wanted'

    def begin(self) -> None:
        """Begins the recording, unless there was one."""
        if self.state == 'wanted':
            options = jax.profiler.ProfileOptions()
            # Recording every Python call would take longer than the calls.
            options.python_tracer_level = 0
            jax.profiler.start_trace(self.directory, profiler_options=options)
            self.state = 'recording'

    def end(self) -> Path | None:
        """Ends the recording and returns its file; None without a recording."""
        if self.state != 'recording':
            return None
        self.state = 'done'
        jax.profiler.stop_trace()
        return max(self.directory.glob('plugins/profile/*/*.trace.json.gz'), default=None)
