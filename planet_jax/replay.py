"""Episodes in memory as a pytree, with pure functions to add one and to sample chunks.

Tasks whose episodes have different T are kept in replays of their own, so that no memory goes to padding.
"""

import functools
from collections.abc import Sequence

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


def sample(replays: Sequence[Replay], key: jax.Array, batch: int, chunk_length: int) -> Trajectory:
    """Draws chunks: an episode uniformly, then a start uniformly among those that keep the chunk inside the episode.

    The episode is one of all that the replays hold, so each of them is drawn from by its share of the episodes. A
    chunk never crosses episodes. It is padded, and its length below L, only if its whole episode is shorter.

    Args:
        replays: at least one episode in all, or the chunks are empty (length 0).
        key: a random key.
        batch: B.
        chunk_length: L.

    Returns:
        a Trajectory with leading [B, L] and length [B].

    Raises:
        ValueError: the chunks are longer than a slot.
    """
    for replay in replays:
        if chunk_length > replay.data.reward.shape[1]:
            raise ValueError(f'Chunks of {chunk_length} rows were asked of a replay whose slots have '
                             f'{replay.data.reward.shape[1]}.')
    episode_key, start_key = jax.random.split(key)
    filled = jnp.stack([jnp.minimum(replay.count, len(replay.data.length)) for replay in replays])
    # Drawn by `randint` from 0 up to the number itself, so that the same chunks come of any number of slots.
    drawn = jax.random.randint(episode_key, (batch,), 0, jnp.maximum(filled.sum(), 1))
    ends = jnp.cumsum(filled)
    # An index below a replay's first episode or behind its last one is clipped; that chunk is not taken.
    episodes = [drawn - (end - count) for end, count in zip(ends, filled)]

    def drawn_from(options):
        """Of what each replay offers, [B, ...], that of the replay which holds the episode drawn."""
        chosen = options[0]
        for begin, option in zip(ends, options[1:]):
            chosen = jax.tree.map(functools.partial(jax.vmap(jnp.where), drawn >= begin), option, chosen)
        return chosen

    lengths = drawn_from([replay.data.length[index] for replay, index in zip(replays, episodes)])
    starts = jax.random.randint(start_key, (batch,), 0, jnp.maximum(lengths - chunk_length, 0) + 1)

    def cut(data, episode, start):
        def rows(stored):
            sizes = (1, chunk_length, *stored.shape[2:])
            first = (episode, start, *[0] * (stored.ndim - 2))
            return jax.lax.dynamic_slice(stored, first, sizes)[0]

        return rows(data.observation), rows(data.action), rows(data.reward)

    chunks = drawn_from([jax.vmap(cut, (None, 0, 0))(replay.data, index, starts)
                    for replay, index in zip(replays, episodes)])
    return Trajectory(*chunks, jnp.minimum(lengths, chunk_length))


def episodes(replays: Sequence[Replay]) -> jax.Array:
    """Episodes ever added to all of them, int32 []."""
    return sum(replay.count for replay in replays)
