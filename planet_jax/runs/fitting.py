"""Trains the world model alone on existing episodes, without environment and planner."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from planet_jax import algorithm, keys, seeds
from planet_jax.config import Config, Spec
from planet_jax.networks import make_world_model
from planet_jax.runs.devices import available_devices
from planet_jax.runs.measuring import HORIZON, horizon_of, make_measure, unexplained
from planet_jax.runs.run import Run, one_seed
from planet_jax.runs.training.progress import Seed, write_given
from planet_jax.storage.datasets import Data, check_fit, split
from planet_jax.storage.run_folder import RunFolder
from planet_jax.types import TrainState, Trajectory


class Point(NamedTuple):
    """A measurement during a fit.

    Attributes:
        updates: done.
        state: with [P]; it is donated when the fit continues.
        loss: of each seed, the mean over the updates of the last call of `learn`.
        measured: of each seed, see `measuring.make_measure`.
        seconds: of each call of `learn` so far.
        per_call: updates in a call.
    """

    updates: int
    state: TrainState
    loss: list[float]
    measured: list[dict[str, Any]]
    seconds: list[float]
    per_call: int


def points(config: Config, spec: Spec, training: Trajectory, held_out: Trajectory, numbers: Sequence[int], every: int,
           updates: int, horizon: int = HORIZON,
           report: Callable[[int], None] = lambda updates: None) -> Iterator[Point]:
    """Trains several seeds at once, and yields measurements.

    Args:
        config: resolved.
        spec: of the episodes.
        training: episodes to learn from, with leading [E].
        held_out: episodes to measure, with leading [E].
        numbers: the seeds.
        every: updates between two measurements.
        updates: of each seed, rounded down to a multiple of `every`.
        horizon: H of the measures.
        report: called with the updates done, after each call of `learn`.
    """
    device = available_devices()[0]
    per_call = 1 if device.platform == 'cpu' else math.gcd(every, 25)
    model = make_world_model(config.model, spec)
    steps = algorithm.make_steps(config, spec, slots=len(training.length), updates_per_call=per_call)
    steps = seeds.over_seeds(steps, [device], len(numbers))
    state = steps.init(jnp.stack([keys.root(number) for number in numbers]))
    state = seeds.add_to_all(steps, state, training)
    measure = make_measure(model, config, training, held_out, horizon)
    seconds = []
    for done in range(per_call, updates // every * every + 1, per_call):
        began = time.perf_counter()
        state, metrics = steps.learn(state)
        loss = np.asarray(metrics['loss'])
        seconds.append(time.perf_counter() - began)
        report(done)
        if done % every == 0:
            measured = [measure(jax.tree.map(lambda leaf, index=index: leaf[index], state.learner.acting))
                        for index in range(len(numbers))]
            yield Point(done, state, [float(row.mean()) for row in loss], measured, seconds, per_call)


class Fitted(NamedTuple):
    """The result of a fit.

    Attributes:
        updates: of the model that is kept.
        measured: measures of that model.
        stopped: updates after which the fit stopped early; None if all were done.
    """

    updates: int
    measured: dict[str, Any]
    stopped: int | None


def fit_run(run: Run, directory: Path, data: Data, *, held_out: float, every: int, updates: int, patience: int,
            report: Callable[[int], None] = lambda updates: None,
            tell: Callable[[Point, bool], None] = lambda point, better: None) -> Fitted:
    """Fits a run's model to episodes, and makes the run folder.

    The folder looks like that of a run with these training episodes and updates. So every command reads it, and `train`
    continues it. `measures.jsonl` has a line for each measurement. The checkpoint is the best model, by
    `measuring.unexplained` of the held-out episodes.

    Args:
        run: of one task; its seed also chooses the held-out episodes.
        directory: of the run; it must not exist.
        data: the episodes.
        held_out: share of the episodes that are held out.
        every: updates between two measurements.
        updates: most updates.
        patience: measurements without improvement after which the fit stops.
        report: called with the updates done.
        tell: called with each measurement, and whether it is the best so far.

    Raises:
        ValueError: the episodes do not fit the task, or are too short to be measured.
        FolderError: the folder holds a run already, or cannot be written.
        RuntimeError: the loss or every measurement is not finite.
    """
    spec, config = run.spec, run.config.resolve()
    check_fit(data, spec, f'the task {run.task}')
    horizon = horizon_of(config, data.spec.steps)
    if horizon is None:
        raise ValueError(f'The episodes of {data.source} have {data.spec.steps} steps at most, too short to '
                         f'measure a prediction.')
    numbers, held = split(len(data.episodes), held_out, run.seed)
    training, test = data.stacked(numbers, spec), data.stacked(held, spec)
    about = {'data': data.source, 'training': len(numbers), 'held_out': [data.names[number] for number in held],
             'updates': updates, 'every': every, 'patience': patience}
    folder = RunFolder(directory, run.record() | {'episodes': len(numbers), 'fit': about}, 'never')
    try:
        seed = Seed(run, folder)
        write_given(seed, training)
        best, kept, since = math.inf, None, 0
        for point in points(config, spec, training, test, [run.seed], every, updates, horizon, report=report):
            if not math.isfinite(point.loss[0]):
                raise RuntimeError(f'The loss of update {point.updates} is not a finite number: a smaller '
                                   f'--learner.learning-rate may help.')
            measured = point.measured[0]
            score = unexplained(measured['held_out'])
            better, since = score < best, since + 1
            folder.append('measures.jsonl', {
                'task': run.task, 'episodes': len(numbers), 'updates': point.updates,
                'env_steps': seed.progress.env_steps, 'loss': point.loss[0], 'unexplained': score, **measured})
            tell(point, better)
            if better:
                best, kept, since = score, Fitted(point.updates, measured, None), 0
                seed.progress.updates = point.updates
                seed.progress.seconds = {'learn': sum(point.seconds)}
                seed.save(one_seed(point.state))
            elif since >= patience:
                break
        if kept is None:
            raise RuntimeError('No measurement of the held-out episodes is a finite number, so no model was kept: a '
                               'smaller --learner.learning-rate may help.')
        return kept._replace(stopped=point.updates if since >= patience else None)
    finally:
        folder.close()
