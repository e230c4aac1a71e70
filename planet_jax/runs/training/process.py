"""One training in one process: checks, opens, uses and closes everything."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp

from planet_jax import envs, keys
from planet_jax.loggers.sinks import Sinks
from planet_jax.runs.devices import available_devices, device_name
from planet_jax.runs.open_loop import OpenLoop
from planet_jax.runs.options import Options
from planet_jax.runs.run import Run, one_seed
from planet_jax.runs.training.clock import Clock
from planet_jax.runs.training.evaluator import Evaluator
from planet_jax.runs.training.profiler import Profiler
from planet_jax.runs.training.progress import Seed, tree_bytes, write_given
from planet_jax.runs.training.reporter import Opening, Reporter
from planet_jax.runs.training.resume import restore
from planet_jax.runs.training.stop import Stop, Stopped
from planet_jax.runs.training.trainer import Trainer
from planet_jax.seeds import add_to_all
from planet_jax.storage import datasets
from planet_jax.storage.layout import Layout
from planet_jax.storage.run_files import FolderError, check_space, read_config
from planet_jax.storage.run_folder import KEPT, RunFolder
from planet_jax.types import Trajectory


class Training:
    """One run in one process, or several seeds of it in step.

    Attributes:
        stop: the reason and the exit status of the end; None before `main`.
    """

    def __init__(self, members: Sequence[tuple[Run, Path]], options: Options, reporter: Reporter | None = None,
                 devices: Sequence[jax.Device] | None = None):
        """Checks the options, then opens the run folders.

        Args:
            members: the runs and their folders. They differ in the seed only, and have made equal progress.
            options: of the training, with the configuration of the members.
            reporter: is told of every event; by default nobody is.
            devices: that the seeds are spread over; by default the first one.

        Raises:
            ValueError: the replay does not fit into memory.
            RuntimeError: images cannot be rendered here.
            FolderError: see `RunFolder`.
        """
        run = members[0][0]
        self.run, self.options, self.reporter = run, options, reporter or Reporter()
        self.stop: Stop | None = None
        self.seeds: list[Seed] = []
        self.episodes, self.spec, count = options.total_episodes, run.spec, len(members)
        settings = run.config.replay
        self.slots = settings.capacity or self.episodes
        devices = devices or available_devices()[:1]
        layouts = {count // len(devices)} | {
            read_config(directory, trust_task=True).get('seeds_on_device', 1) for _, directory in members
            if (directory / 'config.json').exists()}
        self.placement, needed = run.place_replay(self.slots, count, devices)
        self.steps = run.steps(self.slots, count, devices, self.placement)
        self.open_loop = OpenLoop(run, self.reporter.note) if run.config.evaluation.open_loop else None
        self.clock = Clock({})
        self.envs = self._make_envs(run.tasks * count)
        self.given = self._read_given()
        shapes = jax.eval_shape(self.steps.init, jnp.zeros((count, 2), jnp.uint32))
        checkpoint = tree_bytes(shapes.learner) // count
        files = min(self.episodes, settings.keep_files or self.episodes)
        most = (KEPT + 1) * checkpoint + run.episode_bytes(files)
        warnings = {check_space(directory, 2 * checkpoint, most) for _, directory in members}
        record = {'episodes': self.episodes, 'seeds_on_device': max(layouts)}
        if self.given is not None:
            record['begin_with'] = {'data': options.begin_with, 'episodes': len(self.given.length)}
        self.seeds = [Seed(run, RunFolder(directory, run.record() | record, options.resume))
                      for run, directory in members]
        self.state = self.steps.init(jnp.stack([keys.root(run.seed) for run, _ in members]))
        self.reporter.opened(Opening(
            run, [run.seed for run, _ in members], self.episodes, [directory for _, directory in members],
            device_name(devices[0]), self.placement, needed, sorted(layouts)))
        for warning in filter(None, warnings):
            self.reporter.note(warning)

    def main(self) -> int:
        """Trains until the data has all episodes or it is time to stop; returns the exit status.

        Raises:
            FolderError: a file cannot be read or written.
            RuntimeError: a seed is given up.
        """
        self.stop = Stop(self.options.time_limit)
        evaluator = Evaluator(self.seeds, self.steps, self.episodes, self.reporter, self.open_loop)
        profiler = Profiler(self.seeds[0].folder.directory / 'profile') if self.options.profile else None
        try:
            self._restore()
            for seed in self.seeds:
                seed.sinks = Sinks(self.options.sinks, seed.folder.directory, seed.progress.env_steps,
                                   self.reporter.note)
            trainer = Trainer(
                self.seeds, self.state, self.steps, self.envs, evaluator, self.clock, self.stop, self.reporter,
                self.spec, self.episodes, self.options.checkpoint_minutes, self.placement == 'device', profiler)
            del self.state  # The trainer owns it, and donates it.
            if trainer.done >= self.episodes and not evaluator.due():
                self.reporter.complete(self.episodes)
                return 0
            evaluator.baselines(trainer.state, self.clock)
            with self.reporter.watching(self.episodes, trainer.done):
                try:
                    trainer.train()
                except Stopped:
                    self.reporter.stopping(self.stop.reason)
                self.reporter.phase('save')
                trainer.save()
            if profiler and profiler.state == 'wanted':
                self.reporter.profiled(None, None, profiler.directory)
            self.reporter.finished(trainer.done, trainer.progress.updates, evaluator.scores(),
                                   evaluator.baseline_means(self.run.tasks), trainer.done >= self.episodes)
            return self.stop.status
        except OSError as error:
            where = error.filename or self.seeds[0].folder.directory
            raise FolderError(f'{where} cannot be read or written: {error.strerror or error}. Nothing that a '
                              f'checkpoint holds is lost: make room, and give the same command again.') from error
        finally:
            if profiler:
                profiler.end()
            self.envs.close()
            evaluator.close()
            for seed in self.seeds:
                if seed.sinks:
                    seed.sinks.close()
                seed.folder.close()
            self.stop.close()

    def _restore(self) -> None:
        restored = restore(self.seeds, self.state, self.steps, self.spec, self.slots, self.options.drop_bad_episodes,
                           self.reporter.note)
        progress = self.seeds[0].progress
        self.clock.seconds = progress.seconds
        if restored is not None:
            self.state = restored
            self.reporter.resumed(len(progress.episodes) // len(self.run.tasks), progress.updates,
                                  self.seeds[0].folder.changes)
        elif self.given is not None:
            self._begin_with(self.given)

    def _read_given(self) -> Trajectory | None:
        """The episodes to start from; None without `begin_with`.

        Raises:
            ValueError: they cannot be used, or the run asks for fewer.
        """
        if self.options.begin_with is None:
            return None
        if len(self.run.tasks) > 1:
            raise ValueError('A run of several tasks cannot begin with given episodes: name one task.')
        data = datasets.read(self.options.begin_with, Layout())
        datasets.check_fit(data, self.spec, f'the task {self.run.task}', self.run.action_repeats)
        if len(data.episodes) > self.episodes:
            raise ValueError(f'{self.options.begin_with} has {len(data.episodes)} episodes, but the run asks for '
                             f'{self.episodes}, these included: ask for more by --episodes.')
        return data.stacked(range(len(data.episodes)), self.spec)

    def _begin_with(self, given: Trajectory) -> None:
        """Adds given episodes as the first ones, and saves, so that the source is not needed again."""
        self.state = add_to_all(self.steps, self.state, given)
        for index, seed in enumerate(self.seeds):
            write_given(seed, given)
            seed.save(one_seed(self.state, index))
        self.reporter.note(f'Starting from {len(given.length)} episodes of {self.options.begin_with}.')
        self.given = None  # The replay has them.

    def _make_envs(self, tasks: Sequence[str]) -> envs.RestartingVectorEnv:
        made = envs.RestartingVectorEnv(
            functools.partial(envs.make_vector, tasks, self.run.config.env), report=self._failed)
        made.reset(seed=[0] * made.num_envs)  # A missing OpenGL is reported before a folder is made.
        for name in ('reset', 'step'):
            setattr(made, name, self._simulated(getattr(made, name)))
        return made

    def _failed(self, text: str) -> None:
        for seed in self.seeds:
            seed.write_failure(text)

    def _simulated(self, function: Callable) -> Callable:
        """Times a function of the environments as the simulator's part of a phase."""
        def call(*arguments, **options):
            with self.clock.part('simulator'):
                return function(*arguments, **options)
        return call
