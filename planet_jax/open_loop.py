"""Open-loop prediction of a held-out episode (section 5 of the paper).

It filters the first five rows of the episode, then predicts all others from the actions alone.
"""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from planet_jax import world_model
from planet_jax.types import Params, Trajectory, WorldModel

CONTEXT = 5
"""Rows that are filtered (the paper's context frames)."""
HORIZONS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""Agent steps ahead at which errors are recorded, up to the end of the episode."""


@dataclass(frozen=True)
class Prediction:
    """An episode beside its prediction, up to its length l.

    Attributes:
        observation: float32 [l, ...], true; images from 0, black, to 1.
        predicted: the same, by the model; the first `CONTEXT` rows are reconstructions.
        reward: [l], true.
        predicted_reward: [l], by the model.
    """

    observation: np.ndarray
    predicted: np.ndarray
    reward: np.ndarray
    predicted_reward: np.ndarray

    @property
    def images(self) -> bool:
        """Whether observations are images."""
        return self.observation.ndim == 4

    def ahead(self, choice: tuple[int, ...]) -> list[int]:
        """The steps ahead that the episode is long enough for."""
        return [step for step in choice if CONTEXT + step <= len(self.reward)]

    def errors(self) -> dict[str, Any]:
        """The errors, for a line of `open_loop.jsonl`.

        Returns:
            `context`; `horizon`, a list of agent steps ahead; and for each of them `observation_error`, the squared
            error, averaged over pixels and channels, where 0 is black and 1 is full, or over a vector's entries;
            `still_error`, the same for the last row of the context, as if nothing moved; and `reward_error`, the
            absolute error of the reward.
        """
        horizon = self.ahead(HORIZONS)
        rows = [CONTEXT - 1 + step for step in horizon]
        true = self.observation[rows]
        error, still = (np.square(guess - true, dtype=np.float64).mean(tuple(range(1, true.ndim))) for guess in (
            self.predicted[rows], self.observation[CONTEXT - 1]))
        reward = np.abs(self.predicted_reward[rows].astype(np.float64) - self.reward[rows])
        return {'context': CONTEXT, 'horizon': horizon, 'observation_error': error.tolist(),
                'still_error': still.tolist(), 'reward_error': reward.tolist()}

    @classmethod
    def of(cls, episode: Trajectory, predicted: jax.Array, rewards: jax.Array) -> 'Prediction':
        """Puts an episode beside its prediction from `predict`.

        Args:
            episode: without batch axes, longer than the context; its observation is an array.
            predicted: means of the observations [T+1, ...], see `WorldModel.restore`.
            rewards: [T+1].
        """
        length = int(episode.length)
        true, predicted = np.asarray(episode.observation)[:length], np.asarray(predicted)[:length]
        if true.dtype == np.uint8:
            true, predicted = true.astype(np.float32) / 255, predicted + 0.5
        return cls(true, predicted, np.asarray(episode.reward)[:length], np.asarray(rewards)[:length])

    @classmethod
    def of_parts(cls, episode: Trajectory, predicted: Any, rewards: jax.Array) -> 'dict[str, Prediction]':
        """The prediction of each part of the observations by its name, or the only one by an empty name; see `of`."""
        if not isinstance(episode.observation, dict):
            return {'': cls.of(episode, predicted, rewards)}
        return {name: cls.of(episode.replace(observation=part), predicted[name], rewards)
                for name, part in episode.observation.items()}


def errors_of(predictions: dict[str, Prediction]) -> dict[str, Any]:
    """The errors of a prediction; of one in several parts their mean, and those of each part.

    Args:
        predictions: see `Prediction.of_parts`.

    Returns:
        see `Prediction.errors`; with several parts also `observation_error/NAME` and `still_error/NAME` of each.
    """
    found = {name: prediction.errors() for name, prediction in predictions.items()}
    line, *_ = found.values()
    if len(found) > 1:
        for error in ('observation_error', 'still_error'):
            line = line | {error: np.mean([each[error] for each in found.values()], 0).tolist()} | {
                f'{error}/{name}': each[error] for name, each in found.items()}
    return line


def predict_features(model: WorldModel, params: Params, key: jax.Array, observations: jax.Array, actions: jax.Array,
                     ) -> tuple[jax.Array, jax.Array]:
    """The prediction of `world_model.open_loop` before it is decoded.

    Args:
        model: the world model.
        params: its parameters.
        key: a random key.
        observations: [L, ...].
        actions: [L, A].

    Returns:
        features of the latent states [L, F], and means of the rewards [L].
    """
    features = world_model.open_loop(model, params, key, observations, actions, CONTEXT).features
    return features, jax.vmap(model.reward, (None, 0))(params, features)


def predict(model: WorldModel, params: Params, key: jax.Array, observations: jax.Array, actions: jax.Array,
            ) -> tuple[jax.Array, jax.Array]:
    """Decodes the prediction of `world_model.open_loop`.

    Args: see `predict_features`.

    Returns:
        means of the observations [L, ...], see `WorldModel.restore`, and of the rewards [L].
    """
    features, rewards = predict_features(model, params, key, observations, actions)
    return model.restore(jax.vmap(model.decode, (None, 0))(params, features)), rewards
