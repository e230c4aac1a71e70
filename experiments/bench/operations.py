"""Shows where the time of an update goes on a CPU, operation by operation, from one profile of the compiled program.

Operations that run side by side share the time. Each belongs to a part of the model by the name that JAX gave it:
`forward`, `backward`, or `again` for what is computed a second time to save memory. What has no module of the model in
its name, such as noise, optimizer and the addition of gradients, is `rest`. The last rows are the longest operations.
"""

import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import tyro

from experiments.bench import meter as meters
from experiments.bench import programs, results, update
from experiments.bench.options import Options, Row
from planet_jax.cli.values import REGISTRY
from planet_jax.config import preset

MODULES = re.compile(r'(Encoder|Decoder|Mlp|Rssm)\b(?:.*?/(Convolution_\d+|Dense_\d+))?')
"""A module of the model, and its layer, in the name of an operation."""

CALLS = {'while', 'call', 'conditional'}
"""Operations whose time is that of others."""


@dataclass(frozen=True)
class Operations(Options):
    """Show where the time of an update goes, operation by operation."""

    repeats: int = 1
    """Profiled updates."""
    longest: int = 20
    """Operations that have a row of their own."""


class Operation(NamedTuple):
    """An instruction of the optimised program."""

    code: str
    name: str
    product: bool

    @property
    def part(self) -> str:
        """Module, layer and direction."""
        found = MODULES.search(self.name)
        if not found:
            return 'rest'
        direction = 'again' if 'rematted' in self.name else 'backward' if 'transpose(' in self.name else 'forward'
        return f'{found[1]}{f" {found[2]}" if found[2] else ""}, {direction}'


def operations(program: str) -> dict[str, Operation]:
    """The instructions of a program by their names, those inside fusions too.

    Args:
        program: optimised HLO, as text.
    """
    listed = list(programs.instructions(program))
    with_product = {computation for computation, _, code, _ in listed if code == 'dot'}
    found = {}
    for _, name, code, line in listed:
        told, calls = (re.search(pattern, line) for pattern in (r'op_name="([^"]*)"', r'calls=%?([\w.\-]+)'))
        found[name] = Operation(code, told[1] if told else '',
                                code == 'dot' or calls is not None and calls[1] in with_product)
    return found


def intervals(folder: Path) -> list[tuple[float, float, str]]:
    """Begin, end (ns) and name of every operation that a profile in this folder saw on a CPU."""
    path, = folder.rglob('*.xplane.pb')
    begun: dict[int, tuple[float, float, str]] = {}
    ended: dict[int, float] = {}
    for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
        for line in plane.lines:
            for event in line.events:
                told = dict(event.stats)
                if 'hlo_op' in told and '_p' in told:
                    begun[told['_p']] = event.start_ns, event.end_ns, told['hlo_op']
                elif event.name.startswith('end: ') and '_c' in told:
                    # What was handed to other threads ends later than the event that began it.
                    ended[told['_c']] = event.start_ns
    return [(start, max(end, ended.get(number, end)), name) for number, (start, end, name) in begun.items()]


def shares(events: Iterable[tuple[float, float, str]]) -> Counter[str]:
    """Time of each name, where what runs side by side shares it equally.

    Args:
        events: begin, end and name.
    """
    time, running, last = Counter(), [], 0.
    for at, begins, name in sorted((at, begins, name) for begin, end, name in events
                                   for at, begins in ((begin, True), (end, False))):
        for other in running:
            time[other] += (at - last) / len(running)
        (running.append if begins else running.remove)(name)
        last = at
    return time


def profile(call: Callable[[], object], known: dict[str, Operation], repeats: int,
            ) -> tuple[Counter[str], Counter[str]]:
    """Seconds and executions in one call, the mean of several, of every operation that calls no others."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(repeats):
                jax.block_until_ready(call())
        events = [event for event in intervals(Path(folder)) if known[event[2]].code not in CALLS]
    seconds = Counter({name: value / repeats / 1e9 for name, value in shares(events).items()})
    return seconds, Counter(name for _, _, name in events)


def main(options: Operations) -> None:
    """Measures and reports."""
    if jax.default_backend() != 'cpu':
        sys.exit("The profile's events are those of a CPU. Set JAX_PLATFORMS=cpu, or record an accelerator with "
                 "'planet-jax train --profile'.")
    meter = meters.Meter(options.size)
    program, facts, begin = update.compiled(preset(options.size))
    call = begin()
    row = meters.with_ratio({**facts, **meter.time(call, options.repeats)})
    known = operations(program.as_text())
    seconds, executions = profile(call, known, options.repeats)
    parts: dict[str, Row] = {}
    for name, value in seconds.most_common():
        for part in ('update, profiled', known[name].part):
            of_part = parts.setdefault(part, {'row': part, 'seconds': 0., 'product_seconds': 0.})
            of_part['seconds'] += value
            of_part['product_seconds'] += value * known[name].product
    rows = [{'row': 'update, not profiled', 'seconds': row['seconds'], 'ratio': row['ratio']},
            *sorted(parts.values(), key=lambda row: -row['seconds'])]
    rows += [{'row': f'{name}: {known[name].part}', 'seconds': value, 'product_seconds': value * known[name].product,
              'executions': executions[name] / options.repeats} for name, value in seconds.most_common(options.longest)]
    results.finish('operations', options, meter, meters.relative(rows, parts['update, profiled']))


if __name__ == '__main__':
    main(tyro.cli(Operations, description=__doc__, registry=REGISTRY))
