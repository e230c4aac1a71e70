"""Shared by the experiments: each declares its runs, makes missing ones, and draws from score files only."""

import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from planet_jax import envs
from planet_jax.cli.values import REGISTRY
from planet_jax.config import PRESET_EPISODES, Config, preset
from planet_jax.pictures import curves as figures
from planet_jax.runs.options import parse_seeds
from planet_jax.scores import published, reading, statistics, tables
from planet_jax.storage.run_files import FolderError, run_directory

SEEDS = {'debug': '0:2', 'cpu': '0:1', 'planet': '0:5', 'paper': '0:5'}
"""Default seeds of each size. On a CPU each seed takes an hour or more."""
DEBUG_TASKS = ('cartpole_swingup', 'cup_catch')
"""Default tasks of each size. At debug size, compiling for a task takes longer than its run."""


@dataclass(frozen=True)
class Method:
    """A way to train an agent.

    Attributes:
        label: in tables and figures.
        name: of the method folder, before the preset.
        overrides: options of the command that change the preset.
        together: whether one agent learns all tasks.
    """

    label: str
    name: str
    overrides: tuple[str, ...] = ()
    together: bool = False


PLANET = Method('PlaNet', 'rssm')
"""The agent of the presets; experiments share its runs."""


@dataclass(frozen=True)
class Options:
    """What to run and where. Existing runs are used, and continued if they are not complete."""

    size: Literal['debug', 'cpu', 'planet', 'paper']
    """Preset of the runs, with its episodes; debug tests everything in minutes, and its scores mean nothing."""
    tasks: tuple[str, ...] | None = None
    """Tasks of the suite; by default the paper's six, or two of them at debug size."""
    seeds: str | None = None
    """A range, 0:5 for 0 to 4, or a list, 0,3; by default 0:5 (planet, paper), 0:1 (cpu) or 0:2 (debug)."""
    episodes: int | None = None
    """Episodes of each task in each run; by default 1000 (planet, paper), 200 (cpu) or 6 (debug)."""
    logdir: Path = Path('logs')
    """Parent of the run folders, LOGDIR/TASK/METHOD/SEED."""
    out: Path = Path('figures')
    """Folder of the table or the figure."""
    render_only: bool = False
    """Draw existing scores without running anything."""
    time_limit: float | None = None
    """Minutes for each training command; the same experiment continues."""

    def __post_init__(self):
        for task in self.task_names:
            envs.resolve(task)
        if not self.task_names or len(set(self.task_names)) < len(self.task_names):
            raise ValueError('tasks must name at least one task, and none twice.')
        parse_seeds(self.seed_range)
        least = preset(self.size).collector.seed_episodes + 1
        if self.total_episodes < least:
            raise ValueError(f'episodes is {self.total_episodes}, but nothing is evaluated before there are {least}, '
                             f'the seed episodes and one more: the nearest valid value is {least}.')
        if self.time_limit is not None and not self.time_limit > 0:
            raise ValueError(f'The time limit is {self.time_limit} minutes, but must be above 0.')
        if self.out.exists() and not self.out.is_dir():
            raise ValueError(f'{self.out} is not a folder: name another by --out.')

    @property
    def task_names(self) -> tuple[str, ...]:
        if self.tasks is None:
            return DEBUG_TASKS if self.size == 'debug' else published.TASKS
        return self.tasks

    @property
    def seed_range(self) -> str:
        return SEEDS[self.size] if self.seeds is None else self.seeds

    @property
    def total_episodes(self) -> int:
        return PRESET_EPISODES[self.size] if self.episodes is None else self.episodes


@dataclass(frozen=True)
class Sweep:
    """One command: a method on a task, or on several together, over seeds."""

    method: Method
    tasks: tuple[str, ...]
    options: Options

    @property
    def task(self) -> str:
        """The task of the command, which names the task folder."""
        return envs.ALL if self.tasks == published.TASKS else ','.join(self.tasks)

    @property
    def name(self) -> str:
        return f'{self.method.name}-{self.options.size}'

    @property
    def directories(self) -> list[Path]:
        return [run_directory(self.options.logdir, self.task, self.name, seed)
                for seed in parse_seeds(self.options.seed_range)]

    @property
    def command(self) -> list[str]:
        options = self.options
        limit = [] if options.time_limit is None else ['--time-limit', str(options.time_limit)]
        return [sys.executable, '-m', 'planet_jax', 'sweep', '--task', self.task, '--method', self.name,
                '--preset', options.size, '--seeds', options.seed_range, '--episodes', str(options.total_episodes),
                '--logdir', str(options.logdir), *limit, *self.method.overrides]

    def read(self) -> list[reading.Scores]:
        """The scores of its runs so far."""
        return [entry for directory in self.directories if (directory / 'config.json').exists()
                for entry in reading.read_run(directory)]

    def missing(self) -> list[int]:
        """Seeds that lack the final evaluation of a task."""
        done = {(entry.seed, entry.task) for entry in self.read() if entry.episodes >= self.options.total_episodes}
        return [seed for seed in parse_seeds(self.options.seed_range)
                if not done >= {(seed, task) for task in self.tasks}]


@dataclass(frozen=True)
class Experiment:
    """A table or a figure.

    Attributes:
        name: of the script and of its file.
        title: of the figure or table.
        purpose: for the help.
        methods: at the sizes of a preset.
        render: makes the file from score files; by default curves of every task.
    """

    name: str
    title: str
    purpose: str
    methods: Callable[[Config], Sequence[Method]]
    render: Callable[['Experiment', Sequence[Sweep], Options], Path] | None = None

    def sweeps(self, options: Options) -> list[Sweep]:
        return [Sweep(method, tasks, options) for method in self.methods(preset(options.size))
                for tasks in ([options.task_names] if method.together else [(task,) for task in options.task_names])]


def draw_curves(experiment: Experiment, sweeps: Sequence[Sweep], options: Options) -> Path:
    """A panel for each task with scores, and a curve for each method."""
    found = {sweep: sweep.read() for sweep in sweeps}
    panels, drawn = [], []
    for task in options.task_names:
        curves, on_task = {}, []
        for sweep, entries in found.items():
            runs = [entry for entry in entries if entry.task == task]
            on_task += runs
            if points := statistics.curve(runs):
                curves[sweep.method.label] = points
        values = {f'{agent} actions': statistics.baseline(on_task, agent) for agent in ('uniform', 'zero')}
        if curves:
            panels.append(figures.Panel(task, curves, {name: value for name, value in values.items()
                                                       if value is not None}, published.SUITE_RETURNS))
            drawn += on_task
    if not panels:
        raise FolderError(f'There are no scores of these runs in {options.logdir}, so there is nothing to draw.')
    path = options.out / f'{experiment.name}-{options.size}.png'
    together = any(sweep.method.together for sweep in sweeps)
    figures.save(figures.draw(
        panels, title=tables.heading(experiment.title, drawn),
        caption=f'Median and 5 to 95 percentiles over {tables.describe(drawn)}.',
        x_label='episodes collected of the task' if together else 'episodes collected'), path)
    return path


def run(command: Sequence[str]) -> int:
    """Runs a command, passes SIGINT and SIGTERM on to it, and returns its exit status."""
    # A group of its own, so that Ctrl-C reaches it once, from here: a second signal would end it without saving.
    with subprocess.Popen(command, process_group=0) as process:
        before = {number: signal.signal(number, lambda received, frame: process.send_signal(received))
                  for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            status = process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def run_missing(sweeps: Sequence[Sweep]) -> int:
    """Runs the commands with incomplete runs until one fails; returns its status, or 0."""
    left = [sweep for sweep in sweeps if sweep.missing()]
    print(f'{len(sweeps) - len(left)} of {len(sweeps)} sweeps are complete.', flush=True)
    for number, sweep in enumerate(left, 1):
        print(f'\n[{number} of {len(left)}] {shlex.join(sweep.command)}', flush=True)
        if status := run(sweep.command):
            print(f'It ended with status {status}, so the experiment stops. The same command continues from here.',
                  file=sys.stderr)
            return status
    return 0


def main(experiment: Experiment, arguments: Sequence[str] | None = None) -> int:
    """Runs and draws an experiment; returns the exit status."""
    status = 0
    options = tyro.cli(Options, args=arguments, prog=f'python -m experiments.{experiment.name}',
                       description=experiment.purpose, config=(tyro.conf.FlagCreatePairsOff,), registry=REGISTRY)
    try:
        sweeps = experiment.sweeps(options)
        if not options.render_only:
            status = run_missing(sweeps)
        path = (experiment.render or draw_curves)(experiment, sweeps, options)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return status or 2
    print(f'Wrote {path}.')
    return status
