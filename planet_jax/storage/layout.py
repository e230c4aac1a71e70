"""How the files of a data set are laid out; a command line is parsed with it, so it imports little."""

import re
from dataclasses import dataclass
from typing import Literal

from planet_jax.config.checks import LARGEST_BOUND


@dataclass(frozen=True)
class Layout:
    """Names and meaning of the arrays in a file."""

    observation: tuple[str, ...] = ('observation',)
    """Name of the observations, uint8 [rows, height, width, channels] or real numbers [rows, n], or the names of their
    parts; in a Minari data set with several, those to use."""
    action: str = 'action'
    """Name of the actions, real numbers [rows, A]."""
    reward: str = 'reward'
    """Name of the rewards, [rows]."""
    rows: Literal['auto', 'led', 'taken'] = 'auto'
    """Where there are as many actions as observations: row t has the action that led to observation t, or the one taken
    there. auto: led if the first row is zero, else the file is refused; one action fewer is always taken."""
    action_low: float = -1.0
    """Smallest action, which becomes -1."""
    action_high: float = 1.0
    """Largest action, which becomes 1."""

    def __post_init__(self):
        if not self.observation or len(set(self.observation)) < len(self.observation):
            raise ValueError(f'The observations are {" ".join(self.observation) or "none"}, but must be one name, or '
                             f'several that differ.')
        strange = [name for name in self.observation if not re.fullmatch(r'\w[\w-]*', name, re.ASCII)]
        if len(self.observation) > 1 and strange:
            raise ValueError(f'A part of the observations is {strange[0]!r}, but parameters are named by it, so it '
                             f'must be made of letters, digits, _ and -.')
        if not -LARGEST_BOUND <= self.action_low < self.action_high <= LARGEST_BOUND:
            raise ValueError(f'The actions are to go from {self.action_low} to {self.action_high}, but the former must '
                             f'be below the latter, and both {LARGEST_BOUND:.0e} at most.')
