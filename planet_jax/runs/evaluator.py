"""The evaluations of a training: when they are due, and what is written down of them."""

from collections.abc import Callable, Sequence

import gymnasium
import jax
import numpy as np

from planet_jax import envs
from planet_jax.runs import evaluation
from planet_jax.runs.clock import Clock
from planet_jax.runs.open_loop import OpenLoop
from planet_jax.runs.progress import Seed
from planet_jax.runs.reporter import Reporter
from planet_jax.types import Steps, TrainState, Trajectory

MODEL = ('r2', 'kl', 'under_free_nats', 'active')
"""Measures of the model that sinks get."""


class Evaluator:
    """Evaluates the seeds of a training side by side, one task after the other.

    Attributes:
        envs: the environments that are open, all of one task; none before the first evaluation.
    """

    def __init__(self, seeds: Sequence[Seed], steps: Steps, episodes: int, reporter: Reporter,
                 open_loop: OpenLoop | None = None):
        """Nothing is made before the first evaluation.

        Args:
            seeds: of the same run.
            steps: with [P] in front.
            episodes: of each task in the data at the end.
            reporter: is told of the evaluations.
            open_loop: predicts each evaluation's first episode; none: that is left out.
        """
        self.run, self.seeds, self.steps, self.episodes = seeds[0].run, seeds, steps, episodes
        self.settings, self.reporter, self.open_loop = self.run.config.evaluation, reporter, open_loop
        self.envs: gymnasium.vector.VectorEnv | None = None

    def due(self) -> bool:
        """Whether there are enough episodes for the next evaluation, once there was an update; once per checkpoint."""
        done, updates = self._counts()
        if not updates or not (self.settings.due(done) or self.settings.every and done >= self.episodes):
            return False
        collector = self.run.config.collector
        if updates != (done - collector.seed_episodes) * collector.interval(len(self.run.tasks)):
            return False  # Updates for the next episode were made already, so it was due before them.
        return any(self._lacks(seed, 'planet', task) for seed in self.seeds for task in self.run.tasks)

    def evaluate(self, state: TrainState, clock: Clock, report: Callable[[int, int], None]) -> None:
        """Evaluates every task in turn, all seeds and some episodes side by side.

        Args:
            state: with [P].
            clock: times it.
            report: called with the agent steps done, and with all of them, in the evaluation of a task; what it raises
                ends the evaluation.
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

            # Seconds are of an evaluation with all of its episodes, for those with fewer are of the beginning.
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
        """What agents score that look at nothing, from the same starts; evaluated once in a run."""
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
        """The mean of each evaluation over all seeds."""
        scores = [[score for _, score in seed.folder.scores()] for seed in self.seeds]
        return [float(np.mean(of_seeds)) for of_seeds in zip(*scores)]

    def baseline_means(self, tasks: Sequence[str]) -> dict[str, float]:
        """The means over the seeds; with several tasks, over these too. Nothing if there is no evaluation."""
        lines = [line for seed in self.seeds for line in seed.folder.lines('evaluations.jsonl')
                 if line.get('task', tasks[0]) in tasks]
        returns = {name: [np.mean(line['returns']) for line in lines if line['agent'] == name]
                   for name in evaluation.BASELINES}
        return {name: float(np.mean(means)) for name, means in returns.items() if means}

    def close(self) -> None:
        """Ends the environments."""
        if self.envs:
            self.envs.close()
            self.envs = None

    def _counts(self) -> tuple[int, int]:
        progress = self.seeds[0].progress
        return len(progress.episodes) // len(self.run.tasks), progress.updates

    def _lacks(self, seed: Seed, agent: str, task: str) -> bool:
        """Whether an agent's evaluation on a task is missing: the trained one's at this place, another's altogether."""
        return not any(
            line['agent'] == agent and line.get('task', task) == task
            and (agent != 'planet' or (line['episodes'], line['updates']) == self._counts())
            for line in seed.folder.lines('evaluations.jsonl'))

    def _envs(self, task: str) -> gymnasium.vector.VectorEnv:
        """Those of one task; with several tasks they are made anew each time, so that one set is open at once.

        They are as many as a full evaluation takes, so that one with fewer episodes is the same program.
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
        """A line for each seed that has none yet: one may have been written before a crash."""
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
        """Open-loop prediction of each seed's first episode, before the evaluation is recorded, which ends it."""
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
                    for name in MODEL if name in measured})
                if picture:
                    seed.sinks.image(seed.progress.env_steps, f'open_loop{seed.on(task)}', picture)
