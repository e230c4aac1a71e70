"""The measures of a model as plain values, for fits, evaluations and studies."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from planet_jax import keys, measures
from planet_jax.config import Config
from planet_jax.types import Params, Trajectory, WorldModel

MEASURED = 8
"""Training episodes that are measured besides the held-out ones."""
HORIZON = 12
"""Agent steps that are predicted open loop, the horizon of the paper's planner."""


def horizon_of(config: Config, steps: int) -> int | None:
    """Agent steps to predict: the planner's horizon, or what the episodes allow; None if they are too short.

    Args:
        config: of the run.
        steps: T.
    """
    longest = min(config.planner.horizon, steps + 1 - measures.CONTEXT)
    return longest if longest > 0 else None


def make_measure(model: WorldModel, config: Config, training: Trajectory, held_out: Trajectory, horizon: int = HORIZON,
                 ) -> Callable[[Params], dict[str, dict[str, Any]]]:
    """Makes a function that measures a model.

    Args:
        model: the world model.
        config: resolved; the free nats are taken from its objective.
        training: episodes that the model learns from, with leading [E]; the data's means come from these.
        held_out: episodes to measure, with leading [E].
        horizon: H.

    Returns:
        params -> `measures.of_episodes` of the `held_out` and of as many `training` episodes, as plain values. The
        held-out ones also have `r2_mean`, of rollouts that follow the prior's mean.
    """
    key = keys.stream(keys.root(0), 'measure')
    mean = jax.jit(functools.partial(measures.data_mean, model))(key, training)
    count = min(MEASURED, len(training.length), len(held_out.length))
    held_out, training = (jax.tree.map(lambda leaf: leaf[:count], data) for data in (held_out, training))
    options = dict(free_nats=config.objective.free_nats, horizon=horizon)

    @jax.jit
    def of(params, episodes, quiet):
        return measures.of_episodes(measures.without_noise(model, quiet), params, key, episodes, mean, **options)

    def call(params):
        held, seen, still = (plain(of(params, *arguments)) for arguments in (
            (held_out, False), (training, False), (held_out, True)))
        return {'held_out': held | {'r2_mean': still['r2']}, 'training': seen}

    return call


def make_measure_of_one(model: WorldModel, config: Config, horizon: int,
                        ) -> Callable[[Params, jax.Array, Trajectory], measures.Metrics]:
    """Makes a pure function that measures a model on one episode, whose own mean is the baseline.

    Args:
        model: the world model.
        config: resolved; the free nats are taken from its objective.
        horizon: H.

    Returns:
        (params, key, episode without a batch axis) -> see `measures.of_episodes`.
    """
    def of(params, key, episode):
        mean_key, key = jax.random.split(key)
        episodes = jax.tree.map(lambda leaf: leaf[None], episode)
        return measures.of_episodes(model, params, key, episodes, measures.data_mean(model, mean_key, episodes),
                                    free_nats=config.objective.free_nats, horizon=horizon)

    return of


def plain(measured: measures.Metrics) -> dict[str, Any]:
    """Measures as JSON stores them, with six digits."""
    def one(array):
        array = np.asarray(array)
        return [float(f'{value:.6g}') for value in array.tolist()] if array.ndim else float(f'{array:.6g}')

    return jax.tree.map(one, measured)


def unexplained(measured: dict[str, Any]) -> float:
    """One number to compare models of the same data by; smaller is better.

    The open-loop error over all H steps is divided by the error of the data's mean. The shares of observations and of
    rewards are added, so a model that predicts the means scores 2. Of several parts of observations the shares are
    averaged. Data that does not vary is left out.

    Args:
        measured: of `measures.of_episodes`, as plain values.
    """
    def share(*names):
        return [np.mean(measured[f'open_loop/{name}']) / spread for name in names
                if (spread := np.mean(measured[f'mean/{name}'])) > 0]

    parts = [name.removeprefix('mean/') for name in measured if name.startswith('mean/observation/')]
    return float(sum(np.mean(shares) for shares in (share(*parts or ['observation']), share('reward')) if shares))
