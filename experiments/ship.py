"""Ships finished runs: copies their score files to the results, and their curves and settings into the package.

    python -m experiments.ship --runs logs/walker_walk/rssm-cpu/0 logs/walker_walk/rssm-cpu/1 --cores 2

The display of a training and `experiments.reproduce` read them.
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from planet_jax.cli.values import REGISTRY
from planet_jax.config import Config
from planet_jax.runs.training.clock import phases
from planet_jax.scores import shipped
from planet_jax.storage import files, run_files

RESULTS = Path(__file__).parent / 'results'
CURVES = Path(shipped.__file__).parent / shipped.FILE
SETTINGS = Path(shipped.__file__).parent / shipped.SETTINGS
FILES = 'config.json', 'evaluations.jsonl', 'metrics.jsonl', 'scores.csv'
"""Files of a run folder that are kept."""


@dataclass(frozen=True)
class Command:
    """Ship finished runs."""

    runs: tuple[Path, ...]
    """Run folders, LOGDIR/TASK/METHOD/SEED."""
    cores: int
    """Processor cores that each run had."""
    method: str = 'rssm-cpu-while-learning'
    """Method folder of the results."""


def evaluations(directory: Path, cores: int) -> list[shipped.Evaluation]:
    """The evaluations of a run's agent, each with the minutes of work before it.

    Raises:
        FolderError: the folder is no run folder.
        ValueError: the run has no evaluation.
    """
    record = run_files.read_config(directory)
    minutes = {line['episodes']: sum(phases(line['seconds']).values()) / 60
               for line in files.read_lines(directory / 'metrics.jsonl')}
    found = [shipped.Evaluation(record['task'], record['preset'], record['seed'], cores, line['episodes'],
                                minutes[line['episodes']], float(np.mean(line['returns'])), len(line['returns']))
             for line in files.read_lines(directory / 'evaluations.jsonl') if line['agent'] == 'planet']
    if not found:
        raise ValueError(f'{directory} has no evaluation of its agent, so there is nothing to ship.')
    return found


def ship(runs: Mapping[Path, Sequence[shipped.Evaluation]], curves: Sequence[shipped.Evaluation],
         settings: Mapping[tuple[str, str], Config]) -> tuple[list[shipped.Evaluation], dict[tuple[str, str], Config]]:
    """The curves and settings with those of more runs, which replace earlier ones of the same task, preset and seed.

    Args:
        runs: run folders, with what `evaluations` found there.
        curves: shipped before.
        settings: of the runs shipped before.

    Raises:
        ValueError: a run has other settings than the other runs of its task and preset.
    """
    new = {(rows[0].task, rows[0].preset, rows[0].seed) for rows in runs.values()}
    kept = [row for row in curves if (row.task, row.preset, row.seed) not in new]
    # Where every seed is new, the settings may be.
    old = {(row.task, row.preset) for row in kept}
    found = {key: of_runs for key, of_runs in settings.items() if key in old}
    for directory, rows in runs.items():
        task, preset = rows[0].task, rows[0].preset
        own = run_files.read_config(directory)['config'].resolve(task)
        if others := shipped.effective_differences(own, found.setdefault((task, preset), own), rows[-1].episodes):
            told = ', '.join(f'{name} {here}, not {there}' for name, (here, there) in others.items())
            raise ValueError(f'{directory} has other settings than other runs of {task} ({told}): ship all seeds of '
                             f'a task in one command, with the same settings.')
        kept += rows
    return kept, found


def main(arguments: Sequence[str] | None = None) -> int:
    """Ships runs; returns the exit status."""
    command = tyro.cli(Command, args=arguments, prog='python -m experiments.ship', description=__doc__,
                       registry=REGISTRY)
    try:
        found = {directory: evaluations(directory, command.cores) for directory in command.runs}
        curves, settings = ship(found, shipped.parse(files.read_text(CURVES)),
                                shipped.parse_settings(files.read_text(SETTINGS)))
        for directory, rows in found.items():
            last = rows[-1]
            target = RESULTS / last.task / command.method / str(last.seed)
            target.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                shutil.copyfile(directory / name, target / name)
            print(json.dumps({'task': last.task, 'seed': last.seed, 'episodes': last.episodes, 'return': last.mean}))
        files.write_text(CURVES, shipped.write(curves))
        files.write_text(SETTINGS, shipped.write_settings(settings))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
