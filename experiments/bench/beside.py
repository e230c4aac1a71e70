"""Times an update and a plan of this checkout and of another commit, in turns.

    python -m experiments.bench.beside --commit 39e8902

Each turn is a process for each of the two, in alternating order, with the same Python and packages. The other commit is
checked out into a temporary folder, and measured by its own benchmarks. The table has the medians over the turns and
their ratio, the record every turn.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import tyro

from planet_jax import machine
from planet_jax.cli.values import REGISTRY
from planet_jax.storage import files

ROOT = Path(__file__).resolve().parents[2]

TURN = """
import json, sys

sys.path[:0] = ['.', 'experiments']
try:
    from experiments.bench import meter, planner, update
except ImportError:  # Where the benchmarks once were.
    import benchmark as meter, bench_planner as planner, bench_update as update
import planet_jax
from planet_jax.config import preset
if not planet_jax.__file__.startswith(sys.argv[3]):
    sys.exit(f'{planet_jax.__file__} was imported, which is not in {sys.argv[3]}.')
size, repeats = sys.argv[1], int(sys.argv[2])
clock = meter.Meter(size)
print(json.dumps({name: part.measure(preset(size), 1, clock, repeats)
                  for name, part in (('update', update), ('plan', planner))}))
"""
"""Run in the folder of a checkout: size, repeats -> a line of JSON."""

MEASURED = ('seconds', 'processor_seconds', 'program_gigabytes', 'gflop', 'product_gflop_per_second')
"""Fields of a row that are compared."""


@dataclass(frozen=True)
class Beside:
    """Time an update and a plan of two commits in turns."""

    commit: str
    """The other commit, which this checkout is compared with."""
    size: Literal['planet', 'cpu', 'debug'] = 'planet'
    """Preset that is measured, as each of the two has it."""
    turns: int = 5
    """Processes of each."""
    repeats: int = 3
    """Timed runs in a process."""
    out: Path = Path('logs/beside')
    """Folder of the JSON file; not that of the other benchmarks, whose table has one build."""


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """A temporary checkout of a commit.

    Raises:
        ValueError: there is no such commit here.
    """
    def git(*arguments):
        return subprocess.run(['git', '-C', str(ROOT), *arguments], capture_output=True, text=True)

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / 'other'
        if (made := git('worktree', 'add', '--detach', str(place), commit)).returncode:
            raise ValueError(f'Commit {commit} cannot be checked out: {made.stderr.strip()}')
        try:
            yield place
        finally:
            git('worktree', 'remove', '--force', str(place))


def turn(folder: Path, options: Beside) -> dict[str, Any]:
    """The rows of one process in the folder of a checkout.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run([sys.executable, '-c', TURN, options.size, str(options.repeats), str(folder)],
                          cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f'The benchmark of {folder} failed:\n{done.stderr[-2000:]}')
    return json.loads(done.stdout.splitlines()[-1])


def compare(turns: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Medians over the turns of 'this' and 'other', and `ratio`, of the medians, for each measured field."""
    found: dict[str, dict[str, Any]] = {}
    for part in turns['this'][0]:
        for field in MEASURED:
            medians = {name: statistics.median(rows[part][field] for rows in of_build)
                       for name, of_build in turns.items() if all(field in rows[part] for rows in of_build)}
            if len(medians) == 2:
                found[f'{part}, {field.replace("_", " ")}'] = medians | {'ratio': medians['this'] / medians['other']}
    return found


def main(options: Beside) -> None:
    """Measures, prints a table, and writes `beside-SIZE.json`."""
    turns: dict[str, list[dict[str, Any]]] = {'this': [], 'other': []}
    with checkout(options.commit) as other:
        places = {'this': ROOT, 'other': other}
        for number in range(options.turns):
            for name in list(places)[::1 if number % 2 else -1]:
                turns[name].append(turn(places[name], options))
                told = ', '.join(f'{part} {row["seconds"]:.3g} s' for part, row in turns[name][-1].items())
                print(f'turn {number + 1} of {options.turns}, {name}: {told}', flush=True)
    compared = compare(turns)
    files.write_text(options.out / f'beside-{options.size}.json', json.dumps({
        'benchmark': 'beside', 'size': options.size, 'this': machine.commit(), 'other': options.commit,
        'time': datetime.now(UTC).isoformat(timespec='seconds'), 'versions': machine.versions(),
        'compared': compared, 'turns': turns}, indent=1) + '\n')
    print(f'\n| {options.size} | {options.commit} | this commit | ratio |\n|---|---:|---:|---:|')
    for name, row in compared.items():
        print(f'| {name} | {row["other"]:.4g} | {row["this"]:.4g} | {row["ratio"]:.3g} |')


if __name__ == '__main__':
    try:
        main(tyro.cli(Beside, description=__doc__, registry=REGISTRY))
    except (ValueError, RuntimeError) as error:
        sys.exit(str(error))
