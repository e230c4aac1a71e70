"""`planet-jax train`: the loop around algorithm 1 that logs, evaluates, saves and stops."""

import dataclasses
import time
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from planet_jax import algorithm, envs, keys
from planet_jax.algorithm import Unit
from planet_jax.cli import evaluation, runs
from planet_jax.cli.clock import Clock
from planet_jax.cli.progress import Display, duration
from planet_jax.cli.run_folder import RunFolder
from planet_jax.cli.stop import Stop, Stopped


@dataclasses.dataclass
class Tally:
    """What a run must remember besides its train state; saved with every checkpoint.

    Attributes:
        episodes: SHA-256 of each episode file, in order.
        updates: done.
        agent_steps: collected; evaluation is not counted.
        pending: of the updates since the last episode, a list of values for each metric.
        seconds: spent in each phase, see `Clock`.
    """

    episodes: list[str] = dataclasses.field(default_factory=list)
    updates: int = 0
    agent_steps: int = 0
    pending: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)


class Training:
    """One run in one process."""

    def __init__(self, run: runs.Run, directory: Path, *, episodes: int, time_limit: float | None,
                 checkpoint_minutes: float, console: Console):
        """Checks everything that can be checked, then opens the run folder.

        Args:
            run: what to train.
            directory: of the run.
            episodes: in the data at the end, seed episodes included, so at least these.
            time_limit: minutes; none for no limit.
            checkpoint_minutes: least time between two checkpoints, but for the last.
            console: for a person.

        Raises:
            ValueError: the replay does not fit the memory.
            RuntimeError: images cannot be rendered here.
            FolderError: see `RunFolder`.
        """
        self.run, self.config, self.episodes, self.console = run, run.config, episodes, console
        self.spec = run.spec()
        slots = self.config.replay.capacity or episodes
        needed = runs.check_replay(self.spec, slots, self.config.learner.chunk_length)
        self.steps = run.steps(slots)
        self.time_limit = time_limit
        self.envs = envs.make_vector([run.task], self.config.env)
        self.envs.reset(seed=[0])  # Draws a frame, so that a missing OpenGL is known before there is a folder.
        self.evaluation_envs = None
        self.folder = RunFolder(directory, run.record())
        self.tally = Tally()
        self.clock = Clock(self.tally.seconds)
        self.save_every, self.saved = 60 * checkpoint_minutes, time.monotonic()
        self.plan_seconds, self.evaluation_owed = 0.0, False
        self.state = self.steps.init(keys.root(run.seed)[None])
        self._print(f'{run.task}, preset {run.preset}, seed {run.seed}, on {runs.device_name()}; replay '
                    f'{needed / 1e9:.2f} GB')
        self._print(f'{episodes} episodes of {self.spec.steps} agent steps, {self.spec.steps * run.action_repeat} '
                    f'environment steps, in {directory}')

    def main(self) -> int:
        """Trains until the episodes are there or it is time to stop; returns the exit status."""
        self.stop = Stop(self.time_limit)
        try:
            self._restore()
            if len(self.tally.episodes) >= self.episodes and not self._evaluation_due():
                self._print(f'All {self.episodes} episodes are there: nothing is left to do.')
                return 0
            self._baselines()
            with Display(self.console, self.episodes, len(self.tally.episodes)) as self.display:
                try:
                    self._train()
                except Stopped:
                    self.display.say(f'Stopping: {self.stop.reason}.')
                self.display.phase('saving')
                self._save()
            self._conclude()
            return self.stop.status
        finally:
            self.envs.close()
            if self.evaluation_envs:
                self.evaluation_envs.close()
            self.folder.close()
            self.stop.close()

    def _print(self, sentence: str) -> None:
        self.console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    def _restore(self) -> None:
        """Goes on from the newest checkpoint, if there is one: its episodes are added to the replay again."""
        found = self.folder.restore(runs.one_seed(self.state), self._print)
        if found is None:
            return
        restored, progress = found
        self.tally = Tally(**progress)
        self.clock = Clock(self.tally.seconds)
        # Not put on a device by name: that would be another signature, and every step would be compiled anew.
        self.state = self.state.replace(
            learner=jax.tree.map(lambda leaf: jax.device_put(leaf[None]), restored.learner))
        for number, digest in enumerate(self.tally.episodes):
            episode = self.folder.read_episode(number, self.spec, digest)
            self.state = self.steps.add(self.state, jax.tree.map(lambda leaf: leaf[None, None], episode))
        self._print(f'Going on after {len(self.tally.episodes)} episodes and {self.tally.updates} updates.')

    def _train(self) -> None:
        """Units of algorithm 1, and what happens between them."""
        self.display.phase('compiling the planner')
        with self.clock.measure('compile'):
            self._try_planner()
        self.evaluation_owed = self._evaluation_due()
        units = algorithm.train(self.steps, self.envs, self.state, self.config, report=self._report)
        while True:
            if self.evaluation_owed:
                self._evaluate()
            if len(self.tally.episodes) >= self.episodes:
                return
            self.stop.check()
            due = algorithm.due(len(self.tally.episodes), self.tally.updates, self.config.collector)
            self._announce(due)
            with self.clock.measure(due, self.run.updates_per_call if due == 'learn' else 1):
                unit = next(units)
            self.state = unit.state
            if unit.episodes is None:
                self._finish_updates(unit)
            else:
                self._finish_episode(unit)
                if time.monotonic() - self.saved > self.save_every:
                    self._save()

    def _try_planner(self) -> None:
        """Compiles the planner and times a step of it, to tell early how long the run will take."""
        params = self.state.learner.params
        belief = jax.tree.map(lambda leaf: leaf[:, None], self.steps.begin(params))
        observation = np.zeros((1, 1, *self.spec.observation_shape), self.spec.observation_dtype)
        for _ in range(2):
            begun = time.monotonic()
            jax.block_until_ready(self.steps.act(params, self.state.key[:, None], belief, observation))
            self.plan_seconds = time.monotonic() - begun

    def _report(self, steps: int) -> None:
        self.clock.mark(steps / self.display.total)
        self.display.facts(len(self.tally.episodes), time_left=self._time_left())
        self.display.advance(steps)
        self.stop.check()

    def _announce(self, due: str) -> None:
        """Shows what comes next."""
        number, interval = len(self.tally.episodes) + 1, self.config.collector.collect_interval
        self.display.facts(number - 1, time_left=self._time_left())
        if due == 'learn':
            work = 'learning' if self.clock.times('learn') else 'compiling the update'
            self.display.phase(work, interval, 'updates')
            self.display.advance(self.tally.updates % interval)
        else:
            work = 'seed' if due == 'seed' else 'collecting'
            self.display.phase(f'{work} episode {number}', self.spec.steps, 'steps')

    def _finish_updates(self, unit: Unit) -> None:
        for name, values in unit.metrics.items():
            self.tally.pending.setdefault(name, []).extend(values[0].tolist())
        self.tally.updates += unit.metrics['loss'].shape[1]
        pace = self.clock.pace('learn')
        self.display.facts(len(self.tally.episodes), loss=f'{self.tally.pending["loss"][-1]:.1f}',
                           updates_per_second=f'{1 / pace:.3g}')
        if self.clock.times('learn') == 2:
            self.display.say(f'An update takes {pace:.2g} s and a planned step about {self.plan_seconds:.2g} s; time '
                             f'left about {self._time_left()}.')

    def _finish_episode(self, unit: Unit) -> None:
        """Writes the episode, then its line: what a line tells of is always there."""
        tally = self.tally
        episode = jax.tree.map(lambda leaf: leaf[0, 0], unit.episodes)
        tally.episodes.append(self.folder.write_episode(len(tally.episodes), episode))
        tally.agent_steps += int(episode.length) - 1
        losses = {name: float(np.mean(values)) for name, values in tally.pending.items()}
        planned = {'elites_return': float(unit.metrics['value'][0, 0])} if tally.updates else {}
        total = float(episode.reward.sum(dtype=np.float64))
        paces = {f'{name}_each': self.clock.pace(name) for name in ('learn', 'seed', 'collect', 'evaluate')}
        self.folder.append('metrics.jsonl', {
            'episodes': len(tally.episodes), 'updates': tally.updates, 'agent_steps': tally.agent_steps,
            'env_steps': self._env_steps(), 'return': total, **losses, **planned,
            'seconds': {name: round(value, 3) for name, value in (tally.seconds | paces).items() if value is not None},
        })
        tally.pending = {}
        self.evaluation_owed = self._evaluation_due()
        pace = self.clock.pace('collect' if tally.updates else 'seed')
        self.display.facts(len(tally.episodes), steps_per_second=f'{(int(episode.length) - 1) / pace:.3g}')
        told = f', loss {losses["loss"]:.1f}' if losses else ' (random actions)'
        self.display.say(f'episode {len(tally.episodes)}: return {total:.1f}{told}, {self._env_steps()} environment '
                         f'steps, time left {self._time_left()}')

    def _env_steps(self) -> int:
        return self.tally.agent_steps * self.run.action_repeat

    def _scores(self) -> list[float]:
        return [float(np.mean(line['returns'])) for line in self.folder.lines('evaluations.jsonl')
                if line['agent'] == 'planet']

    def _evaluation_due(self) -> bool:
        """At every so many episodes and at the end, once there was an update; not twice at the same place."""
        every, episodes, updates = self.config.evaluation.every, len(self.tally.episodes), self.tally.updates
        if not every or not updates or (episodes % every and episodes < self.episodes):
            return False
        if updates != (episodes - self.config.collector.seed_episodes) * self.config.collector.collect_interval:
            return False  # Updates for the next episode were made already, so it was due before them.
        return not any(line['agent'] == 'planet' and (line['episodes'], line['updates']) == (episodes, updates)
                       for line in self.folder.lines('evaluations.jsonl'))

    def _evaluate(self) -> None:
        settings = self.config.evaluation
        if self.evaluation_envs is None:
            self.evaluation_envs = evaluation.make_envs(self.run.task, self.config.env, settings.episodes)
        rounds = -(-settings.episodes // self.evaluation_envs.num_envs)
        work = 'evaluating' if self.clock.times('evaluate') else 'compiling, evaluating'
        self.display.phase(work, rounds * self.spec.steps, 'steps')
        with self.clock.measure('evaluate'):
            returns = evaluation.evaluate(
                self.steps.evaluate, self.steps.begin, self.evaluation_envs, self.state.learner.params, self.state.key,
                settings.episodes, self._report)[0]
        self.evaluation_owed = False
        self._record_evaluation('planet', returns)
        self.folder.append_score(self._env_steps(), float(returns.mean()), self.run.seed)
        scores = self._scores()
        self.display.facts(len(self.tally.episodes), last_score=f'{scores[-1]:.1f}', best_score=f'{max(scores):.1f}')
        self.display.say(f'evaluation after {len(self.tally.episodes)} episodes: {returns.mean():.1f}, from '
                         f'{returns.min():.1f} to {returns.max():.1f} over {len(returns)} episodes '
                         f'({self._baseline_text()})')

    def _baselines(self) -> None:
        """What agents score that look at nothing, from the same starts."""
        if not self.config.evaluation.every:
            return
        known = {line['agent'] for line in self.folder.lines('evaluations.jsonl')}
        for name in evaluation.BASELINES:
            if name not in known:
                with self.clock.measure('baselines'):
                    returns = evaluation.evaluate_baseline(name, self.run.task, self.config.env, self.state.key,
                                                           self.config.evaluation.episodes)[0]
                self._record_evaluation(name, returns, at_start=True)
        self._print(f'To compare with: {self._baseline_text()}.')

    def _baseline_text(self) -> str:
        lines = {line['agent']: np.mean(line['returns']) for line in self.folder.lines('evaluations.jsonl')}
        return ', '.join(f'{name} actions {lines[name]:.1f}' for name in evaluation.BASELINES)

    def _record_evaluation(self, agent: str, returns: np.ndarray, at_start: bool = False) -> None:
        counts = {'episodes': len(self.tally.episodes), 'updates': self.tally.updates, 'env_steps': self._env_steps()}
        if at_start:
            counts = dict.fromkeys(counts, 0)
        self.folder.append('evaluations.jsonl', {'agent': agent, **counts, 'returns': returns.tolist()})

    def _save(self) -> None:
        """A checkpoint, unless the newest one is just this."""
        with self.clock.measure('save'):
            self.folder.save(runs.one_seed(self.state), dataclasses.asdict(self.tally))
        self.saved = time.monotonic()

    def _time_left(self) -> str:
        """By the pace so far, or until the time limit if that comes first."""
        settings, done = self.config.collector, len(self.tally.episodes)
        interval, planned = settings.collect_interval, self.episodes - max(done, settings.seed_episodes)
        updates = planned * interval - (self.tally.updates - max(done - settings.seed_episodes, 0) * interval)
        every = self.config.evaluation.every
        evaluations = int(self.evaluation_owed)
        if every and done < self.episodes:
            evaluations += self.episodes // every - done // every + bool(self.episodes % every)
        episode = self.clock.pace('collect') or self.plan_seconds * self.spec.steps
        if updates and self.clock.times('learn') < 2:
            return 'not known yet'  # The first call of `learn` is mostly compilation.
        left = self.clock.remaining(
            {'seed': max(settings.seed_episodes - done, 0), 'learn': updates, 'collect': planned,
             'evaluate': evaluations},
            {'collect': episode, 'evaluate': episode * self.config.evaluation.episodes})
        if left is None:
            return 'not known yet'
        limit = self.stop.seconds_left()
        if limit is not None and limit < left:
            return f'{duration(limit)} (limit)'
        return duration(left)

    def _conclude(self) -> None:
        scores = self._scores()
        told = f'last score {scores[-1]:.1f}, best {max(scores):.1f} ({self._baseline_text()}); ' if scores else ''
        done = len(self.tally.episodes) >= self.episodes
        self._print(f'{len(self.tally.episodes)} episodes, {self.tally.updates} updates; {told}the same command '
                    f'{"with more episodes " if done else ""}goes on from here.')
