"""Facts about a compiled program that need no run: arithmetic, memory, launches."""

import re
import time
from collections.abc import Callable
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


def kernels(program: str) -> int:
    """Kernels and copies that one call of a compiled program launches, with the iterations of loops.

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
