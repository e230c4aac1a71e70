"""Episodes in memory as a pytree, with pure functions to add one and to sample chunks."""

import jax
import jax.numpy as jnp

from planet_jax.config import Spec
from planet_jax.types import Replay, Trajectory


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
        observation=jnp.zeros((*rows, *spec.observation_shape), spec.observation_dtype),
        action=jnp.zeros((*rows, spec.action_size)),
        reward=jnp.zeros(rows),
        length=jnp.zeros(slots, jnp.int32),
    )
    return Replay(data, jnp.zeros((), jnp.int32))


def add(replay: Replay, episode: Trajectory) -> Replay:
    """Puts an episode into the slot of its number; the oldest is overwritten when all are taken.

    Args:
        replay: the replay; donate it, since it may be gigabytes.
        episode: T + 1 rows or fewer.

    Raises:
        ValueError: the episode is longer than a slot, or of other shapes or dtypes.
    """
    slots = len(replay.data.length)

    def put(stored, new):
        if new.dtype != stored.dtype or new.shape[1:] != stored.shape[2:] or new.ndim and len(new) > stored.shape[1]:
            raise ValueError(f'The replay holds {stored.dtype} {stored.shape[1:]} per episode, but this one has '
                             f'{new.dtype} {new.shape}.')
        if new.ndim:
            # Rows left over from an older, longer episode must not remain.
            new = jnp.pad(new, [(0, stored.shape[1] - len(new))] + [(0, 0)] * (new.ndim - 1))
        return jax.lax.dynamic_update_index_in_dim(stored, new, replay.count % slots, 0)

    return Replay(jax.tree.map(put, replay.data, episode), replay.count + 1)


def sample(replay: Replay, key: jax.Array, batch: int, chunk_length: int) -> Trajectory:
    """Draws chunks: an episode uniformly, then a start uniformly among those that keep the chunk inside the episode.

    A chunk never crosses episodes. It is padded, and its length below L, only if its whole episode is shorter.

    Args:
        replay: at least one episode, or the chunks are empty (length 0).
        key: a random key.
        batch: B.
        chunk_length: L.

    Returns:
        a Trajectory with leading [B, L] and length [B].

    Raises:
        ValueError: the chunks are longer than a slot.
    """
    slots, rows = replay.data.reward.shape
    if chunk_length > rows:
        raise ValueError(f'Chunks of {chunk_length} rows were asked of a replay whose slots have {rows}.')
    episode_key, start_key = jax.random.split(key)
    filled = jnp.minimum(replay.count, slots)
    # Drawn by `randint` from 0 up to the number itself, so that the same chunks come of any number of slots.
    episodes = jax.random.randint(episode_key, (batch,), 0, jnp.maximum(filled, 1))
    lengths = replay.data.length[episodes]
    starts = jax.random.randint(start_key, (batch,), 0, jnp.maximum(lengths - chunk_length, 0) + 1)

    def cut(episode, start, length):
        def rows(stored):
            sizes = (1, chunk_length, *stored.shape[2:])
            first = (episode, start, *[0] * (stored.ndim - 2))
            return jax.lax.dynamic_slice(stored, first, sizes)[0]

        data = replay.data
        return Trajectory(rows(data.observation), rows(data.action), rows(data.reward),
                          jnp.minimum(length, chunk_length))

    return jax.vmap(cut)(episodes, starts, lengths)
