"""What the benchmarks share: timing between yardsticks, arithmetic, memory, and the record of a result.

Speeds of a shared machine vary by factors, so no time stands alone: between the timed runs of a row two yardsticks are
taken, a matrix product and a pass over memory, and the row's `ratio` is its median time over the time of its arithmetic
at the median speed of that product. On a CPU `processor_ratio` is the same in time of the processor, of all cores
together: it leaves out what others on the machine take, but also does not see that cores are idle.

Run as a program, it writes the results in a folder as one Markdown table, against the goals.
"""

import json
import math
import os
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tyro
from rich.console import Console
from rich.table import Table

from planet_jax.cli.main import prepare_process

prepare_process()  # Before JAX is imported, which reads the folder of its compilation cache then.

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

from planet_jax.runs import run as runs  # noqa: E402

Row = dict[str, Any]
"""A measurement: `row`, its name, then numbers by name."""


@dataclass(frozen=True)
class Options:
    """What every benchmark takes."""

    size: Literal['planet', 'cpu', 'debug'] = 'planet'
    """Preset whose sizes are measured."""
    repeats: int = 5
    """Timed runs of each row."""
    out: Path = Path('logs/bench')
    """Folder of the JSON files."""

    def __post_init__(self):
        if self.repeats < 1:
            raise ValueError(f'repeats is {self.repeats}, but must be at least 1: the nearest valid value is 1.')


# Arithmetic.


def gigaflops(function: Callable, *arguments: Any) -> float:
    """Arithmetic of a function's matrix products and convolutions in GFLOP, a product and a sum each, as it is written.

    Args:
        function: is traced, not run.
        *arguments: arrays or shapes.
    """
    return _flops(jax.make_jaxpr(function)(*arguments).jaxpr) / 1e9


def _flops(jaxpr):
    total = 0
    for equation in jaxpr.eqns:
        shapes = [variable.aval.shape for variable in (*equation.invars, *equation.outvars)]
        parameters = equation.params
        match equation.primitive.name:
            case 'dot_general':
                (contracted, _), _ = parameters['dimension_numbers']
                total += 2 * math.prod(shapes[2]) * math.prod(shapes[0][axis] for axis in contracted)
            # A form in x [P, N, H, W, Ci], y [P, N, h, w, Co] and kernel [P, k, k, Ci, Co]: each number of y meets
            # k k Ci others. See planet_jax/ops/convolutions.py.
            case 'conv':
                total += 2 * math.prod(shapes[2]) * math.prod(shapes[1][1:4])
            case 'conv_transpose':
                total += 2 * math.prod(shapes[0]) * math.prod(shapes[1][1:4])
            case 'kernel_gradient':
                total += 2 * math.prod(shapes[1]) * math.prod(shapes[2][1:4])
            case 'cond':
                total += max(_flops(branch.jaxpr) for branch in parameters['branches'])
            case _:
                inner = sum(_flops(getattr(value, 'jaxpr', value)) for value in parameters.values()
                            if hasattr(value, 'eqns') or hasattr(value, 'jaxpr'))
                total += inner * parameters.get('length', 1)
    return total


# Programs.


def compile(function: Callable, *arguments: Any, donate: tuple[int, ...] = (), options: dict[str, str] | None = None,
            ) -> tuple[Callable, Row]:
    """Compiles for these arguments; returns the program and what there is to know of it without running it.

    Args:
        function: to be jitted.
        *arguments: arrays or shapes.
        donate: positions of the arguments that are donated.
        options: of the compiler.

    Returns:
        the program, and `gflop`, `compile_seconds` (tracing included), `from_cache` (whether the compilation was saved
        by JAX's cache on disk), `program_gigabytes` (arguments, results and temporaries) and, on a GPU, `kernels`,
        launches of one call.
    """
    hits = []

    def listen(event, **_):
        if event == '/jax/compilation_cache/cache_hits':
            hits.append(event)

    jax.monitoring.register_event_listener(listen)
    begun = time.perf_counter()
    program = jax.jit(function, donate_argnums=donate, compiler_options=options).lower(*arguments).compile()
    seconds = time.perf_counter() - begun
    jax.monitoring.unregister_event_listener(listen)
    row = {'gflop': gigaflops(function, *arguments), 'compile_seconds': seconds, 'from_cache': bool(hits)}
    memory = program.memory_analysis()
    row['program_gigabytes'] = (memory.argument_size_in_bytes + memory.output_size_in_bytes
                                + memory.temp_size_in_bytes - memory.alias_size_in_bytes) / 1e9
    if jax.default_backend() == 'gpu':
        row['kernels'] = kernels(program.as_text())
    return program, row


NO_KERNEL = {'parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast', 'while', 'call', 'conditional',
             'after-all', 'partition-id', 'replica-id'}
"""Instructions of an optimised program that launch nothing themselves."""


def kernels(program: str) -> int:
    """Kernels and copies that one call of a compiled program launches, loops counted as often as they turn.

    Args:
        program: optimised HLO, as text.
    """
    computations, entry, name = {}, None, None
    for line in program.splitlines():
        if opened := re.match(r'(ENTRY )?%?([\w.\-]+) \(.*\{$', line):
            name = opened[2]
            entry, computations[name] = name if opened[1] else entry, []
        elif instruction := re.match(r'  (?:ROOT )?%?[\w.\-]+ = (?:\(.*?\)|\S+) ([\w\-]+)\(', line):
            computations[name].append((instruction[1], line))

    def count(name):
        total = 0
        for operation, line in computations[name]:
            turns = re.search(r'"known_trip_count":\{"n":"(\d+)"\}', line) if operation == 'while' else None
            if operation in ('while', 'call', 'conditional'):
                called = re.findall(r'(?:body|condition|to_apply)=%?([\w.\-]+)', line)
                total += (int(turns[1]) if turns else 1) * sum(map(count, called))
            total += operation not in NO_KERNEL and not operation.endswith('-done')
        return total

    return count(entry)


def peak_gigabytes() -> float:
    """The most memory so far: of the device, or of this process or one it started where the device does not tell."""
    stats = jax.devices()[0].memory_stats()
    if stats and 'peak_bytes_in_use' in stats:
        return stats['peak_bytes_in_use'] / 1e9
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak / 1e9 if sys.platform == 'darwin' else peak * 1024 / 1e9


# Time.


PRODUCTS = 5
"""Matrix products in one reading."""


class Meter:
    """Times calls and takes the yardsticks in between.

    Attributes:
        products: every reading of the matrix product, GFLOP/s, at the default precision of float32 on this device; one
            reading is the median of several, for the first after a large program is several times slower.
        processor_products: the same in seconds of the processor, all cores together.
        passes: every reading of the pass over memory, GB/s: an array is read and written in place.
    """

    def __init__(self, size: str):
        """Makes the yardsticks: small ones for the size 'debug'."""
        accelerated = jax.default_backend() != 'cpu'
        self._side = 256 if size == 'debug' else 8192 if accelerated else 2048
        self._matrix = jnp.full((self._side, self._side), 1 / self._side)
        self._array = jnp.zeros(2**18 if size == 'debug' else 2**28 if accelerated else 2**25)
        self._product = jax.jit(lambda x: x @ x)
        self._pass = jax.jit(lambda x: x + 1, donate_argnums=0)
        for _ in range(2):  # The first time they are compiled.
            self.products, self.processor_products, self.passes = [], [], []
            self.yardsticks()

    def yardsticks(self) -> None:
        """One reading of each."""
        def go_on():
            self._array = self._pass(self._array)
            return self._array

        spent = [_spent(lambda: self._product(self._matrix)) for _ in range(PRODUCTS)]
        for readings, index in ((self.products, 0), (self.processor_products, 1)):
            readings.append(2 * self._side**3 / statistics.median(taken[index] for taken in spent) / 1e9)
        self.passes.append(2 * self._array.nbytes / _spent(go_on).seconds / 1e9)

    def time(self, call: Callable[[], Any], repeats: int, units: int = 1) -> Row:
        """Times a call, which is made once before; a short one several times in a reading.

        Args:
            call: what it returns is waited for, so that it is the time of a call and not of handing it over.
            repeats: readings.
            units: of work in one call; the seconds are those of one.

        Returns:
            see `timing`, and on a CPU `processor_seconds` and `processor_gflop_per_second`, of the product, in the time
            of all cores together.
        """
        # Two at least: what a call leaves to be tidied up, such as memory, takes its time from the next.
        calls = max(2, math.ceil(0.05 / _spent(call).seconds))
        first, readings = len(self.products), []
        for _ in range(repeats):
            self.yardsticks()
            readings.append(_spent(lambda: [jax.block_until_ready(call()) for _ in range(calls)]))
        self.yardsticks()
        row = self.timing([spent.seconds / calls / units for spent in readings], first)
        if jax.default_backend() == 'cpu':
            row['processor_seconds'] = statistics.median(spent.processor for spent in readings) / calls / units
            row['processor_gflop_per_second'] = statistics.median(self.processor_products[first:])
        return row

    def timing(self, readings: list[float], first: int) -> Row:
        """Seconds (median), their least and most, all of them as `readings`, and `speeds`."""
        return {'seconds': statistics.median(readings), 'seconds_min': min(readings), 'seconds_max': max(readings),
                'readings': readings, **self.speeds(first)}

    def speeds(self, first: int) -> Row:
        """Medians of the yardsticks since the reading with the number `first`."""
        return {'product_gflop_per_second': statistics.median(self.products[first:]),
                'pass_gigabytes_per_second': statistics.median(self.passes[first:])}


class Spent(NamedTuple):
    """Seconds of the clock, and of the processor, all cores together."""

    seconds: float
    processor: float


def _spent(call):
    begun = time.perf_counter(), time.process_time()
    jax.block_until_ready(call())
    return Spent(time.perf_counter() - begun[0], max(time.process_time() - begun[1], 1e-9))


def with_ratio(row: Row) -> Row:
    """Adds `ideal_seconds`, of the row's `gflop` at the speed of the matrix product, `ratio` and `processor_ratio`."""
    ideal = row['gflop'] / row['product_gflop_per_second']
    row = {**row, 'ideal_seconds': ideal, 'ratio': row['seconds'] / ideal}
    if 'processor_seconds' in row:
        row['processor_ratio'] = row['processor_seconds'] / row['gflop'] * row['processor_gflop_per_second']
    return row


def relative(rows: list[Row], to: Row) -> list[Row]:
    """Adds `relative`: seconds over those of another row, where there are any."""
    return [{**row, 'relative': row['seconds'] / to['seconds']} if 'seconds' in row else row for row in rows]


# Results.


def finish(name: str, options: Options, meter: Meter, rows: list[Row]) -> None:
    """Prints the rows, and writes them with all that decides them to NAME-SIZE.json in the folder of the results.

    Args:
        name: of the benchmark.
        options: as given.
        meter: that timed.
        rows: measured.
    """
    record = {
        'benchmark': name, 'size': options.size, 'repeats': options.repeats,
        'time': datetime.now(UTC).isoformat(timespec='seconds'), 'machine': runs.device_name(),
        'platform': jax.default_backend(), 'commit': runs.commit(), 'versions': runs.versions(),
        'environment': {variable: os.environ[variable] for variable in ('GLIBC_TUNABLES', 'XLA_FLAGS')
                        if variable in os.environ},
        'load': os.getloadavg()[0], 'peak_gigabytes': peak_gigabytes(),
        'product_gflop_per_second': meter.products, 'pass_gigabytes_per_second': meter.passes, 'rows': rows,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f'{name}-{options.size}.json'
    path.write_text(json.dumps(record, indent=1, allow_nan=False) + '\n')

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
    """A value as a table shows it."""
    return f'{value:.3g}' if isinstance(value, float) else str(value)


class Goal(NamedTuple):
    """A number to be reached: at most `limit` in a field of a row, at the size `size`, on a platform ('cpu', 'gpu')."""

    what: str
    benchmark: str
    row: str
    field: str
    limit: float
    platform: str
    size: str = 'planet'


GOALS = (
    Goal('update, over the time of its arithmetic', 'update', 'seeds 1', 'ratio', 2.5, 'cpu'),
    Goal('plan, over the time of its arithmetic', 'planner', 'states 1', 'ratio', 1.3, 'cpu'),
    *(Goal(f'frame of {task}, fast, ms', 'render', f'{task}, fast', 'milliseconds', 5, 'cpu') for task in (
        'cartpole_swingup', 'reacher_easy', 'cheetah_run', 'finger_spin', 'cup_catch', 'walker_walk')),
    Goal('guards, % of an episode', 'guards', 'all guards', 'percent', 2, 'cpu', 'cpu'),
    Goal('update, s', 'update', 'seeds 1', 'seconds', 0.012, 'gpu'),
    Goal('plan, s', 'planner', 'states 1', 'seconds', 0.002, 'gpu'),
    Goal('plans for 10 states, over one', 'planner', 'states 10', 'relative', 2, 'gpu'),
    Goal('updates of 5 seeds, over one', 'update', 'seeds 5', 'relative', 2, 'gpu'),
    Goal('1000 episodes of cheetah_run, extrapolated, h', 'train', 'cheetah_run', 'hours_extrapolated', 1, 'gpu'),
    *(Goal('compilation of the update, s', 'update', 'seeds 1', 'compile_seconds', 60, platform)
      for platform in ('cpu', 'gpu')),
)
"""What is to be reached on a CPU and on an H100."""


def markdown(folder: Path) -> str:
    """All results of a folder, first against the goals of the platform that they are of.

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
    (out / 'results.md').write_text(text)
    print(text[:text.index('\n\n')] + f'\n{out / "results.md"}')


if __name__ == '__main__':
    tyro.cli(write_markdown)
