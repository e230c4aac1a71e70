"""Options that several commands share."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from planet_jax.config import Config
from planet_jax.runs.options import Options as RunOptions


class HasSettings:
    """Marks commands that start from a preset: `parsing` fills their fields `preset` and `config`."""


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(HasSettings, RunOptions):
    """The options that `train` and `sweep` share."""

    config: Annotated[Config, tyro.conf.arg(name=''), tyro.conf.FlagConversionOff] = field(default_factory=Config)
    """Settings of the run."""

    def apply_debugging(self) -> None:
        """Switches on JAX's check for NaNs if asked to, before anything is compiled."""
        if self.debug_nans:
            import jax
            jax.config.update('jax_debug_nans', True)


@dataclass(frozen=True, kw_only=True)
class OfRun:
    """The options of every command on a trained agent."""

    run: Path
    """Folder of the run, LOGDIR/TASK/METHOD/SEED."""
    trust_task: bool = False
    """Allow the run's task to import a module of yours, which runs the module's code."""


def at_least(command: object, **least: float) -> None:
    """Checks that options are not too small.

    Args:
        command: the options of a command.
        **least: the smallest valid value of each option, by name.

    Raises:
        ValueError: an option is smaller. The message names the nearest valid value.
    """
    for name, bound in least.items():
        if (value := getattr(command, name)) < bound:
            raise ValueError(f'{name} is {value}, but must be at least {bound}: the nearest valid value is {bound}.')
