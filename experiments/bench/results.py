"""The record of a benchmark, and all records of a folder as one Markdown table beside the goals."""

import json
import os
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax
import tyro
from rich.console import Console
from rich.table import Table

from experiments.bench.goals import GOALS
from experiments.bench.meter import Meter, peak_gigabytes
from experiments.bench.options import Options, Row
from planet_jax import machine
from planet_jax.cli.values import REGISTRY
from planet_jax.runs.devices import device_name
from planet_jax.storage import files


def finish(name: str, options: Options, meter: Meter, rows: list[Row]) -> None:
    """Prints the rows, and writes them with machine and settings to NAME-SIZE.json in the folder of the results.

    Args:
        name: of the benchmark.
        options: as given.
        meter: that timed.
        rows: measured.
    """
    record = {
        'benchmark': name, 'size': options.size, 'repeats': options.repeats,
        'time': datetime.now(UTC).isoformat(timespec='seconds'), 'machine': device_name(),
        'platform': jax.default_backend(), 'commit': machine.commit(), 'versions': machine.versions(),
        'environment': {variable: os.environ[variable] for variable in ('GLIBC_TUNABLES', 'XLA_FLAGS')
                        if variable in os.environ},
        'load': os.getloadavg()[0], 'peak_gigabytes': peak_gigabytes(),
        'product_gflop_per_second': meter.products, 'pass_gigabytes_per_second': meter.passes, 'rows': rows,
    }
    path = options.out / f'{name}-{options.size}.json'
    files.write_text(path, json.dumps(record, indent=1, allow_nan=False) + '\n')

    names = list(dict.fromkeys(name for row in rows for name in row if name != 'readings'))
    table = Table(title=f'{name}, {options.size}, on {record["machine"]}, commit {record["commit"]}')
    for column in names:
        table.add_column(column.replace('_', ' '), justify='left' if column == 'row' else 'right')
    for row in rows:
        table.add_row(*[cell(row.get(column, '')) for column in names])
    # Without a terminal, as wide as it needs to be.
    console = Console(width=None if sys.stdout.isatty() else 40 + 14 * len(names))
    console.print(table)
    console.print(f'Matrix product {statistics.median(meter.products):.4g} GFLOP/s ({min(meter.products):.4g} to '
                  f'{max(meter.products):.4g}), pass over memory {statistics.median(meter.passes):.3g} GB/s, at most '
                  f'{record["peak_gigabytes"]:.3g} GB; {path}', highlight=False, soft_wrap=True)


def cell(value: Any) -> str:
    """A value of the table as text."""
    return f'{value:.3g}' if isinstance(value, float) else str(value)


def markdown(folder: Path) -> str:
    """All results of a folder, first those with a goal on their platform.

    Args:
        folder: of the JSON files.

    Raises:
        ValueError: there is none.
    """
    records = [json.loads(path.read_text()) for path in sorted(folder.glob('*.json'))]
    if not records:
        raise ValueError(f'There is no result in {folder}: run a benchmark first.')
    lines = ['| goal | at most | measured | reached |', '|---|---|---|---|']
    for goal in GOALS:
        for record in records:
            if (record['benchmark'], record['size'], record['platform']) == (goal.benchmark, goal.size, goal.platform):
                for row in record['rows']:
                    if row['row'] == goal.row and goal.field in row:
                        reached = 'yes' if row[goal.field] <= goal.limit else 'no'
                        cached = goal.field == 'compile_seconds' and row['from_cache']
                        lines.append(f'| {goal.what} | {goal.limit} | {cell(row[goal.field])}'
                                     f'{" (from the cache)" if cached else ""} | {reached} |')
    for record in records:
        names = list(dict.fromkeys(name for row in record['rows'] for name in row if name != 'readings'))
        products = record['product_gflop_per_second']
        lines += ['', f'**{record["benchmark"]}, {record["size"]}**, {record["repeats"]} runs of a row, on '
                  f'{record["machine"]}, commit {record["commit"]}, jax {record["versions"]["jax"]}; matrix product '
                  f'{statistics.median(products):.4g} GFLOP/s ({min(products):.4g} to {max(products):.4g}), pass over '
                  f'memory {statistics.median(record["pass_gigabytes_per_second"]):.3g} GB/s, at most '
                  f'{record["peak_gigabytes"]:.3g} GB', '',
                  '| ' + ' | '.join(name.replace('_', ' ') for name in names) + ' |', '|---' * len(names) + '|']
        lines += ['| ' + ' | '.join(cell(row.get(name, '')) for name in names) + ' |' for row in record['rows']]
    return '\n'.join(lines) + '\n'


def write_markdown(out: Path = Path('logs/bench')) -> None:
    """Write `results.md` beside the results of a folder.

    Args:
        out: Folder of the JSON files.
    """
    text = markdown(out)
    files.write_text(out / 'results.md', text)
    print(text[:text.index('\n\n')] + f'\n{out / "results.md"}')


if __name__ == '__main__':
    tyro.cli(write_markdown, registry=REGISTRY)
