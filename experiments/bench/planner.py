"""Times a plan in the world model, for several states at once and for several numbers of candidates."""

import dataclasses
from dataclasses import dataclass

import jax
import tyro

from experiments.bench import meter as meters
from experiments.bench import programs, results
from experiments.bench.options import Options, Row
from experiments.bench.update import spec_of
from planet_jax import agent, keys, planning
from planet_jax.cli.values import REGISTRY
from planet_jax.config import Config, preset
from planet_jax.networks import make_world_model


@dataclass(frozen=True)
class Planner(Options):
    """Time a plan."""

    states: tuple[int, ...] = ()
    """Numbers of states in one call; by default 1, 4, 16, and on an accelerator also 10."""
    candidates: tuple[int, ...] = ()
    """Action sequences per iteration, for one state; by default a quarter and four times the preset's."""


def measure(config: Config, states: int, meter: meters.Meter, repeats: int) -> Row:
    """One row: several states in one program."""
    spec = spec_of(config)
    model = make_world_model(config.model, spec)
    planner = agent.make_planner(model, config.planner, spec.action_size)
    plan = jax.vmap(planner.plan, (None, 0, 0, 0))
    arguments = (jax.jit(model.init)(keys.root(0)), jax.random.split(keys.root(1), states),
                 *jax.vmap(lambda _: (model.initial(), planner.init()))(jax.numpy.arange(states)))
    program, row = programs.compile(plan, *arguments, options=planning.compiler_options(jax.default_backend()))
    return meters.with_ratio({**row, **meter.time(lambda: program(*arguments), repeats)})


def main(options: Planner) -> None:
    """Measures and reports."""
    config, meter = preset(options.size), meters.Meter(options.size)
    states = options.states or ((1, 4, 16) if jax.default_backend() == 'cpu' else (1, 4, 10, 16))
    rows = [{'row': f'states {n}', **measure(config, n, meter, options.repeats)} for n in states]
    ours = config.planner
    for count in options.candidates or (ours.candidates // 4, 4 * ours.candidates):
        other = dataclasses.replace(ours, candidates=count, elites=max(1, ours.elites * count // ours.candidates))
        rows.append({'row': f'candidates {count}',
                     **measure(dataclasses.replace(config, planner=other), 1, meter, options.repeats)})
    results.finish('planner', options, meter, meters.relative(rows, rows[0]))


if __name__ == '__main__':
    main(tyro.cli(Planner, registry=REGISTRY))
