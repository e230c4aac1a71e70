"""The evaluations of a training: when they are due, and what is recorded of them."""

import math
from collections.abc import Callable, Sequence

import gymnasium
import jax
import numpy as np

from planet_jax import algorithm, envs
from planet_jax.runs import evaluation
from planet_jax.runs.open_loop import OpenLoop
from planet_jax.runs.training.clock import Clock
from planet_jax.runs.training.progress import Seed
from planet_jax.runs.training.reporter import Reporter
from planet_jax.types import Steps, TrainState, Trajectory

MODEL = ('r2', 'kl', 'under_free_nats', 'active')
"""Measures of the model that the sinks show, where they are defined: without rewards there is no r2."""


class Evaluator:
    """Evaluates the seeds of a training side by side, one task after the other.

    Attributes:
        envs: the open environments, all of one task; None before the first evaluation.
    """

    def __init__(self, seeds: Sequence[Seed], steps: Steps, episodes: int, reporter: Reporter,
                 open_loop: OpenLoop | None = None):
        """Makes no environment before the first evaluation.

        Args:
            seeds: of the same run.
            steps: with [P] in front.
            episodes: of each task in the data at the end.
            reporter: is told of the evaluations.
            open_loop: predicts the first episode of each evaluation; by default nothing does.
        """
        self.run, self.seeds, self.steps, self.episodes = seeds[0].run, seeds, steps, episodes
        self.settings, self.reporter, self.open_loop = self.run.config.evaluation, reporter, open_loop
        self.envs: gymnasium.vector.VectorEnv | None = None

    def due(self) -> bool:
        """Whether an evaluation is due: at its place in the schedule and at the end, once per checkpoint."""
        done, updates = self._counts()
        if not updates or not (self.settings.due(done) or self.settings.every and done >= self.episodes):
            return False
        collector = self.run.config.collector
        if updates != algorithm.reached(done, collector, len(self.run.tasks)):
            return False  # Updates for the next episode have begun, so the evaluation was due before them.
        return any(self._lacks(seed, 'planet', task) for seed in self.seeds for task in self.run.tasks)

    def evaluate(self, state: TrainState, clock: Clock, report: Callable[[int, int], None]) -> None:
        """Evaluates one task after the other, with all seeds and several episodes in parallel.

        Args:
            state: with [P].
            clock: times the evaluation.
            report: called with the agent steps done and the total of a task's evaluation; an exception from it ends
                the evaluation.
        """
        done, _ = self._counts()
        tasks, count = self.run.tasks, self.settings.count(done, self.episodes)
        means = []
        for task in tasks:
            vector = self._envs(task)
            together = vector.num_envs // len(self.seeds)
            total = -(-count // together) * envs.spec(task, self.run.config.env).steps
            self.reporter.phase('evaluate', total=total, task=task if len(tasks) > 1 else None,
                                first=not clock.times('evaluate'))

            def advance(steps: int, total: int = total) -> None:
                report(steps, total)

            # The pace is that of a whole evaluation; early ones have fewer episodes.
            with clock.measure('evaluate', count / self.settings.episodes):
                returns, first = evaluation.evaluate(
                    self.steps.evaluate, self.steps.begin, vector, state.learner.acting, state.key, count,
                    advance)
            if self.open_loop:
                with clock.measure('open_loop'):
                    self._predict(task, state, first, vector.metadata['render_fps'])
            self._record('planet', task, returns)
            means.append(returns.mean(1))
            self.reporter.evaluation(done, task, returns, self.baseline_means([task]))
        for seed in self.seeds:
            seed.folder.write_scores()
        self.reporter.evaluated(done, float(np.mean(means)), self.scores())

    def baselines(self, state: TrainState, clock: Clock) -> None:
        """Evaluates the baseline agents from the same starts, once in a run."""
        if not self.settings.every:
            return
        for name in evaluation.BASELINES:
            for task in self.run.tasks:
                if any(self._lacks(seed, name, task) for seed in self.seeds):
                    with clock.measure('baselines'):
                        returns = evaluation.evaluate_baseline(name, task, self.run.config.env, state.key,
                                                               self.settings.episodes, self._failed)
                    self._record(name, task, returns)
        self.reporter.baselines(self.baseline_means(self.run.tasks))

    def scores(self) -> list[float]:
        """The mean return of each evaluation, over all seeds."""
        scores = [[score for _, score in seed.folder.scores()] for seed in self.seeds]
        return [float(np.mean(of_seeds)) for of_seeds in zip(*scores)]

    def baseline_means(self, tasks: Sequence[str]) -> dict[str, float]:
        """Mean return of each baseline over the seeds and the tasks; empty without an evaluation."""
        lines = [line for seed in self.seeds for line in seed.folder.lines('evaluations.jsonl')
                 if line.get('task', tasks[0]) in tasks]
        returns = {name: [np.mean(line['returns']) for line in lines if line['agent'] == name]
                   for name in evaluation.BASELINES}
        return {name: float(np.mean(means)) for name, means in returns.items() if means}

    def close(self) -> None:
        """Closes the environments."""
        if self.envs:
            self.envs.close()
            self.envs = None

    def _counts(self) -> tuple[int, int]:
        progress = self.seeds[0].progress
        return len(progress.episodes) // len(self.run.tasks), progress.updates

    def _lacks(self, seed: Seed, agent: str, task: str) -> bool:
        """Whether a seed lacks an evaluation: of the trained agent at this point, or of a baseline at all."""
        return not any(
            line['agent'] == agent and line.get('task', task) == task
            and (agent != 'planet' or (line['episodes'], line['updates']) == self._counts())
            for line in seed.folder.lines('evaluations.jsonl'))

    def _envs(self, task: str) -> gymnasium.vector.VectorEnv:
        """The environments of one task. With several tasks they are made anew each time, so only one set is open.

        Their number is that of a full evaluation, so that one with fewer episodes runs the same program.
        """
        if self.envs is None or len(self.run.tasks) > 1:
            self.close()
            self.envs = evaluation.make_envs(task, self.run.config.env, self.settings.episodes, len(self.seeds),
                                             self.run.spec, self._failed)
        return self.envs

    def _failed(self, text: str) -> None:
        for seed in self.seeds:
            seed.write_failure(text)

    def _record(self, agent: str, task: str, returns: np.ndarray) -> None:
        """Writes a line for each seed that lacks it; a crash may have come after a line was written."""
        counts = dict(zip(('episodes', 'updates'), self._counts() if agent == 'planet' else (0, 0)))
        for seed, of_seed in zip(self.seeds, returns, strict=True):
            if self._lacks(seed, agent, task):
                steps = seed.progress.env_steps
                seed.folder.append('evaluations.jsonl', {
                    'agent': agent, 'task': task, **counts, 'env_steps': steps if agent == 'planet' else 0,
                    'returns': of_seed.tolist()})
                if seed.sinks:
                    seed.sinks.scalars(steps, {f'evaluation/{agent}{seed.on(task)}': float(of_seed.mean())})

    def _predict(self, task: str, state: TrainState, episodes: Trajectory, frames_per_second: float) -> None:
        """Predicts the first episode of each seed open loop. It comes first: the evaluation's line marks it as done."""
        done, updates = self._counts()
        for index, seed in enumerate(self.seeds):
            line = {'task': task, 'episodes': done, 'updates': updates, 'env_steps': seed.progress.env_steps}
            params, key, episode = jax.device_get(jax.tree.map(
                lambda leaf, index=index: leaf[index], (state.learner.acting, state.key, episodes)))
            errors, picture = self.open_loop.record(seed.folder, line, params, key, episode, frames_per_second)
            measured = self.open_loop.measure(seed.folder, line, params, key, episode)
            if seed.sinks:
                seed.sinks.scalars(seed.progress.env_steps, {
                    f'open_loop/{name}{seed.on(task)}/{ahead}': error for name in errors if name.endswith('_error')
                    for ahead, error in zip(errors['horizon'], errors[name])})
                seed.sinks.scalars(seed.progress.env_steps, {
                    f'model/{seed.folder.metric(name)}{seed.on(task)}': measured[name]
                    for name in MODEL if math.isfinite(measured.get(name, math.nan))})
                if picture:
                    seed.sinks.image(seed.progress.env_steps, f'open_loop{seed.on(task)}', picture)
