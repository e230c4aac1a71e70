"""`planet-jax imagine`: draws what the planner considers in one state, and what the model imagines."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from planet_jax.cli.options import OfRun
from planet_jax.cli.values import new_file


@dataclass(frozen=True, kw_only=True)
class Imagine(OfRun):
    """Draw the planner's search in one state, and what the model imagines."""

    step: int = 20
    """Agent steps of the first evaluation episode before the search."""
    task: str | None = None
    """One of the run's tasks; by default the first."""
    out: Path | None = None
    """The picture, .png; by default TASK-EPISODES-STEP.png."""


def run(command: Imagine, arguments: Sequence[str], console: Console) -> int:
    """Draws the search of a run's agent at one step of its first evaluation episode.

    Raises:
        FolderError: it is no run folder, or has no checkpoint that verifies.
        ValueError: the run has no such task, or the episode no such step.
        FileExistsError: there is such a file already.
        RuntimeError: images cannot be rendered here.
    """
    from planet_jax import envs
    from planet_jax.pictures.video import write_picture
    from planet_jax.runs.trained.agent import Trained
    from planet_jax.runs.trained.searches import Search
    from planet_jax.scores.numbers import significant

    del arguments
    trained = Trained.read(command.run, command.trust_task)
    task = command.task or trained.run.tasks[0]
    steps = trained.steps_of(task)
    if not 0 <= command.step < steps:
        raise ValueError(f'The step is {command.step}, but must be 0 to {steps - 1}: the nearest valid value is '
                         f'{min(max(command.step, 0), steps - 1)}.')
    path = new_file(command.out or Path(f'{envs.file_name(task)}-{trained.episodes:06d}-{command.step}.png'), '.png')
    search = Search.of(trained, task, command.step)
    write_picture(path, search.draw())
    first, last = search.iterations[0], search.iterations[-1]
    console.print(f'{path}: expected return of the elites {significant(search.elite_return(first))} in iteration 1, '
                  f'{significant(search.elite_return(last))} in iteration {len(search.iterations)}; std of the plan '
                  f'{first.std.mean():.3g}, then {last.std.mean():.3g}', highlight=False, markup=False, soft_wrap=True)
    return 0
