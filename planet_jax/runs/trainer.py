"""`planet-jax train`: the loop around algorithm 1 that logs, evaluates, saves and stops."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from planet_jax import algorithm, envs, keys, learner, replay
from planet_jax.algorithm import Unit
from planet_jax.cli.progress import Display, duration
from planet_jax.loggers.sinks import Sinks
from planet_jax.runs import evaluator as evaluation
from planet_jax.runs import run as runs
from planet_jax.runs.clock import Clock, units_left
from planet_jax.runs.open_loop import OpenLoop
from planet_jax.runs.stop import Stop, Stopped
from planet_jax.storage import episodes
from planet_jax.storage.run_folder import KEPT, FolderError, RunFolder, check_space, read_config
from planet_jax.types import Trajectory

if TYPE_CHECKING:
    from planet_jax.cli.main import Options


@dataclasses.dataclass
class Tally:
    """What a run must remember besides its train state; saved with every checkpoint.

    Attributes:
        episodes: SHA-256 of each episode file, in order; with several tasks, one of each in turn.
        updates: done.
        agent_steps: collected; evaluation is not counted.
        env_steps: the same in environment steps.
        pending: of the updates since the last episode, a list of values for each metric.
        seconds: spent in each phase, see `Clock`; for seeds that are trained together, by all of them.
    """

    episodes: list[str] = dataclasses.field(default_factory=list)
    updates: int = 0
    agent_steps: int = 0
    env_steps: int = 0
    pending: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Seed:
    """One seed of those that are trained together.

    Attributes:
        run: what it is.
        folder: opened for it.
        tally: so far.
        skipped: updates in a row, up to now.
        sinks: opened once it is known how far the run is.
    """

    run: runs.Run
    folder: RunFolder
    tally: Tally = dataclasses.field(default_factory=Tally)
    skipped: int = 0
    sinks: Sinks | None = None


def _averages(pending: dict[str, list[float]]) -> dict[str, float]:
    """Of the updates that were not skipped, and how many were; a metric that none of them has is left out."""
    means = {name: float(np.mean(finite)) for name, values in pending.items() if name != 'skipped'
             and (finite := [value for value in values if np.isfinite(value)])}
    return means | ({'skipped': int(sum(pending.get('skipped', [])))} if pending else {})


class Training:
    """One run in one process, or several seeds of it in step."""

    def __init__(self, members: Sequence[tuple[runs.Run, Path]], options: 'Options', console: Console,
                 devices: Sequence[jax.Device] | None = None):
        """Checks everything that can be checked, then opens the run folders.

        Args:
            members: what to train, and the folder of each. They differ in the seed only and are equally far.
            options: of the command line.
            console: for a person.
            devices: to spread the seeds over; none: the first one.

        Raises:
            ValueError: the replay does not fit the memory.
            RuntimeError: images cannot be rendered here.
            FolderError: see `RunFolder`.
        """
        run = members[0][0]
        self.run, self.config, self.options, self.console = run, run.config.resolve(), options, console
        self.episodes = options.total_episodes
        self.tasks, self.spec = run.tasks, run.spec
        self.interval = self.config.collector.interval(len(self.tasks))
        slots = self.config.replay.capacity or self.episodes
        devices = devices or runs.available_devices()[:1]
        layouts = {len(members) // len(devices)} | {
            read_config(directory, trust_task=True).get('seeds_on_device', 1) for _, directory in members
            if (directory / 'config.json').exists()}
        if layouts != {1}:
            self._print(f'{" or ".join(map(str, sorted(layouts)))} seeds on a device: each is equal to its single run '
                        f'to rounding only.')
        self.placement, needed = run.place_replay(slots, len(members), devices)
        self.steps = run.steps(slots, len(members), devices, self.placement)
        self.profile: Literal['wanted', 'recording', None] = 'wanted' if options.profile else None
        self.open_loop = OpenLoop(run, self._print) if self.config.evaluation.open_loop else None
        self.envs = envs.Rebuilt(functools.partial(envs.make_vector, self.tasks * len(members), self.config.env))
        self.envs.reset(seed=[0] * self.envs.num_envs)  # A missing OpenGL is known before there is a folder.
        for name in ('reset', 'step'):
            setattr(self.envs, name, self._simulated(getattr(self.envs, name)))
        self.evaluation_envs = None
        shapes = jax.eval_shape(self.steps.init, jnp.zeros((len(members), 2), jnp.uint32))
        self.checkpoint_bytes = sum(
            leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes.learner)) // len(members)
        most = (KEPT + 1) * self.checkpoint_bytes + run.episode_bytes(self.episodes)
        warnings = {check_space(directory, 2 * self.checkpoint_bytes, most) for _, directory in members}
        record = {'episodes': self.episodes, 'seeds_on_device': max(layouts)}
        self.seeds = [Seed(run, RunFolder(directory, run.record() | record, options.resume))
                      for run, directory in members]
        self.tally = self.seeds[0].tally
        self.clock = Clock(self.tally.seconds)
        self.saved = time.monotonic()
        self.plan_seconds, self.evaluation_owed, self.faults = 0.0, False, 0
        self.state = self.steps.init(jnp.stack([keys.root(run.seed) for run, _ in members]))
        numbers = ', '.join(str(run.seed) for run, _ in members)
        self._print(f'{run.task}, preset {run.preset}, seed{"s" * (len(members) > 1)} {numbers}, on '
                    f'{runs.device_name(devices[0])}; replay {needed / 1e9:.2f} GB on the {self.placement}')
        each = ', '.join(f'{task} {steps} agent steps ({steps * repeat} environment steps)' for (task, repeat), steps in
                         zip(run.action_repeats.items(), run.task_steps))
        where = ', '.join(str(seed.folder.directory) for seed in self.seeds)
        self._print(f'{self.episodes} episodes of {each}, in {where}')
        for warning in filter(None, warnings):
            self._print(warning)

    @property
    def done(self) -> int:
        """Episodes of each task that are in the data."""
        return len(self.tally.episodes) // len(self.tasks)

    def main(self) -> int:
        """Trains until the episodes are there or it is time to stop; returns the exit status."""
        self.stop = Stop(self.options.time_limit)
        try:
            self._restore()
            for seed in self.seeds:
                seed.sinks = Sinks(self.options.sinks, seed.folder.directory, seed.tally.env_steps, self._print)
            if self.done >= self.episodes and not self._evaluation_due():
                self._print(f'All {self.episodes} episodes are there: nothing is left to do.')
                return 0
            self._baselines()
            with Display(self.console, self.episodes, self.done) as self.display:
                try:
                    self._train()
                except Stopped:
                    self.display.say(f'Stopping: {self.stop.reason}.')
                self.display.phase('saving')
                self._save()
            self._conclude()
            return self.stop.status
        except OSError as error:
            where = error.filename or self.seeds[0].folder.directory
            raise FolderError(f'{where} cannot be read or written: {error.strerror or error}. Nothing that a '
                              f'checkpoint holds is lost: make room, and give the same command again.') from error
        finally:
            if self.profile == 'recording':
                jax.profiler.stop_trace()
            self.envs.close()
            if self.evaluation_envs:
                self.evaluation_envs.close()
            for seed in self.seeds:
                if seed.sinks:
                    seed.sinks.close()
                seed.folder.close()
            self.stop.close()

    def _print(self, sentence: str) -> None:
        self.console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    def _simulated(self, function: Callable) -> Callable:
        """A function of the environments, its time taken as a part of the episode's: the rest is the agent's."""
        def call(*arguments, **options):
            with self.clock.part('simulator'):
                return function(*arguments, **options)
        return call

    def _restore(self) -> None:
        """Goes on from the newest checkpoints, if there are any: their episodes are added to the replay again."""
        found = [seed.folder.restore(runs.one_seed(self.state, index), self._print)
                 for index, seed in enumerate(self.seeds)]
        if not any(found):
            return
        # Beside a seed that was saved before its first episode, another may not have begun.
        found = [pair or (runs.one_seed(self.state, index), dataclasses.asdict(Tally()))
                 for index, pair in enumerate(found)]
        for seed, (_, progress) in zip(self.seeds, found):
            # Runs of one task that were begun before environment steps were counted.
            progress.setdefault('env_steps', progress.get('agent_steps', 0) * sum(self.run.action_repeats.values()))
            try:
                seed.tally = Tally(**progress)
            except TypeError as error:
                raise FolderError(f'The newest checkpoint of {seed.folder.directory} was saved with another progress '
                                  f'than this version keeps: {error}.') from error
        self.tally = self.seeds[0].tally
        self.clock = Clock(self.tally.seconds)
        learned = jax.tree.map(lambda *leaves: np.stack(leaves), *(restored.learner for restored, _ in found))
        # One seed is not put on a device by name: that would be another signature, and every step be compiled anew.
        self.state = self.state.replace(learner=jax.tree.map(
            lambda leaf, like: jax.device_put(leaf, like.sharding if len(self.seeds) > 1 else None), learned,
            self.state.learner))
        for number in range(self.done):
            first = number * len(self.tasks)
            rows = [[self._read_episode(seed, index) for index in range(first, first + len(self.tasks))]
                    for seed in self.seeds]
            self.state = self.steps.add(self.state, jax.tree.map(
                lambda *leaves: np.stack(leaves),
                *(jax.tree.map(lambda *leaves: np.stack(leaves), *of_seed) for of_seed in rows)))
        self._print(f'Going on after {self.done} episodes and {self.tally.updates} updates.')

    def _read_episode(self, seed: Seed, number: int) -> Trajectory:
        """An episode from disk; one that must be done without is put into its slot with no valid row."""
        try:
            return seed.folder.read_episode(number, self.spec, seed.tally.episodes[number])
        except FolderError as error:
            if str(number) not in seed.folder.dropped:
                if not self.options.drop_bad_episodes:
                    raise
                seed.folder.drop_episode(number, str(error.__cause__))
                self._print(f'Going on without episode {number + 1} of seed {seed.run.seed}, which marks the run as no '
                            f'longer exact: {error.__cause__}')
            return episodes.empty(self.spec)

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
            if self.done >= self.episodes:
                return
            self.stop.check()
            due = algorithm.due(self.done, self.tally.updates, self.config.collector, len(self.tasks))
            self._announce(due)
            if self.profile == 'wanted' and due == 'learn' and self.clock.times('collect'):
                self._begin_profile()
            owed = algorithm.owed(self.done, self.config.collector, len(self.tasks)) - self.tally.updates
            units_of_work = min(owed, self.steps.updates_per_call) if due == 'learn' else 1
            with self.clock.measure(due, units_of_work), jax.profiler.TraceAnnotation(due):
                unit = next(units)
            self.state = unit.state
            if unit.episodes is None:
                self._finish_updates(unit)
            else:
                self._finish_episodes(unit)
                if self.profile == 'recording':
                    self._end_profile()
                if time.monotonic() - self.saved > 60 * self.options.checkpoint_minutes:
                    self._save()

    @property
    def _profile_directory(self) -> Path:
        return self.seeds[0].folder.directory / 'profile'

    def _begin_profile(self) -> None:
        """At the first update after an episode, when every program was used once."""
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # Every Python call would be recorded, which takes longer than what it calls.
        jax.profiler.start_trace(self._profile_directory, profiler_options=options)
        self.profile = 'recording'

    def _end_profile(self) -> None:
        jax.profiler.stop_trace()
        self.profile = None
        trace = max(self._profile_directory.glob('plugins/profile/*/*.trace.json.gz'))
        self.display.say(f'Episode {self.done} and its updates were recorded: open {trace} at https://ui.perfetto.dev, '
                         f'or run `xprof {self._profile_directory}` (pip install xprof).')

    def _try_planner(self) -> None:
        """Compiles the planner and times a step of it, to tell early how long the run will take."""
        params = self.state.learner.params
        shape = len(self.seeds), len(self.tasks)
        belief = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[:, None], (*shape, *leaf.shape[1:])),
                              self.steps.begin(params))
        step_keys = jnp.broadcast_to(self.state.key[:, None], (*shape, 2))
        observation = np.zeros((*shape, *self.spec.observation_shape), self.spec.observation_dtype)
        for _ in range(2):
            begun = time.monotonic()
            jax.block_until_ready(self.steps.act(params, step_keys, belief, observation))
            self.plan_seconds = time.monotonic() - begun

    def _report(self, steps: int) -> None:
        self.clock.mark(steps / self.display.total)
        self.display.facts(self.done, time_left=self._time_left())
        self.display.advance(steps)
        self.stop.check()

    def _announce(self, due: str) -> None:
        """Shows what comes next."""
        self.display.facts(self.done, time_left=self._time_left())
        if due == 'learn':
            work = 'learning' if self.clock.times('learn') else 'compiling the update'
            self.display.phase(work, self.interval, 'updates')
            self.display.advance(self.tally.updates % self.interval)
        else:
            work = 'seed' if due == 'seed' else 'collecting'
            self.display.phase(f'{work} episode {self.done + 1}', self.spec.steps, 'steps')

    def _finish_updates(self, unit: Unit) -> None:
        hopeless: dict[int, int] = {}
        for index, seed in enumerate(self.seeds):
            for name, values in unit.metrics.items():
                seed.tally.pending.setdefault(name, []).extend(values[index].tolist())
            for skipped in unit.metrics['skipped'][index]:
                seed.tally.updates += 1
                seed.skipped = seed.skipped + 1 if skipped else 0
                if seed.skipped == self.config.learner.most_skipped:
                    hopeless[index] = seed.tally.updates
        if hopeless:  # Only now, when every seed has counted its updates.
            self._give_up(hopeless)
        pace = self.clock.pace('learn')
        self.display.facts(self.done, loss=f'{unit.metrics["loss"][:, -1].mean():.1f}',
                           updates_per_second=f'{1 / pace:.3g}')
        if self.clock.times('learn') == 2:
            self.display.say(f'An update takes {pace:.2g} s and a planned step about {self.plan_seconds:.2g} s; time '
                             f'left about {self._time_left()}.')

    def _give_up(self, hopeless: dict[int, int]) -> None:
        """Saves what there is, with the batch of the last skipped update, and ends the training of all seeds.

        Args:
            hopeless: number of that update, by the index of each seed that cannot learn.
        """
        for index, number in hopeless.items():
            def last(state, index=index, number=number):
                state = jax.tree.map(lambda leaf: leaf[index], state)
                key, draws = learner.draw(state, number - 1, self.config.learner)
                return key, replay.cut(state.replay, draws)

            # On the device nothing but the batch is to be copied; on the host nothing is to be sent.
            key, batch = (jax.jit(last) if self.placement == 'device' else last)(self.state)
            path = self.seeds[index].folder.directory / 'skipped_batch.npz'
            np.savez_compressed(path, key=key, **{field.name: getattr(batch, field.name)
                                                  for field in dataclasses.fields(batch)})
        self._save()
        names = ' and '.join(str(self.seeds[index].run.seed) for index in hopeless)
        raise RuntimeError(
            f'The last {self.config.learner.most_skipped} updates of seed {names} were skipped, since their loss or '
            f'gradient was not a finite number. The parameters of the last good update are saved, and the batch of the '
            f'last one is in {path}. A smaller --learner.learning-rate or --learner.clip-norm may help, in another '
            f'folder.')

    def _finish_episodes(self, unit: Unit) -> None:
        """Writes an episode of each task, then its line: what a line tells of is always there."""
        returns = unit.episodes.reward.sum(-1, dtype=np.float64)
        if self.envs.faults > self.faults:
            self.faults = self.envs.faults
            self.display.say(f'The environments have failed {self.faults} times in this process: what was under way '
                             f'was dropped, and collected again with the next key.')
        losses = {}
        for index, seed in enumerate(self.seeds):
            tally = seed.tally
            losses = _averages(tally.pending)
            paces = {f'{name}_each': self.clock.pace(name) for name in ('learn', 'seed', 'collect', 'evaluate')}
            lines = []
            for number, (task, repeat) in enumerate(self.run.action_repeats.items()):
                episode = jax.tree.map(lambda leaf, at=(index, number): leaf[at], unit.episodes)
                tally.episodes.append(seed.folder.write_episode(len(tally.episodes), episode))
                tally.agent_steps += int(episode.length) - 1
                tally.env_steps += (int(episode.length) - 1) * repeat
                value = float(unit.metrics['value'][index, number])
                planned = {'elites_return': value} if tally.updates and np.isfinite(value) else {}
                lines.append({'task': task, 'return': float(returns[index, number]), **losses, **planned})
            paces = {name: value for name, value in paces.items() if value is not None}
            for line in lines:
                seed.folder.append('metrics.jsonl', {
                    'episodes': self.done, 'updates': tally.updates, 'agent_steps': tally.agent_steps,
                    'env_steps': tally.env_steps, **line,
                    'seconds': {name: round(value, 3) for name, value in (self.clock.seconds | paces).items()},
                })
                of_task = ('return', 'elites_return')
                on = self._on(line['task'])
                seed.sinks.scalars(tally.env_steps, {
                    f'train/{name}{on if name in of_task else ""}': value for name, value in line.items()
                    if name != 'task'} | {f'seconds/{name}': value for name, value in paces.items()})
            tally.pending = {}
        self.evaluation_owed = self._evaluation_due()
        pace = self.clock.pace('collect' if self.tally.updates else 'seed')
        self.display.facts(self.done, steps_per_second=f'{(unit.episodes.length - 1).sum() / pace:.3g}')
        told = ' (random actions)' if not losses else f', loss {losses["loss"]:.1f}' if 'loss' in losses else ''
        self.display.say(f'episode {self.done}: return {self._told(returns)}{told}, {self.tally.env_steps} environment '
                         f'steps, time left {self._time_left()}')

    def _on(self, task: str) -> str:
        """The end of what a sink calls a task's metric: with one task there is nothing to tell apart."""
        return f'/{task}' if len(self.tasks) > 1 else ''

    def _told(self, returns: np.ndarray) -> str:
        """Returns [P, E] in words: a number, or one for each task, or the mean over the seeds."""
        if len(self.tasks) == 1:
            told = f'{returns.mean():.1f}'
        else:
            told = ', '.join(f'{value:.1f} {task}' for task, value in zip(self.tasks, returns.mean(0)))
        return told + f' (mean of {len(self.seeds)} seeds)' * (len(self.seeds) > 1)

    def _scores(self) -> list[float]:
        """The mean of each evaluation over all seeds."""
        scores = [[score for _, score in seed.folder.scores()] for seed in self.seeds]
        return [float(np.mean(of_seeds)) for of_seeds in zip(*scores)]

    def _evaluation_due(self) -> bool:
        """At every so many episodes and at the end, once there was an update; not twice at the same place."""
        every, updates = self.config.evaluation.every, self.tally.updates
        if not every or not updates or (self.done % every and self.done < self.episodes):
            return False
        if updates != (self.done - self.config.collector.seed_episodes) * self.interval:
            return False  # Updates for the next episode were made already, so it was due before them.
        return any(self._lacks(seed, 'planet', task) for seed in self.seeds for task in self.tasks)

    def _lacks(self, seed: Seed, agent: str, task: str) -> bool:
        """Whether an agent's evaluation on a task is missing: the trained one's at this place, another's altogether."""
        return not any(
            line['agent'] == agent and line.get('task', task) == task
            and (agent != 'planet' or (line['episodes'], line['updates']) == (self.done, self.tally.updates))
            for line in seed.folder.lines('evaluations.jsonl'))

    def _evaluate(self) -> None:
        """Every task in turn, all seeds and some episodes side by side."""
        episodes = self.config.evaluation.episodes
        means = []
        for task in self.tasks:
            vector = self._evaluation_envs(task)
            work = 'evaluating' if self.clock.times('evaluate') else 'compiling, evaluating'
            rounds = evaluation.rounds(episodes, len(self.seeds))
            steps = envs.spec(task, self.config.env).steps
            self.display.phase(work if len(self.tasks) == 1 else f'{work} {task}', rounds * steps, 'steps')
            with self.clock.measure('evaluate'):
                returns, first = evaluation.evaluate(self.steps.evaluate, self.steps.begin, vector,
                                                     self.state.learner.params, self.state.key, episodes, self._report)
            if self.open_loop:
                self._predict(task, first, vector.metadata['render_fps'])
            self._record('planet', task, returns)
            means.append(returns.mean(1))
            on = f' on {task}' if len(self.tasks) > 1 else ''
            of = f' of {len(self.seeds)} seeds each' if len(self.seeds) > 1 else ''
            baselines = self._baseline_text([task])
            self.display.say(f'evaluation{on} after {self.done} episodes: {returns.mean():.1f}, from '
                             f'{returns.min():.1f} to {returns.max():.1f} over {episodes} episodes{of} ({baselines})')
        self.evaluation_owed = False
        for seed in self.seeds:
            seed.folder.write_scores()
        scores = self._scores()
        self.display.facts(self.done, last_score=f'{scores[-1]:.1f}', best_score=f'{max(scores):.1f}')
        if len(self.tasks) > 1:
            self.display.say(f'mean over {len(self.tasks)} tasks after {self.done} episodes: {np.mean(means):.1f}')

    def _predict(self, task: str, episodes: Trajectory, frames_per_second: float) -> None:
        """Open-loop prediction of each seed's first episode, before the evaluation is recorded, which ends it."""
        with self.clock.measure('open_loop'):
            for index, seed in enumerate(self.seeds):
                line = {'task': task, 'episodes': self.done, 'updates': self.tally.updates,
                        'env_steps': seed.tally.env_steps}
                params, key, episode = jax.device_get(jax.tree.map(
                    lambda leaf, index=index: leaf[index], (self.state.learner.params, self.state.key, episodes)))
                errors, picture = self.open_loop.record(seed.folder, line, params, key, episode, frames_per_second)
                on = self._on(task)
                seed.sinks.scalars(seed.tally.env_steps, {
                    f'open_loop/{name}{on}/{ahead}': error for name in errors if name.endswith('_error')
                    for ahead, error in zip(errors['horizon'], errors[name])})
                if picture:
                    seed.sinks.image(seed.tally.env_steps, f'open_loop{on}', picture)

    def _evaluation_envs(self, task: str) -> gymnasium.vector.VectorEnv:
        """Those of one task; with several tasks they are made anew each time, so that one set is open at once."""
        if self.evaluation_envs is None or len(self.tasks) > 1:
            if self.evaluation_envs:
                self.evaluation_envs.close()
            self.evaluation_envs = evaluation.make_envs(task, self.config.env, self.config.evaluation.episodes,
                                                        len(self.seeds), self.spec)
        return self.evaluation_envs

    def _baselines(self) -> None:
        """What agents score that look at nothing, from the same starts."""
        if not self.config.evaluation.every:
            return
        for name in evaluation.BASELINES:
            for task in self.tasks:
                if any(self._lacks(seed, name, task) for seed in self.seeds):
                    with self.clock.measure('baselines'):
                        returns = evaluation.evaluate_baseline(name, task, self.config.env, self.state.key,
                                                               self.config.evaluation.episodes)
                    self._record(name, task, returns)
        self._print(f'To compare with: {self._baseline_text(self.tasks)}.')

    def _baseline_text(self, tasks: Sequence[str]) -> str:
        """The means over the seeds; with several tasks, over these too."""
        lines = [line for seed in self.seeds for line in seed.folder.lines('evaluations.jsonl')
                 if line.get('task', tasks[0]) in tasks]
        means = {name: np.mean([np.mean(line['returns']) for line in lines if line['agent'] == name])
                 for name in evaluation.BASELINES}
        return ', '.join(f'{name} actions {mean:.1f}' for name, mean in means.items())

    def _record(self, agent: str, task: str, returns: np.ndarray) -> None:
        """A line for each seed that has none yet: one may have been written before a crash."""
        counts = {'episodes': self.done, 'updates': self.tally.updates}
        if agent != 'planet':
            counts = dict.fromkeys(counts, 0)
        for seed, of_seed in zip(self.seeds, returns, strict=True):
            if self._lacks(seed, agent, task):
                seed.folder.append('evaluations.jsonl', {
                    'agent': agent, 'task': task, **counts,
                    'env_steps': seed.tally.env_steps if agent == 'planet' else 0, 'returns': of_seed.tolist()})
                on = self._on(task)
                seed.sinks.scalars(seed.tally.env_steps, {f'evaluation/{agent}{on}': float(of_seed.mean())})

    def _save(self) -> None:
        """A checkpoint, unless the newest one is just this."""
        with self.clock.measure('save'):
            for index, seed in enumerate(self.seeds):
                check_space(seed.folder.directory, 2 * self.checkpoint_bytes, 0)
                seed.tally.seconds = dict(self.clock.seconds)
                seed.folder.save(runs.one_seed(self.state, index), dataclasses.asdict(seed.tally))
        self.saved = time.monotonic()

    def _time_left(self) -> str:
        """By the pace so far, or until the time limit if that comes first."""
        units = units_left(self.config, len(self.tasks), self.episodes, self.done, self.tally.updates)
        units['evaluate'] += self.evaluation_owed * len(self.tasks)
        episode = self.clock.pace('collect') or self.plan_seconds * self.spec.steps
        if units['learn'] and self.clock.times('learn') < 2:
            return 'not known yet'  # The first call of `learn` is mostly compilation.
        left = self.clock.remaining(
            units, {'collect': episode, 'evaluate': episode * self.config.evaluation.episodes})
        if left is None:
            return 'not known yet'
        limit = self.stop.seconds_left()
        if limit is not None and limit < left:
            return f'{duration(limit)} (limit)'
        return duration(left)

    def _conclude(self) -> None:
        scores = self._scores()
        told = (f'last score {scores[-1]:.1f}, best {max(scores):.1f} ({self._baseline_text(self.tasks)}); ' if scores
                else '')
        if self.profile:
            self._print('No episode was recorded, since --profile begins after the first that is not a seed episode.')
        more = 'with more episodes ' if self.done >= self.episodes else ''
        self._print(f'{self.done} episodes, {self.tally.updates} updates; {told}the same command {more}goes on from '
                    f'here.')
