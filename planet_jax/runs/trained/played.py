"""An evaluation episode of an agent for the report: what it saw and expected, and how the model predicts it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from planet_jax import keys
from planet_jax.open_loop import CONTEXT, Prediction, predict_features
from planet_jax.ops import images
from planet_jax.pictures import video
from planet_jax.pictures.open_loop import write_parts
from planet_jax.runs.measuring import horizon_of, make_measure_of_one, plain
from planet_jax.runs.trained.agent import Policy, Trained, first
from planet_jax.runs.trained.searches import Before, Search
from planet_jax.scores.numbers import significant
from planet_jax.types import Trajectory

SIZE = 160
"""Height and width of a picture in the videos, in pixels."""


@dataclass(frozen=True)
class Played:
    """An evaluation episode of an agent.

    Attributes:
        episode: its rows.
        expected: [T], the return over H steps that each plan expected.
        horizon: H of the planner.
        measured: measures of the model on the episode, see `measures.of_episodes`; empty if it is too short, or if they
            were not asked for.
    """

    episode: Trajectory
    expected: np.ndarray
    horizon: int
    measured: dict[str, Any]


def play(trained: Trained, folder: Path, advance: Callable[[int], None] = lambda done: None, *, step: int | None = None,
         predict: bool = True, measure: bool = True) -> Played:
    """Runs the first evaluation episode of an agent's first task, predicts it, and draws all of it.

    Few programs are compiled, which takes most of the time: one of the agent's step, one that decodes as many rows as
    the episode has, and at most one each for the prediction, for the measures, and for the search.

    Args:
        trained: the agent.
        folder: where `prediction.png` and `.mp4`, `search.png`, and `episode.mp4` are written, the videos for images.
        advance: called with the agent steps done.
        step: whose search is drawn; None draws none.
        predict: whether to predict the episode open loop.
        measure: whether to measure the model on it.
    """
    run, task = trained.run, trained.run.tasks[0]
    agent, steps = Policy(trained), trained.steps_of(task)
    agent.reset(seed=0)
    expected, features = [], []
    before: Before | None = None
    latent: Any = None
    with trained.make_env(task) as env:
        speed, seed = env.get_wrapper_attr('metadata')['render_fps'], agent.environment_seed
        observation, _ = env.reset(seed=seed)
        rows, length = [(observation, np.zeros(run.spec.action_size, np.float32), 0.0)], 1
        for number in range(steps):
            if number == step:
                before = Before.of(agent)
            action = agent.act(observation)
            if number == step:
                latent = agent.belief.latent
            expected.append(float(agent.belief.expected_return[0, 0]))
            features.append(np.asarray(agent.belief.latent.features[0, 0]))
            observation, reward, _, _, info = env.step(action)
            length = int(info.get('length', number + 1)) + 1
            rows.append((observation, action, reward))
            advance(number + 1)
    observations, actions, rewards = jax.tree.map(lambda *leaves: np.stack(leaves), *rows)
    episode = Trajectory(observations, actions, rewards.astype(np.float32), np.int32(length))
    params, root = first((trained.params, trained.root))
    decode = functools.partial(run.compiled(jax.vmap(run.model.decode, (None, 0)), once=True), params)
    seen, believed = _images(observations), None
    if seen is not None:
        # As many rows as a prediction has, so that one program decodes both.
        decoded = _images(decode(np.stack([*features, features[-1]])))
        believed = np.asarray(images.restore(decoded))[:steps]
        returns = np.cumsum(episode.reward)
        video.write_video(folder / 'episode.mp4', (video.panels(
            {'observed': seen[number], 'decoded from the belief': believed[number]},
            (f'step {number} of {steps}    return {significant(float(returns[number]))}',), SIZE)
            for number in range(steps)), speed)
    if predict and length > CONTEXT:
        # `open_loop.predict`, but decoded by the program that is there already.
        predicted, rewarded = run.compiled(functools.partial(predict_features, run.model), once=True)(
            params, keys.stream(root, 'open_loop'), episode.observation, episode.action)
        predictions = Prediction.of_parts(episode, run.model.restore(decode(np.asarray(predicted))), rewarded)
        write_parts(folder / 'prediction', predictions, f'{task} {trained.progress}', speed)
    if before is not None:
        with trained.make_env(task) as env:
            env.reset(seed=seed)
            for action in actions[1:step + 1]:
                env.step(action)
            video.write_picture(folder / 'search.png', Search.at(
                trained, task, step, before, latent, jax.tree.map(lambda rows: rows[step], observations),
                None if believed is None else believed[step], env).draw())
    horizon = horizon_of(run.config, steps) if measure else None
    measured = plain(run.compiled(make_measure_of_one(run.model, run.config.resolve(), horizon), once=True)(
        params, keys.stream(root, 'measure'), episode)) if horizon else {}
    planner = run.config.evaluation_planner.over(run.config.planner)
    return Played(episode, np.array(expected), planner.horizon, measured)


def _images(rows: Any) -> Any:
    """The images among rows of observations, of several parts the first that has any; None if there are none."""
    parts = rows.values() if isinstance(rows, dict) else [rows]
    return next((part for part in parts if part.ndim == 4), None)
