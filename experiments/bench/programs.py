"""Facts about a compiled program that need no run: arithmetic, memory, launches."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from experiments.bench.arithmetic import gigaflops
from experiments.bench.options import Row


def compile(function: Callable, *arguments: Any, donate: tuple[int, ...] = (), options: dict[str, str] | None = None,
            ) -> tuple[Callable, Row]:
    """Compiles for these arguments; returns the program and the facts that need no run.

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


def instructions(program: str) -> Iterator[tuple[str, str, str, str]]:
    """Each instruction of a compiled program: its computation, name, operation, and line.

    Args:
        program: optimised HLO, as text.
    """
    computation = ''
    for line in program.splitlines():
        if opened := re.match(r'(?:ENTRY )?%?([\w.\-]+) \(.*\{$', line):
            computation = opened[1]
        elif found := re.match(r'  (?:ROOT )?%?([\w.\-]+) = (?:\(.*?\)|\S+) ([\w\-]+)\(', line):
            yield computation, found[1], found[2], line


def kernels(program: str) -> int:
    """Kernels and copies that one call of a compiled program launches, with the iterations of loops.

    Args:
        program: optimised HLO, as text.
    """
    computations: dict[str, list[tuple[str, str]]] = {}
    for computation, _, operation, line in instructions(program):
        computations.setdefault(computation, []).append((operation, line))
    entry, = re.findall(r'^ENTRY %?([\w.\-]+)', program, re.MULTILINE)

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
