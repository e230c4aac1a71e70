"""Times an update of the learner, sampling included: alone, in smaller batches, and for several seeds."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import tyro

from experiments.bench import meter as meters
from experiments.bench import programs, results
from experiments.bench.options import Options, Row
from planet_jax import algorithm, keys
from planet_jax.cli.values import REGISTRY
from planet_jax.config import Config, Spec, preset
from planet_jax.networks import make_world_model
from planet_jax.runs.devices import memory_bytes
from planet_jax.seeds import over_seeds
from planet_jax.types import Metrics, TrainState


@dataclass(frozen=True)
class Update(Options):
    """Time an update of the learner."""

    repeats: int = 3
    """Timed runs of each row."""
    seeds: tuple[int, ...] = ()
    """Numbers of seeds in one program; by default 1, 2, 4, and on an accelerator also 5."""
    batches: tuple[int, ...] = ()
    """Chunks per update, for one seed; by default a fifth and a half of the preset's."""


def spec_of(config: Config) -> Spec:
    """The spec of cheetah_run, 6 actions and episodes of 250 agent steps, without its simulator."""
    return Spec((config.env.size, config.env.size, 3), 'uint8', 6, 250)


def filled(state: TrainState, key: jax.Array) -> TrainState:
    """A train state with random images in all slots of the replay."""
    replay, = state.replay
    data = replay.data
    slots, rows = data.reward.shape
    data = data.replace(observation=jax.random.bits(key, data.observation.shape, jnp.uint8),
                        length=jnp.full(slots, rows, jnp.int32))
    return state.replace(replay=(replay.replace(data=data, count=jnp.int32(slots)),))


def compiled(config: Config, seeds: int = 1, updates: int = 1,
             ) -> tuple[Callable, Row, Callable[[], Callable[[], Metrics]]]:
    """A compiled call of `learn` for several seeds, facts that need no run, and a function that begins.

    What begins makes a train state with a full replay, and returns a call that learns on from it.
    """
    steps = algorithm.make_steps(config, spec_of(config), slots=4, updates_per_call=updates)

    def init(key):
        return filled(steps.init(key), keys.stream(key, 'images'))

    learn = steps.learn
    roots = keys.root(0)
    if seeds > 1:
        init, roots = jax.vmap(init), jnp.stack([keys.root(seed) for seed in range(seeds)])
        learn = over_seeds(steps, jax.devices()[:1], seeds).learn
    program, row = programs.compile(learn, jax.eval_shape(init, roots), donate=(0,))
    row['gflop'] /= updates

    def begin():
        state = jax.jit(init)(roots)

        def call():
            nonlocal state
            state, metrics = program(state)
            return metrics

        return call

    return program, row, begin


def measure(config: Config, seeds: int, meter: meters.Meter, repeats: int) -> Row:
    """One row: several seeds in one program."""
    updates = 1 if jax.default_backend() == 'cpu' else 10
    _, row, begin = compiled(config, seeds, updates)
    memory = memory_bytes()
    if memory and row['program_gigabytes'] * 1e9 > 0.9 * memory:
        return row  # It does not fit, so it has no time.
    return meters.with_ratio({**row, **meter.time(begin(), repeats, updates)})


def measure_parts(config: Config, meter: meters.Meter, repeats: int) -> list[Row]:
    """The parts of an update: the noise of its images, and encoder and decoder with their gradients."""
    model = make_world_model(config.model, spec_of(config))
    params = jax.jit(model.init)(keys.root(0))
    rows = config.learner.batch, config.learner.chunk_length
    images = jax.random.bits(keys.root(1), (*rows, *spec_of(config).observation_shape), jnp.uint8)
    roots = jax.random.split(keys.root(2), rows[0])
    prepare = jax.vmap(model.prepare)
    prepared = jax.jit(prepare)(roots, images)
    features = jax.random.normal(keys.root(3), (*rows, model.initial().features.size))

    def encode(encoder, prepared):
        encoded = jax.vmap(jax.vmap(model.encode, (None, 0)), (None, 0))({**params, 'encoder': encoder}, prepared)
        return jnp.square(encoded).mean()

    def decode(decoder, features, prepared):
        image = jax.vmap(jax.vmap(model.decode, (None, 0)), (None, 0))({'decoder': decoder}, features)
        return jnp.square(image - prepared).mean()

    measured = []
    for name, function, arguments in (
            ('images', prepare, (roots, images)),
            ('encoder', encode, (params['encoder'], prepared)),
            ('encoder, gradient too', jax.grad(encode), (params['encoder'], prepared)),
            ('decoder', decode, (params['decoder'], features, prepared)),
            ('decoder, gradient too', jax.grad(decode, (0, 1)), (params['decoder'], features, prepared))):
        program, row = programs.compile(function, *arguments)
        timed = {**row, **meter.time(lambda program=program, arguments=arguments: program(*arguments), repeats)}
        measured.append({'row': name, **(meters.with_ratio(timed) if row['gflop'] else timed)})
    return measured


def main(options: Update) -> None:
    """Measures and reports."""
    config, meter = preset(options.size), meters.Meter(options.size)
    seeds = options.seeds or ((1, 2, 4) if jax.default_backend() == 'cpu' else (1, 2, 4, 5))
    batch = config.learner.batch
    rows = [{'row': f'seeds {n}', **measure(config, n, meter, options.repeats)} for n in seeds]
    for size in options.batches or (max(1, batch // 5), batch // 2):
        smaller = dataclasses.replace(config, learner=dataclasses.replace(config.learner, batch=size))
        rows.append({'row': f'batch {size}', **measure(smaller, 1, meter, options.repeats)})
    rows += measure_parts(config, meter, options.repeats)
    results.finish('update', options, meter, meters.relative(rows, rows[0]))


if __name__ == '__main__':
    main(tyro.cli(Update, registry=REGISTRY))
