"""The options that every benchmark shares, and its rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Row = dict[str, Any]
"""A measurement: `row`, its name, then numbers by name."""


@dataclass(frozen=True)
class Options:
    """The options that every benchmark shares."""

    size: Literal['planet', 'cpu', 'debug'] = 'planet'
    """Preset that is measured."""
    repeats: int = 5
    """Timed runs of each row."""
    out: Path = Path('logs/bench')
    """Folder of the JSON files."""

    def __post_init__(self):
        if self.repeats < 1:
            raise ValueError(f'repeats is {self.repeats}, but must be at least 1: the nearest valid value is 1.')
