"""`planet-jax report`: writes one HTML file about one run or several."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from planet_jax.cli.values import new_file


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write one HTML file on what runs have learned."""

    run: tuple[Path, ...]
    """Folders of the runs, LOGDIR/TASK/METHOD/SEED, which are shown side by side."""
    out: Path = Path('report.html')
    """The file, .html."""
    step: int = 20
    """Agent step of the first evaluation episode whose search is drawn."""
    quick: bool = False
    """Only show what the folders hold; do not run the agents."""
    trust_task: bool = False
    """Allow a run's task to import a module of yours, which runs the module's code."""

    def __post_init__(self):
        if not self.run:
            raise ValueError('No run is named: give at least one run folder after --run.')
        if self.step < 0:
            raise ValueError(f'The step is {self.step}, but must be at least 0: the nearest valid value is 0.')


def run(command: Report, arguments: Sequence[str], console: Console) -> int:
    """Writes the report.

    Raises:
        FolderError: one is no run folder, or a file in it is damaged.
        FileExistsError: there is such a file already.
        ImportError: altair is not installed.
    """
    del arguments
    new_file(command.out, '.html')
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise RuntimeError("The charts of a report need altair: pip install 'planet-jax[report]'.") from error
    from planet_jax.cli.progress import Display
    from planet_jax.runs.trained.report import make_report

    began = time.monotonic()
    with Display(console, len(command.run)) as display:
        display.phase('letting the agent act', None, 'steps')
        size = make_report(command.run, command.out, step=command.step, agent=not command.quick,
                           trust_task=command.trust_task, say=display.say, advance=display.advance)
    console.print(f'{command.out}: {size / 1e6:.1f} MB, made in {time.monotonic() - began:.0f} s', highlight=False,
                  markup=False, soft_wrap=True)
    return 0
