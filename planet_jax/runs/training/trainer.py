"""The loop around algorithm 1: evaluations, checkpoints and reports between its units. It prints nothing."""

import time
from collections.abc import Iterator, Sequence

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from planet_jax import algorithm, replay
from planet_jax.algorithm import Unit
from planet_jax.config import Spec
from planet_jax.runs.run import one_seed
from planet_jax.runs.training.clock import Clock, units_left
from planet_jax.runs.training.evaluator import Evaluator
from planet_jax.runs.training.patience import Patience, save_batch
from planet_jax.runs.training.profiler import Profiler
from planet_jax.runs.training.progress import Seed
from planet_jax.runs.training.reporter import Reporter, TimeLeft
from planet_jax.runs.training.stop import Stop
from planet_jax.types import Steps, TrainState


class Trainer:
    """Trains the seeds of one run in step.

    Attributes:
        state: the train state, with [P].
    """

    def __init__(self, seeds: Sequence[Seed], state: TrainState, steps: Steps, envs: gymnasium.vector.VectorEnv,
                 evaluator: Evaluator, clock: Clock, stop: Stop, reporter: Reporter, spec: Spec, episodes: int,
                 checkpoint_minutes: float = 5.0, replay_on_device: bool = True, profiler: Profiler | None = None):
        """Takes everything it works with.

        Args:
            seeds: with the progress of the state.
            state: with [P]; donated.
            steps: with [P] in front.
            envs: P * E training environments, such as a `RestartingVectorEnv`, whose `faults` are reported.
            evaluator: of the same seeds.
            clock: measures the phases.
            stop: says when to stop.
            reporter: is told of every event.
            spec: of the tasks.
            episodes: of each task in the data at the end.
            checkpoint_minutes: shortest time between two checkpoints.
            replay_on_device: whether the replays are on the device.
            profiler: records an episode; by default nothing is recorded.
        """
        self.seeds, self.state, self.steps, self.envs, self.evaluator = seeds, state, steps, envs, evaluator
        self.clock, self.stop, self.reporter, self.profiler = clock, stop, reporter, profiler
        self.spec, self.episodes, self.checkpoint_minutes = spec, episodes, checkpoint_minutes
        self.replay_on_device = replay_on_device
        self.config, self.tasks = seeds[0].run.config.resolve(), seeds[0].run.tasks
        self.interval = self.config.collector.interval(len(self.tasks))
        self.patience = Patience(self.config.learner.most_skipped, len(seeds))
        self.saved, self.faults, self.plan_seconds = time.monotonic(), 0, 0.0
        self.evaluation_owed = False

    @property
    def progress(self):
        """Progress of the first seed; all seeds have the same counts."""
        return self.seeds[0].progress

    @property
    def done(self) -> int:
        """Episodes of each task in the data."""
        return len(self.progress.episodes) // len(self.tasks)

    def train(self) -> None:
        """Trains until the data has all episodes.

        Raises:
            Stopped: it is time to stop; the caller saves.
            RuntimeError: a seed is given up; the state has been saved.
        """
        self.reporter.phase('compile')
        with self.clock.measure('compile'):
            self._try_planner()
        self.evaluation_owed = self.evaluator.due()
        units = algorithm.train(self.steps, self.envs, self.state, self.config, report=self._collecting)
        while True:
            if self.evaluation_owed:
                self.evaluator.evaluate(self.state, self.clock, self._report)
                self.evaluation_owed = False
            if self.done >= self.episodes:
                return
            self.stop.check()
            due, unit = self._next(units)
            if unit.episodes is None:
                self._finish_updates(unit, due)
                if due != 'collect':
                    continue
                # They were made meanwhile, and their episode comes next without further work.
                unit = next(units)
                self.state = unit.state
            self._finish_episodes(unit)
            if time.monotonic() - self.saved > 60 * self.checkpoint_minutes:
                self.save()

    def save(self) -> None:
        """Saves a checkpoint of each seed, unless it exists."""
        with self.clock.measure('save'):
            for index, seed in enumerate(self.seeds):
                seed.progress.seconds = dict(self.clock.seconds)
                seed.save(one_seed(self.state, index))
        self.saved = time.monotonic()

    def _next(self, units: Iterator[Unit]) -> tuple[str, Unit]:
        """Announces and times the next unit of algorithm 1; returns what was due, and the unit."""
        due = algorithm.due(self.done, self.progress.updates, self.config.collector, len(self.tasks))
        self.reporter.time_left(self.done, self._time_left())
        amount = 1
        if self.profiler and self.clock.times('collect'):
            self.profiler.begin()  # At the first unit after a planned episode: every program is compiled.
        if due == 'learn':
            owed = algorithm.owed(self.done, self.config.collector, len(self.tasks)) - self.progress.updates
            amount = min(owed, self.steps.updates_per_call)
            self.reporter.phase('learn', total=self.interval, done=self.progress.updates % self.interval,
                                first=not self.clock.times('learn'))
        else:
            self.reporter.phase(due, total=self.spec.steps, episode=self.done + 1)
        with self.clock.measure(due, amount), jax.profiler.TraceAnnotation(due):
            unit = next(units)
        self.state = unit.state
        return due, unit

    def _finish_updates(self, unit: Unit, due: str) -> None:
        before = self.progress.updates
        for index, seed in enumerate(self.seeds):
            seed.progress.add_updates({name: values[index] for name, values in unit.metrics.items()})
        # Only after every seed has counted its updates.
        if hopeless := self.patience.count(unit.metrics['skipped']):
            self._give_up({index: before + number for index, number in hopeless.items()})
        pace = self.clock.pace(due)
        if due == 'collect':
            pace /= unit.metrics['loss'].shape[1]
        self.reporter.updated(self.done, float(unit.metrics['loss'][:, -1].mean()), pace)
        if due == 'learn' and self.clock.times('learn') == 2:
            self.reporter.paces(pace, self.plan_seconds, self._time_left())

    def _give_up(self, hopeless: dict[int, int]) -> None:
        """Saves the state and the batch of the last skipped update, and ends the training of all seeds.

        Args:
            hopeless: by the index of each seed that is given up, the number of that update, from 0.
        """
        for index, number in hopeless.items():
            path = self.seeds[index].folder.directory / 'skipped_batch.npz'
            save_batch(path, self.state, index, number, self.config.learner, self.replay_on_device)
        self.save()
        names = ' and '.join(str(self.seeds[index].run.seed) for index in hopeless)
        raise RuntimeError(
            f'The last {self.patience.most} updates of seed {names} were skipped, since their loss or gradient was '
            f'not a finite number. The parameters of the last good update are saved, and the batch of the last one is '
            f'in {path}. A smaller --learner.learning-rate or --learner.clip-norm may help, in another folder.')

    def _finish_episodes(self, unit: Unit) -> None:
        returns = unit.episodes.reward.sum(-1, dtype=np.float64)
        if (faults := getattr(self.envs, 'faults', 0)) > self.faults:
            self.faults = faults
            self.reporter.faults(faults)
        paces = {f'{name}_each': pace for name in ('learn', 'seed', 'collect', 'evaluate')
                 if (pace := self.clock.pace(name)) is not None}
        losses = {}
        for index, seed in enumerate(self.seeds):
            of_seed = jax.tree.map(lambda leaf, index=index: leaf[index], unit.episodes)
            losses = seed.write_episodes(of_seed, returns[index], unit.metrics['expected_return'][index],
                                         self.clock.seconds, paces)
        self.evaluation_owed = self.evaluator.due()
        seconds = self.clock.pace('collect' if self.progress.updates else 'seed')
        self.reporter.episode(self.done, returns, losses, self.progress.env_steps,
                              float((unit.episodes.length - 1).sum() / seconds), self._time_left())
        if self.profiler and self.profiler.state == 'recording':
            self.reporter.profiled(self.done, self.profiler.end(), self.profiler.directory)

    def _try_planner(self) -> None:
        """Compiles the planner and times one step, for an early estimate of the run's time."""
        params = self.state.learner.acting
        shape = len(self.seeds), len(self.tasks)
        belief = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[:, None], (*shape, *leaf.shape[1:])),
                              self.steps.begin(params))
        step_keys = jnp.broadcast_to(self.state.key[:, None], (*shape, 2))
        observation = replay.zeros(self.spec, shape)
        for _ in range(2):
            begun = time.monotonic()
            jax.block_until_ready(self.steps.act(params, step_keys, belief, observation))
            self.plan_seconds = time.monotonic() - begun

    def _collecting(self, steps: int) -> None:
        self._report(steps, self.spec.steps)

    def _report(self, steps: int, total: int) -> None:
        """Reports that `steps` of an episode's or an evaluation's `total` agent steps are done."""
        self.clock.mark(steps / total)
        self.reporter.time_left(self.done, self._time_left())
        self.reporter.advance(steps)
        self.stop.check()

    def _time_left(self) -> TimeLeft:
        """The time left by the pace so far, or until the time limit if that comes first."""
        units = units_left(self.config, len(self.tasks), self.episodes, self.done, self.progress.updates)
        if self.evaluation_owed:
            settings = self.config.evaluation
            units['evaluate'] += settings.count(self.done, self.episodes) / settings.episodes * len(self.tasks)
        episode = self.clock.pace('collect') or self.plan_seconds * self.spec.steps
        if units['learn'] and self.clock.times('learn') < 2:
            return TimeLeft(None)  # The first call of `learn` is mostly compilation.
        left = self.clock.remaining(
            units, {'collect': episode, 'evaluate': episode * self.config.evaluation.episodes})
        limit = self.stop.seconds_left()
        if left is not None and limit is not None and limit < left:
            return TimeLeft(limit, True)
        return TimeLeft(left)
