"""`planet-jax train`: trains an agent, or continues its training."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from planet_jax.cli.options import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class Train(TrainingOptions):
    """Train an agent on a task, or continue its training."""

    task: str
    """A task of dm_control's suite, such as walker_walk or cup_catch; toy_point; or a task of your own, such as
    gymnasium:Pendulum-v1 or my_module:MyEnv. One agent learns several tasks whose names are joined by commas, or the
    six of the paper, which are called all."""
    seed: int = 0
    """Seed of every random number."""


def run(command: Train, arguments: Sequence[str], console: Console) -> int:
    """Trains; returns the exit status of `Training.main`."""
    from planet_jax.cli.reporter import Terminal
    from planet_jax.runs.training.process import Training

    del arguments
    command.apply_debugging()
    reporter = Terminal(console)
    with reporter.starting():
        training = Training([command.member(command.task, command.seed)], command, reporter)
    return training.main()
