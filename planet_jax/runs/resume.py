"""Going on with a run: the newest checkpoints, and the episodes that the replay holds."""

from collections.abc import Callable, Sequence

import jax
import numpy as np

from planet_jax.config import Spec
from planet_jax.runs.progress import Seed
from planet_jax.runs.run import one_seed
from planet_jax.storage import episodes
from planet_jax.storage.run_folder import FolderError
from planet_jax.types import Steps, TrainState, Trajectory


def restore(seeds: Sequence[Seed], state: TrainState, steps: Steps, spec: Spec, slots: int, drop_bad: bool,
            say: Callable[[str], None]) -> TrainState | None:
    """Goes on from the newest checkpoints, if there are any.

    Only the episodes that the replay holds are read; those that it has dropped may be gone.

    Args:
        seeds: whose folders hold them; their progress is set.
        state: of a run that begins, with [P].
        steps: with [P] in front.
        spec: of the tasks.
        slots: N, episodes of each task that the replay holds.
        drop_bad: whether to go on without an episode that cannot be read.
        say: called with a sentence on all that is set aside.

    Returns:
        the state, or none if no seed has a checkpoint.

    Raises:
        FolderError: a checkpoint or an episode that is needed cannot be used.
    """
    found = [seed.folder.restore(one_seed(state, index), say) for index, seed in enumerate(seeds)]
    if not any(found):
        return None
    # Beside a seed that was saved before its first episode, another may not have begun.
    restored = [pair[0] if pair else one_seed(state, index) for index, pair in enumerate(found)]
    for seed, pair in zip(seeds, found):
        if pair:
            seed.continue_from(pair[1], int(pair[0].learner.updates))

    def put(leaves, like):
        # One seed is not put on a device by name: that would be another signature, and every step be compiled anew.
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
    """The state as if so many episodes of each task had been added, and all been dropped since.

    Args:
        state: with [P], its replays empty.
        rounds: episodes of each task.
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
    """An episode from disk; one that must be done without is put into its slot with no valid row."""
    try:
        return seed.folder.read_episode(number, spec, seed.progress.episodes[number])
    except FolderError as error:
        if str(number) not in seed.folder.dropped:
            if not drop_bad:
                raise
            seed.folder.drop_episode(number, str(error.__cause__))
            say(f'Going on without episode {number + 1} of seed {seed.run.seed}, which marks the run as no longer '
                f'exact: {error.__cause__}')
        return episodes.empty(spec)


def _stack(trees: Sequence[Trajectory]) -> Trajectory:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
