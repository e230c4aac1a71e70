"""Trains the world model alone on existing episodes, without environment and planner."""

import dataclasses
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
from planet_jax.runs.open_loop import OpenLoop
from planet_jax.runs.run import Run, one_seed
from planet_jax.runs.training.progress import Seed, write_given
from planet_jax.storage.datasets import Data, check_fit, split
from planet_jax.storage.files import read_lines
from planet_jax.storage.run_files import FolderError, read_config
from planet_jax.storage.run_folder import RunFolder
from planet_jax.types import LearnerState, TrainState, Trajectory

SPEED = 20
"""Agent steps per second in the video of a prediction, since episodes do not tell theirs."""


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
           updates: int, horizon: int = HORIZON, report: Callable[[int], None] = lambda updates: None,
           begun: LearnerState | None = None) -> Iterator[Point]:
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
        begun: the learners to go on from, with [P], after a measurement; by default new ones.
    """
    device = available_devices()[0]
    per_call = 1 if device.platform == 'cpu' else math.gcd(every, 25)
    model = make_world_model(config.model, spec)
    steps = algorithm.make_steps(config, spec, slots=len(training.length), updates_per_call=per_call)
    steps = seeds.over_seeds(steps, [device], len(numbers))
    state = steps.init(jnp.stack([keys.root(number) for number in numbers]))
    state = seeds.add_to_all(steps, state, training)
    measure = make_measure(model, config, training, held_out, horizon)
    seconds, first = [], per_call
    if begun is not None:
        state, first = state.replace(learner=jax.device_put(begun)), int(begun.updates[0]) + per_call
    for done in range(first, updates // every * every + 1, per_call):
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
        found: whether the folder had a finished fit already.
    """

    updates: int
    measured: dict[str, Any]
    stopped: int | None
    found: bool = False


class Best:
    """The best measurement so far, and when to stop: all of it follows from the lines of `measures.jsonl`.

    Attributes:
        line: with the best measurement; None before the first that is a finite number.
        since: measurements after it.
    """

    def __init__(self, patience: int, lines: Sequence[dict[str, Any]] = ()):
        self._patience, self._score, self.since = patience, math.inf, 0
        self.line: dict[str, Any] | None = None
        for line in lines:
            self.add(line)

    def add(self, line: dict[str, Any]) -> bool:
        """Takes a further line into account; whether it is the best so far."""
        if line['unexplained'] < self._score:
            self._score, self.line, self.since = line['unexplained'], line, 0
            return True
        self.since += 1
        return False

    @property
    def stops(self) -> bool:
        """Whether nothing better came for as long as the patience lasts."""
        return self.since >= self._patience


def fit_run(run: Run, directory: Path, data: Data, *, held_out: float, every: int, updates: int, patience: int,
            report: Callable[[int], None] = lambda updates: None,
            tell: Callable[[Point, bool], None] = lambda point, better: None,
            say: Callable[[str], None] = lambda text: None) -> Fitted:
    """Fits a run's model to episodes, and makes the run folder; a fit that was interrupted there continues exactly.

    The folder looks like that of a run with these training episodes and updates. So every command reads it, and `train`
    continues it. `measures.jsonl` has a line for each measurement. The checkpoint is the best model, by
    `measuring.unexplained` of the held-out episodes; `open_loop` has its prediction of the first of these.

    Args:
        run: of one task; its seed also chooses the held-out episodes.
        directory: of the run; new, or that of the same fit.
        data: the episodes.
        held_out: share of the episodes that are held out.
        every: updates between two measurements.
        updates: most updates.
        patience: measurements without improvement after which the fit stops.
        report: called with the updates done.
        tell: called with each measurement, and whether it is the best so far.
        say: called with a sentence on what continues, and on what is set aside.

    Raises:
        ValueError: the episodes do not fit the task, or are too short to be measured.
        FolderError: the folder holds another run, or cannot be written.
        RuntimeError: the loss or every measurement is not finite.
    """
    spec, config = run.spec, run.config.resolve()
    check_fit(data, spec, f'the task {run.task}', run.action_repeats)
    horizon = horizon_of(config, data.spec.steps)
    if horizon is None:
        raise ValueError(f'The episodes of {data.source} have {data.spec.steps} steps at most, too short to '
                         f'measure a prediction.')
    numbers, held = split(len(data.episodes), held_out, run.seed)
    training, test = data.stacked(numbers, spec), data.stacked(held, spec)
    about = {'data': data.source, 'training': len(numbers), 'held_out': [data.names[number] for number in held],
             'updates': updates, 'every': every, 'patience': patience}
    _check_same(directory, about)
    folder = RunFolder(directory, run.record() | {'episodes': len(numbers), 'fit': about})
    try:
        seed, best = Seed(run, folder), Best(patience, folder.lines('measures.jsonl'))
        over = best.stops or folder.lines('measures.jsonl') and _last(folder) + every > updates
        # The line of a measurement is written before its checkpoint.
        if over and best.line and folder.has(len(numbers), best.line['updates']):
            folder.end_fit()
            return _fitted(best, _last(folder), found=True)
        begun = _begun(seed, training, config, spec, say)
        pictures = OpenLoop(run, say) if config.evaluation.open_loop else None
        best, seconds = Best(patience, folder.lines('measures.jsonl')), seed.progress.seconds.get('learn', 0.0)
        for point in points(config, spec, training, test, [run.seed], every, updates, horizon, report, begun):
            if not math.isfinite(point.loss[0]):
                raise RuntimeError(f'The loss of update {point.updates} is not a finite number: a smaller '
                                   f'--learner.learning-rate may help.')
            line = {'task': run.task, 'episodes': len(numbers), 'updates': point.updates,
                    'env_steps': seed.progress.env_steps, 'loss': point.loss[0],
                    'unexplained': unexplained(point.measured[0]['held_out']), **point.measured[0]}
            folder.append('measures.jsonl', line)
            better = best.add(line)
            tell(point, better)
            seed.progress.updates = point.updates
            seed.progress.seconds = {'learn': seconds + sum(point.seconds)}
            if better:
                if pictures:
                    pictures.record(folder, {name: line[name] for name in ('task', 'episodes', 'updates', 'env_steps')},
                                    jax.tree.map(lambda leaf: leaf[0], point.state.learner.acting), keys.root(run.seed),
                                    jax.tree.map(lambda leaf: leaf[0], test), SPEED)
                seed.save(one_seed(point.state))
            if best.stops:
                break
            folder.save_fit(one_seed(point.state), dataclasses.asdict(seed.progress))
        fitted = _fitted(best, _last(folder))
        folder.end_fit()
        return fitted
    finally:
        folder.close()


def _begun(seed: Seed, training: Trajectory, config: Config, spec: Spec, say: Callable[[str], None],
           ) -> LearnerState | None:
    """The learner of a fit that was interrupted, with [1], or None after the episodes of a new one were written."""
    steps = algorithm.make_steps(config, spec, slots=1, updates_per_call=1)
    like = jax.eval_shape(steps.init, keys.root(seed.run.seed)).replace(replay=None)
    if found := seed.folder.restore_fit(like, say):
        state, progress = found
        seed.continue_from(progress, int(state.learner.updates))
        say(f'Continuing the fit after {seed.progress.updates} updates.')
        return jax.tree.map(lambda leaf: np.asarray(leaf)[None], state.learner)
    write_given(seed, training)
    return None


def _check_same(directory: Path, about: dict[str, Any]) -> None:
    """Whether a folder is new, or that of the same fit.

    Raises:
        FolderError: it holds another fit, or a run.
    """
    if not (directory / 'config.json').exists():
        return
    there, elsewhere = read_config(directory, trust_task=True).get('fit'), 'name another folder by --method or --logdir'
    if there is None:
        raise FolderError(f'{directory} holds a run already: {elsewhere}.')
    if changed := [f'{name}: {there.get(name)} there, {value} now' for name, value in about.items()
                   if there.get(name) != value]:
        raise FolderError(f'{directory} holds another fit. Use its options, or {elsewhere}:\n  ' + '\n  '.join(changed))
    if len(read_lines(directory / 'metrics.jsonl')) > about['training']:
        raise FolderError(f'An agent was trained on in {directory}, so the fit there cannot continue: {elsewhere}.')


def _last(folder: RunFolder) -> int:
    return folder.lines('measures.jsonl')[-1]['updates']


def _fitted(best: Best, last: int, found: bool = False) -> Fitted:
    if best.line is None:
        raise RuntimeError('No measurement of the held-out episodes is a finite number, so no model was kept: a '
                           'smaller --learner.learning-rate may help.')
    measured = {name: best.line[name] for name in ('held_out', 'training')}
    return Fitted(best.line['updates'], measured, last if best.stops else None, found)
