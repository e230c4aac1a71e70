"""Episodes in memory as a pytree, with functions to add one, to draw chunks and to cut them out.

Tasks whose episodes have different T are kept in replays of their own, so that no memory goes to padding. A replay of
JAX arrays is on the device, and all functions are pure; one of NumPy arrays is in the host's memory.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from planet_jax.config import Spec
from planet_jax.types import Draw, Replay, Trajectory


def zeros(spec: Spec, leading: Sequence[int], make: Callable[..., Any] = np.zeros) -> Any:
    """Observations that are all zero, in the shapes and dtypes of a spec.

    Args:
        spec: of the observations.
        leading: axes in front.
        make: (shape, dtype) -> array.

    Returns:
        an array, or a dict of them where observations have several parts.
    """
    if spec.parts:
        return {name: make((*leading, *shape), dtype) for name, shape, dtype in spec.parts}
    return make((*leading, *spec.observation_shape), spec.observation_dtype)


def init(spec: Spec, slots: int, chunk_length: int) -> Replay:
    """An empty replay.

    Args:
        spec: shapes, and T.
        slots: N.
        chunk_length: L; episodes shorter than a chunk are padded to it.

    Raises:
        ValueError: slots or chunk_length is below one.
    """
    if slots < 1 or chunk_length < 1:
        raise ValueError(f'A replay needs at least one slot and one row per chunk, not {slots} and {chunk_length}.')
    rows = slots, max(spec.steps + 1, chunk_length)
    data = Trajectory(
        observation=zeros(spec, rows, jnp.zeros),
        action=jnp.zeros((*rows, spec.action_size)),
        reward=jnp.zeros(rows),
        length=jnp.zeros(slots, jnp.int32),
        terminated=jnp.zeros(slots, bool) if spec.ends else None,
    )
    return Replay(data, jnp.zeros((), jnp.int32))


def add(replay: Replay, episode: Trajectory) -> Replay:
    """Puts an episode into the slot of its number. When all slots are taken, the oldest is overwritten.

    Args:
        replay: the replay; donate it, since it may be gigabytes. NumPy arrays are written in place.
        episode: T + 1 rows or fewer.

    Raises:
        ValueError: the episode is longer than a slot, or of other shapes or dtypes.
    """
    slots = len(replay.data.length)
    on_host = isinstance(replay.data.length, np.ndarray)
    library = np if on_host else jnp

    def put(stored, new):
        if new.dtype != stored.dtype or new.shape[1:] != stored.shape[2:] or new.ndim and len(new) > stored.shape[1]:
            raise ValueError(f'The replay holds {stored.dtype} {stored.shape[1:]} per episode, but this one has '
                             f'{new.dtype} {new.shape}.')
        if new.ndim:
            # Rows of an older, longer episode must not remain.
            new = library.pad(new, [(0, stored.shape[1] - len(new))] + [(0, 0)] * (new.ndim - 1))
        if on_host:
            stored[replay.count % slots] = new
            return stored
        return jax.lax.dynamic_update_index_in_dim(stored, new, replay.count % slots, 0)

    return Replay(jax.tree.map(put, replay.data, episode), replay.count + 1)


def draw(replays: Sequence[Replay], key: jax.Array, batch: int, chunk_length: int) -> Draw:
    """Draws chunks: an episode uniformly, then a start uniformly among those that keep the chunk inside the episode.

    The episode is one of all that the replays hold, so each of them is drawn from by its share of the episodes. A
    chunk never crosses episodes. Its length is below L only if its whole episode is shorter.

    Args:
        replays: at least one episode in all, or the chunks are empty (length 0). Only counts and lengths are used.
        key: a random key.
        batch: B.
        chunk_length: L.

    Returns:
        a Draw with leading [B].
    """
    episode_key, start_key = jax.random.split(key)
    filled = jnp.stack([jnp.minimum(replay.count, len(replay.data.length)) for replay in replays])
    # `randint` draws up to the number of episodes, so the chunks do not depend on the number of slots.
    drawn = jax.random.randint(episode_key, (batch,), 0, jnp.maximum(filled.sum(), 1))
    ends = jnp.cumsum(filled)
    which = (drawn[:, None] >= ends[:-1]).sum(1)
    slots = drawn - (ends - filled)[which]
    lengths = _of_each(which, [jnp.asarray(replay.data.length)[slots] for replay in replays])
    starts = jax.random.randint(start_key, (batch,), 0, jnp.maximum(lengths - chunk_length, 0) + 1)
    return Draw(which, slots, starts, jnp.minimum(lengths, chunk_length), chunk_length)


def cut(replays: Sequence[Replay], draws: Draw) -> Trajectory:
    """Cuts the drawn chunks, padded to L rows.

    Args:
        replays: those of the draws. NumPy arrays are cut by NumPy.
        draws: with leading [B], or any leading axes for NumPy arrays.

    Returns:
        a Trajectory with leading [B, L] and length [B]. A chunk is terminated if it ends with the last row of an
        episode that is.

    Raises:
        ValueError: the chunks are longer than a slot.
    """
    for replay in replays:
        if draws.rows > replay.data.reward.shape[1]:
            raise ValueError(f'Chunks of {draws.rows} rows were asked of a replay whose slots have '
                             f'{replay.data.reward.shape[1]}.')
    if isinstance(replays[0].data.reward, np.ndarray):
        return _cut_on_host(replays, draws)

    def one(data, slot, start):
        def rows(stored):
            sizes = (1, draws.rows, *stored.shape[2:])
            return jax.lax.dynamic_slice(stored, (slot, start, *[0] * (stored.ndim - 2)), sizes)[0]

        return jax.tree.map(rows, (data.observation, data.action, data.reward))

    def ended(data):
        if data.terminated is None:
            return None
        return data.terminated[draws.slot] & (draws.start + draws.length == data.length[draws.slot])

    # A slot or start beyond the end of another replay is clipped; that chunk is not selected.
    (observation, action, reward), terminated = _of_each(draws.replay, [
        (jax.vmap(one, (None, 0, 0))(replay.data, draws.slot, draws.start), ended(replay.data)) for replay in replays])
    return Trajectory(observation, action, reward, draws.length, terminated)


def _of_each(which: jax.Array, options: Sequence[Any]) -> Any:
    """Selects from the replays' results, [B, ...] each, the result of replay `which` [B]."""
    chosen = options[0]
    for number, option in enumerate(options[1:], 1):
        chosen = jax.tree.map(functools.partial(jax.vmap(jnp.where), which == number), option, chosen)
    return chosen


def _cut_on_host(replays: Sequence[Replay], draws: Draw) -> Trajectory:
    places = list(zip(*(np.asarray(index).ravel().tolist() for index in (draws.replay, draws.slot, draws.start))))

    def rows(*stored):
        chunks = np.stack([stored[replay][slot, start:start + draws.rows] for replay, slot, start in places])
        return chunks.reshape(*draws.length.shape, *chunks.shape[1:])

    terminated, lengths = None, np.asarray(draws.length)
    if replays[0].data.terminated is not None:
        terminated = np.array([
            replays[replay].data.terminated[slot] and start + length == replays[replay].data.length[slot]
            for (replay, slot, start), length in zip(places, lengths.ravel())]).reshape(lengths.shape)
    observation, action, reward = jax.tree.map(rows, *(
        (replay.data.observation, replay.data.action, replay.data.reward) for replay in replays))
    return Trajectory(observation, action, reward, lengths, terminated)


def episodes(replays: Sequence[Replay]) -> jax.Array:
    """Episodes ever added to all of them, int32 []."""
    return sum(replay.count for replay in replays)
