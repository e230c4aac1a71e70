"""Options that several commands share."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from planet_jax.config import Config
from planet_jax.runs.options import Options as RunOptions


class HasSettings:
    """Marks the options of commands that start from a preset: their fields `preset` and `config` are found for them."""


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(HasSettings, RunOptions):
    """What `train` and `sweep` have in common."""

    config: Annotated[Config, tyro.conf.arg(name=''), tyro.conf.FlagConversionOff] = field(default_factory=Config)
    """Settings of the run."""

    def apply_debugging(self) -> None:
        """Sets JAX up for `debug_nans`, before anything is compiled."""
        if self.debug_nans:
            import jax
            jax.config.update('jax_debug_nans', True)


@dataclass(frozen=True, kw_only=True)
class OfRun:
    """What the commands on the agent of a run have in common."""

    run: Path
    """Folder of the run: LOGDIR/TASK/METHOD/SEED."""
    trust_task: bool = False
    """Import your own module if the run's task names one; importing it runs its code."""


def at_least(command: object, **least: float) -> None:
    """Check numbers of a command.

    Args:
        command: its options.
        **least: of each option by name, the smallest valid value.

    Raises:
        ValueError: an option is smaller; the message has the nearest valid value.
    """
    for name, bound in least.items():
        if (value := getattr(command, name)) < bound:
            raise ValueError(f'{name} is {value}, but must be at least {bound}: the nearest valid value is {bound}.')
