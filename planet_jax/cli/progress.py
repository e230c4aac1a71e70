"""What a person sees of a long run: a live display on a terminal, plain lines elsewhere."""

import time

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

QUIET_SECONDS = 10.0
"""Without a terminal, a long phase is reported this often."""


class Display:
    """Shows how far a run is, what it is doing, and how long it will take.

    Attributes:
        total: units of work in the phase that is shown; none if not known.
    """

    def __init__(self, console: Console, episodes: int, done: int = 0):
        """Begins to show; use it as a context manager.

        Args:
            console: where to.
            episodes: of the whole run.
            done: of them, already there.
        """
        self._console = console
        self._facts: dict[str, str] = {}
        self._phase, self._unit, self._spoken = '', '', time.monotonic()
        self.total: int | None = None
        self._live = None
        if console.is_terminal:
            self._bars = Progress(SpinnerColumn(), TextColumn('{task.description:<26}'), BarColumn(bar_width=30),
                                  MofNCompleteColumn(), TextColumn('{task.fields[unit]:<8}'), TimeElapsedColumn(),
                                  console=console)
            self._run = self._bars.add_task('run', total=episodes, completed=done, unit='episodes')
            self._work = self._bars.add_task('starting', total=None, unit='')
            self._live = Live(get_renderable=self._render, console=console, refresh_per_second=5, transient=True)

    def __enter__(self) -> 'Display':
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def _render(self) -> Group:
        facts = Text('   '.join(f'{name} {value}' for name, value in self._facts.items()), style='dim')
        return Group(self._bars, facts)

    def say(self, sentence: str) -> None:
        """A line that stays."""
        self._console.print(sentence, soft_wrap=True, highlight=False, markup=False)
        self._spoken = time.monotonic()

    def phase(self, name: str, total: int | None = None, unit: str = '') -> None:
        """What begins now; nothing happens if it is what is shown already.

        Args:
            name: such as 'learning'.
            total: units of work in it, if known.
            unit: their name.
        """
        if (name, total) == (self._phase, self.total):
            return
        self._phase, self.total, self._unit = name, total, unit
        if self._live:
            self._bars.reset(self._work, total=total, description=name, unit=unit)

    def advance(self, done: int) -> None:
        """How many units of the phase's work are done."""
        if self._live:
            self._bars.update(self._work, completed=done)
        elif time.monotonic() - self._spoken > QUIET_SECONDS:
            facts = ''.join(f', {name} {value}' for name, value in self._facts.items())
            self.say(f'  {self._phase} {done}/{self.total} {self._unit}{facts}')

    def facts(self, episodes: int, **facts: str) -> None:
        """How far the run is, and figures to show with it; underscores in names become spaces."""
        self._facts |= {name.replace('_', ' '): value for name, value in facts.items()}
        if self._live:
            self._bars.update(self._run, completed=episodes)
