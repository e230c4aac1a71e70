"""The progress of a long run: a live display on a terminal, plain lines elsewhere."""

import time

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

QUIET_SECONDS = 10.0
"""Seconds between two reports of a long phase without a terminal."""


class Display:
    """Shows the progress of a run, its current work, and the time left.

    Attributes:
        total: units of work in the current phase; None if unknown.
    """

    def __init__(self, console: Console, episodes: int, done: int = 0):
        """Makes the display, which is shown as a context manager.

        Args:
            console: where it is shown.
            episodes: episodes of the whole run.
            done: episodes that the run already has.
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
        """Prints a line that stays."""
        self._console.print(sentence, soft_wrap=True, highlight=False, markup=False)
        self._spoken = time.monotonic()

    def phase(self, name: str, total: int | None = None, unit: str = '') -> None:
        """Begins a phase, unless it is the current one.

        Args:
            name: of the phase, such as 'learning'.
            total: units of work in the phase, if known.
            unit: name of the units.
        """
        if (name, total) == (self._phase, self.total):
            return
        self._phase, self.total, self._unit = name, total, unit
        if self._live:
            self._bars.reset(self._work, total=total, description=name, unit=unit)

    def advance(self, done: int) -> None:
        """Sets how many units of the phase are done."""
        if self._live:
            self._bars.update(self._work, completed=done)
        elif time.monotonic() - self._spoken > QUIET_SECONDS:
            facts = ''.join(f', {name} {value}' for name, value in self._facts.items())
            share = f'{done}' if self.total is None else f'{done}/{self.total}'
            self.say(f'  {self._phase} {share} {self._unit}{facts}')

    def facts(self, episodes: int, **facts: str) -> None:
        """Sets the number of episodes, and figures to show beside it; underscores in names become spaces."""
        self._facts |= {name.replace('_', ' '): value for name, value in facts.items()}
        if self._live:
            self._bars.update(self._run, completed=episodes)
