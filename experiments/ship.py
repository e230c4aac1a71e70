"""Ships finished runs: copies their score files to the results, and their curves into the package.

    python -m experiments.ship --runs logs/walker_walk/rssm-cpu/0 logs/walker_walk/rssm-cpu/1 --cores 2

The display of a training and `experiments.reproduce` read these curves.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from planet_jax.cli.values import REGISTRY
from planet_jax.runs.training.clock import phases
from planet_jax.scores import shipped
from planet_jax.storage import files, run_files

RESULTS = Path(__file__).parent / 'results'
CURVES = Path(shipped.__file__).parent / shipped.FILE
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Ships runs; returns the exit status."""
    command = tyro.cli(Command, args=arguments, prog='python -m experiments.ship', description=__doc__,
                       registry=REGISTRY)
    try:
        kept = list(shipped.parse(files.read_text(CURVES)))
        for directory in command.runs:
            found = evaluations(directory, command.cores)
            of = found[0].task, found[0].preset, found[0].seed
            kept = [row for row in kept if (row.task, row.preset, row.seed) != of] + found
            target = RESULTS / found[0].task / command.method / str(found[0].seed)
            target.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                shutil.copyfile(directory / name, target / name)
            print(json.dumps({'task': of[0], 'seed': of[2], 'episodes': found[-1].episodes, 'return': found[-1].mean}))
        files.write_text(CURVES, shipped.write(kept))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
