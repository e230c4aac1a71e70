"""How time and memory grow: with the batch, the image, the states of a plan, the seeds and the episodes.

Each group of rows changes one number and keeps the rest of the preset. `relative` is the time over that of the group's
first row, `times` the number over its first. In the last two groups sampling and adding should not grow with the
episodes in the replay, and a resume grows with the files that it reads.
"""

import dataclasses
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import tyro

from experiments.bench import meter as meters
from experiments.bench import planner, results, update
from experiments.bench.options import Options, Row
from planet_jax import algorithm, collector, envs, keys, replay
from planet_jax.cli.values import REGISTRY
from planet_jax.config import Config, preset
from planet_jax.runs.run import Run, one_seed
from planet_jax.runs.training.progress import Seed, write_given
from planet_jax.runs.training.resume import restore
from planet_jax.seeds import over_seeds
from planet_jax.storage.run_folder import RunFolder
from planet_jax.types import Trajectory


@dataclass(frozen=True)
class Growth(Options):
    """Measure how time and memory grow."""

    repeats: int = 3
    """Timed runs of each row."""
    batches: tuple[int, ...] = ()
    """Chunks per update; by default a fifth, a half, all and twice the preset's."""
    sizes: tuple[int, ...] = (32, 64, 96)
    """Sides of an image, in pixels."""
    states: tuple[int, ...] = (1, 4, 16)
    """States planned from in one call."""
    seeds: tuple[int, ...] = (1, 2, 4)
    """Seeds in one program."""
    episodes: tuple[int, ...] = (10, 100, 1000)
    """Episodes in the replay, and on disk at a resume."""
    task: str = 'cheetah_run'
    """Of the episodes on disk."""


FIELDS = ('seconds', 'readings', 'product_gflop_per_second', 'gflop', 'ratio', 'program_gigabytes',
          'reading_episodes_seconds', 'disk_gigabytes')
"""Fields of the rows. The memory is that of the program, or of the replay in the last groups."""


def group(name: str, numbers: tuple[int, ...], measured: list[Row]) -> list[Row]:
    """Rows of a group, with `times` and `relative`."""
    rows = [{'row': f'{name} {number}', 'times': number / numbers[0]}
            | {field: row[field] for field in FIELDS if field in row}
            for number, row in zip(numbers, measured, strict=True)]
    return meters.relative(rows, rows[0])


def measure_replay(config: Config, episodes: int, meter: meters.Meter, repeats: int) -> dict[str, Row]:
    """Rows of drawing and cutting the chunks of an update, and of adding an episode, with a full replay."""
    spec = update.spec_of(config)
    steps = over_seeds(algorithm.make_steps(config, spec, slots=episodes, updates_per_call=1), jax.devices()[:1])
    state = steps.init(keys.root(0)[None])
    store, = state.replay
    full = store.replace(count=store.count + episodes, data=store.data.replace(
        length=store.data.length + spec.steps + 1))
    state = state.replace(replay=(full,))
    rows = 1, 1, spec.steps + 1
    episode = Trajectory(np.zeros((*rows, *spec.observation_shape), np.uint8),
                         np.zeros((*rows, spec.action_size), np.float32), np.zeros(rows, np.float32),
                         np.full(rows[:2], rows[2], np.int32))

    @jax.jit
    def sample(state):
        draws = jax.tree.map(lambda leaf: leaf[0, 0], steps.draw(state))
        return replay.cut(jax.tree.map(lambda leaf: leaf[0], state.replay), draws)

    memory = {'program_gigabytes': sum(leaf.nbytes for leaf in jax.tree.leaves(state.replay)) / 1e9}
    sampled = meter.time(lambda: sample(state), repeats)

    def add():
        nonlocal state
        state = steps.add(state, episode)
        return state.replay[0].count + 0  # Not what the next call donates.

    return {'sampling, episodes': {**sampled, **memory}, 'adding, episodes': {**meter.time(add, repeats), **memory}}


def measure_resume(run: Run, episodes: int, meter: meters.Meter, folder: Path) -> Row:
    """One row: reading checkpoint and episodes back into a replay of that size, once; and the parts of this time."""
    steps = run.steps(episodes)
    state = steps.init(keys.root(run.seed)[None])
    vector = envs.make_vector(run.tasks, run.config.env)
    collected, _ = collector.collect(steps.random, steps.begin, vector, state.learner.params,
                                     jax.random.split(keys.root(1), (1, 1)))
    vector.close()
    seed = Seed(run, RunFolder(folder, run.record()))
    first = jax.tree.map(lambda leaf: leaf[0], collected)
    write_given(seed, first)
    # The other files are copies, since compressing each anew would take most of the time.
    for number in range(1, episodes):
        shutil.copyfile(seed.folder.episode_path(0), seed.folder.episode_path(number))
        seed.progress.add_episode(seed.progress.episodes[0], int(first.length[0]), run.action_repeats[run.task])
    seed.save(one_seed(state))
    bytes_on_disk = sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())
    seed.folder.close()

    seed = Seed(run, RunFolder(folder, run.record()))
    began = len(meter.products)
    meter.yardsticks()
    begun = time.perf_counter()
    restored = restore([seed], state, steps, run.spec, episodes, False, print)
    jax.block_until_ready(restored)
    whole = time.perf_counter() - begun
    meter.yardsticks()
    if int(replay.episodes(restored.replay)[0]) != episodes:
        raise RuntimeError(f'{folder} was restored with another number of episodes than {episodes}.')
    begun = time.perf_counter()
    for number, digest in enumerate(seed.progress.episodes):
        seed.folder.read_episode(number, run.spec, digest)
    reading = time.perf_counter() - begun
    seed.folder.close()
    return {**meter.timing([whole], began), 'reading_episodes_seconds': reading,
            'program_gigabytes': sum(leaf.nbytes for leaf in jax.tree.leaves(restored.replay)) / 1e9,
            'disk_gigabytes': bytes_on_disk / 1e9}


def main(options: Growth) -> None:
    """Measures and reports."""
    config, meter, repeats = preset(options.size), meters.Meter(options.size), options.repeats
    ours = config.learner.batch
    batches = options.batches or (max(1, ours // 5), ours // 2, ours, 2 * ours)

    def with_batch(batch):
        return dataclasses.replace(config, learner=dataclasses.replace(config.learner, batch=batch))

    def with_size(size):
        return dataclasses.replace(config, env=dataclasses.replace(config.env, size=size))

    rows = group('batch', batches, [update.measure(with_batch(batch), 1, meter, repeats) for batch in batches])
    rows += group('image', options.sizes, [update.measure(with_size(size), 1, meter, repeats)
                                           for size in options.sizes])
    rows += group('seeds', options.seeds, [update.measure(config, seeds, meter, repeats) for seeds in options.seeds])
    rows += group('states of a plan', options.states, [planner.measure(config, states, meter, repeats)
                                                       for states in options.states])
    stored = [measure_replay(config, episodes, meter, repeats) for episodes in options.episodes]
    for name in stored[0]:
        rows += group(name, options.episodes, [of_number[name] for of_number in stored])
    run, resumed = Run(options.task, options.size, 0, config.resolve(options.task)), []
    for episodes in options.episodes:
        with tempfile.TemporaryDirectory() as folder:
            resumed.append(measure_resume(run, episodes, meter, Path(folder) / 'run'))
    rows += group('resume, episodes', options.episodes, resumed)
    results.finish('growth', options, meter, rows)


if __name__ == '__main__':
    main(tyro.cli(Growth, registry=REGISTRY))
