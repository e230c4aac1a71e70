"""How the files of a data set are laid out; a command line is parsed with it, so it imports little."""

from dataclasses import dataclass
from typing import Literal

from planet_jax.config.checks import LARGEST_BOUND


@dataclass(frozen=True)
class Layout:
    """Names and meaning of the arrays in a file."""

    observation: str = 'observation'
    """Name of the observations, uint8 [rows, height, width, channels] or real numbers [rows, n]; in a Minari data
    set with several, the one to use."""
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
        if not -LARGEST_BOUND <= self.action_low < self.action_high <= LARGEST_BOUND:
            raise ValueError(f'The actions are to go from {self.action_low} to {self.action_high}, but the former must '
                             f'be below the latter, and both {LARGEST_BOUND:.0e} at most.')
