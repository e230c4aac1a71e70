"""Continues a run: reads the newest checkpoints, and the episodes that the replay holds."""

from collections.abc import Callable, Sequence

import jax
import numpy as np

from planet_jax.config import Spec
from planet_jax.runs.run import one_seed
from planet_jax.runs.training.progress import Seed
from planet_jax.storage import episodes
from planet_jax.storage.run_files import FolderError
from planet_jax.types import Steps, TrainState, Trajectory


def restore(seeds: Sequence[Seed], state: TrainState, steps: Steps, spec: Spec, slots: int, drop_bad: bool,
            say: Callable[[str], None]) -> TrainState | None:
    """Continues from the newest checkpoints, if there are any.

    Only the episodes that the replay holds are read; files of dropped episodes may be missing.

    Args:
        seeds: their folders hold the checkpoints; their progress is set.
        state: a new one, with [P].
        steps: with [P] in front.
        spec: of the tasks.
        slots: N, episodes of each task that the replay holds.
        drop_bad: whether to continue without an episode that cannot be read.
        say: called with a sentence on everything that is set aside.

    Returns:
        the state; None if no seed has a checkpoint.

    Raises:
        FolderError: a required checkpoint or episode cannot be used.
    """
    found = [seed.folder.restore(one_seed(state, index), say) for index, seed in enumerate(seeds)]
    if not any(found):
        return None
    # One seed may have been saved before its first episode while another had not begun.
    restored = [pair[0] if pair else one_seed(state, index) for index, pair in enumerate(found)]
    for seed, pair in zip(seeds, found):
        if pair:
            seed.continue_from(pair[1], int(pair[0].learner.updates))

    def put(leaves, like):
        # A single seed is not committed to a device: every step would be compiled again for the other signature.
        return jax.device_put(np.stack(leaves), getattr(like, 'sharding', None) if len(seeds) > 1 else None)

    state = state.replace(learner=jax.tree.map(
        lambda like, *leaves: put(leaves, like), state.learner, *(one.learner for one in restored)))
    tasks = len(seeds[0].run.tasks)
    done = len(seeds[0].progress.episodes) // tasks
    first = max(done - slots, 0)
    if first:
        state = skip(state, first, slots)
    for number in range(first, done):
        rows = [[_read(seed, index, spec, drop_bad, say) for index in range(number * tasks, (number + 1) * tasks)]
                for seed in seeds]
        state = steps.add(state, _stack([_stack(of_seed) for of_seed in rows]))
    return state


def skip(state: TrainState, rounds: int, slots: int) -> TrainState:
    """Counts episodes that the replay held and has dropped, without their data.

    Args:
        state: with [P] and empty replays.
        rounds: episodes of each task to count.
        slots: N, for each task.
    """
    def counted(replay):
        tasks = replay.data.length.shape[1] // slots
        count = np.full(replay.count.shape, rounds * tasks, np.int32)
        if isinstance(replay.count, np.ndarray):  # On the host.
            return replay.replace(count=count)
        return replay.replace(count=jax.device_put(count, replay.count.sharding if len(count) > 1 else None))

    return state.replace(replay=tuple(map(counted, state.replay)))


def _read(seed: Seed, number: int, spec: Spec, drop_bad: bool, say: Callable[[str], None]) -> Trajectory:
    """An episode from disk. A dropped one leaves a slot without valid rows."""
    try:
        return seed.folder.read_episode(number, spec, seed.progress.episodes[number])
    except FolderError as error:
        if str(number) not in seed.folder.dropped:
            if not drop_bad:
                raise
            seed.folder.drop_episode(number, str(error.__cause__))
            say(f'Continuing without episode {number + 1} of seed {seed.run.seed}, which marks the run as not '
                f'exact: {error.__cause__}')
        return episodes.empty(spec)


def _stack(trees: Sequence[Trajectory]) -> Trajectory:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
