"""Gives a training up when too many updates in a row are skipped, and keeps the batch of the last one."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from planet_jax import config, learner, replay
from planet_jax.storage import files
from planet_jax.storage.episodes import named_parts
from planet_jax.types import TrainState


class Patience:
    """Counts the skipped updates in a row of each seed.

    Attributes:
        most: skipped updates in a row after which a seed is given up.
    """

    def __init__(self, most: int, seeds: int):
        """Args: the number of skipped updates in a row at which a seed is given up, and P."""
        self.most, self._skipped = most, [0] * seeds

    def count(self, skipped: np.ndarray) -> dict[int, int]:
        """Counts the updates of a call of `learn`.

        Args:
            skipped: the metric of that name, [P, updates].

        Returns:
            for each seed that is given up in this call, by its index, the number of that update in the call, from 0.
        """
        lost = {}
        for index, of_seed in enumerate(skipped):
            for number, value in enumerate(of_seed):
                self._skipped[index] = self._skipped[index] + 1 if value else 0
                if self._skipped[index] == self.most:
                    lost[index] = number
        return lost


def save_batch(path: Path, state: TrainState, index: int, number: int, settings: config.Learner, on_device: bool,
               ) -> None:
    """Writes the key and the batch of an update. No episode may have been added since the update.

    Args:
        path: of the file, ending in .npz.
        state: with [P].
        index: of the seed.
        number: of the update, counted from 0.
        settings: B and L.
        on_device: whether the replays are.
    """
    def drawn(state):
        state = jax.tree.map(lambda leaf: leaf[index], state)
        key, draws = learner.draw(state, number, settings)
        return key, replay.cut(state.replay, draws)

    # With the replay on the device, only the batch is copied; with the replay on the host, nothing is sent.
    key, batch = (jax.jit(drawn) if on_device else drawn)(state)
    with files.replacing(path) as partial, open(partial, 'wb') as file:
        arrays = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
        arrays |= named_parts(arrays.pop('observation'))
        np.savez_compressed(file, key=key, **{name: array for name, array in arrays.items() if array is not None})
