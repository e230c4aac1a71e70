"""Timing between yardsticks.

Speeds of a shared machine vary by factors, so no time stands alone: between the timed runs of a row two yardsticks are
taken, a matrix product and a pass over memory, and the row's `ratio` is its median time over the time of its arithmetic
at the median speed of that product. On a CPU `processor_ratio` is the same in time of the processor, of all cores
together: it leaves out what others on the machine take, but also does not see that cores are idle.
"""

import math
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.bench.options import Row

PRODUCTS = 5
"""Number of matrix products in one reading."""


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
        """Takes one reading of each yardstick."""
        def go_on():
            self._array = self._pass(self._array)
            return self._array

        spent = [_spent(lambda: self._product(self._matrix)) for _ in range(PRODUCTS)]
        for readings, index in ((self.products, 0), (self.processor_products, 1)):
            readings.append(2 * self._side**3 / statistics.median(taken[index] for taken in spent) / 1e9)
        self.passes.append(2 * self._array.nbytes / _spent(go_on).seconds / 1e9)

    def time(self, call: Callable[[], Any], repeats: int, units: int = 1) -> Row:
        """Times a call after a first one that is not timed. A short call is repeated within a reading.

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
    """Seconds by the clock, and seconds of processor time on all cores."""

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
    """Adds `relative`: seconds divided by those of another row, if it has any."""
    return [{**row, 'relative': row['seconds'] / to['seconds']} if 'seconds' in row else row for row in rows]


def peak_gigabytes() -> float:
    """Peak memory so far: of the device, or of this process and its children if the device does not report it."""
    stats = jax.devices()[0].memory_stats()
    if stats and 'peak_bytes_in_use' in stats:
        return stats['peak_bytes_in_use'] / 1e9
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak / 1e9 if sys.platform == 'darwin' else peak * 1024 / 1e9
