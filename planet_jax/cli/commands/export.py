"""`planet-jax export`: writes an agent as a file that runs without this package, or episodes for others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from planet_jax.cli.options import OfRun, at_least
from planet_jax.cli.values import new_file


@dataclass(frozen=True, kw_only=True)
class Export(OfRun):
    """Write an agent as one file that runs with jax alone, or a run's episodes as a Minari data set."""

    out: Path | None = None
    """The file, .jaxexport; its description, FILE.json, is written beside it."""
    minari: Path | None = None
    """Write the run's episodes to this new folder as a Minari data set, its images without loss."""
    platforms: tuple[Literal['cpu', 'cuda', 'tpu'], ...] = ('cpu', 'cuda', 'tpu')
    """Where the agent can run; this machine needs none of them."""
    batch: int = 1
    """Environments that one call steps."""

    def __post_init__(self):
        at_least(self, batch=1)
        if not (self.out or self.minari):
            raise ValueError('Nothing is to be written: name a file for the agent by --out, or a folder for the '
                             'episodes by --minari.')
        if not self.platforms:
            raise ValueError('No platform is named: name at least one of cpu, cuda and tpu behind --platforms.')


def run(command: Export, arguments: Sequence[str], console: Console) -> int:
    """Exports a run's agent and says how large it is, or its episodes and says how many they are.

    Raises:
        FolderError: it is no run folder, or has no checkpoint that verifies.
        FileExistsError: there is such a file already.
        ValueError: the episodes cannot be read or written; nothing of them was written then.
    """
    from planet_jax.runs.trained.export import card_path, export_episodes, export_run

    del arguments
    if command.minari:
        count = export_episodes(command.run, command.minari)
        console.print(f"{command.minari}: {count} episodes; minari.MinariDataset('{command.minari / 'data'}') reads "
                      f'them, and so does planet-jax fit --data {command.minari}', highlight=False, markup=False,
                      soft_wrap=True)
    if not command.out:
        return 0
    for path, ending in ((command.out, '.jaxexport'), (card_path(command.out), '.json')):
        new_file(path, ending)
    size = export_run(command.run, command.out, command.platforms, command.batch, command.trust_task)
    console.print(f'{command.out}: {size / 1e6:.2g} MB for {", ".join(command.platforms)}; its description is '
                  f'{card_path(command.out)}', highlight=False, markup=False, soft_wrap=True)
    return 0
