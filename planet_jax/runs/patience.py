"""Giving up: when updates are skipped one after the other, and what is kept then."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from planet_jax import config, learner, replay
from planet_jax.storage import files
from planet_jax.types import TrainState


class Patience:
    """Counts, for each seed, the updates in a row that were skipped.

    Attributes:
        most: of them, after which a seed cannot learn any more.
    """

    def __init__(self, most: int, seeds: int):
        """Args: how many in a row are too many, and P."""
        self.most, self._skipped = most, [0] * seeds

    def count(self, skipped: np.ndarray) -> dict[int, int]:
        """Takes in a call of `learn`.

        Args:
            skipped: its metric, [P, updates].

        Returns:
            for each seed that has lost the patience in this call, by its index: which update of the call it was,
            counted from 0.
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
    """Writes the key and the batch of an update; no episode may have been added since.

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

    # On the device nothing but the batch is to be copied; on the host nothing is to be sent.
    key, batch = (jax.jit(drawn) if on_device else drawn)(state)
    with files.replacing(path) as partial, open(partial, 'wb') as file:
        np.savez_compressed(file, key=key, **{field.name: getattr(batch, field.name)
                                              for field in dataclasses.fields(batch)})
