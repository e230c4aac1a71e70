"""`planet-jax fit`: trains the world model alone, on existing episodes."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from planet_jax.cli.options import HasSettings, at_least
from planet_jax.config import Config
from planet_jax.runs.options import PresetName
from planet_jax.storage.layout import Layout


@dataclass(frozen=True, kw_only=True)
class Fit(HasSettings):
    """Fit a world model to existing episodes."""

    data: str
    """A folder of .npz files, a run folder, or a Minari data set by name or folder."""
    preset: PresetName
    """Preset that the settings start from; by default cpu."""
    task: str | None = None
    """Task of the episodes, if it can be simulated: `train` can then continue with the model."""
    seed: int = 0
    """Seed of every random number, and of which episodes are held out."""
    logdir: Path = Path('logs')
    """The run folder is LOGDIR/TASK/METHOD/SEED."""
    method: str | None = None
    """METHOD in the run folder; by default fit and the preset, such as fit-cpu."""
    updates: int = 1000
    """Gradient steps, at most."""
    every: int = 100
    """Updates between two measurements of the model."""
    patience: int = 3
    """Stop after this many measurements without improvement on the held-out episodes."""
    held_out: float = 0.2
    """Share of the episodes that are held out: measured, not learned from."""
    observation: tuple[str, ...] = ('observation',)
    """Name of the observations in a file: images, uint8 [rows, height, width, channels], or vectors, [rows, n]. Several
    names are the parts of one observation; vectors alone are joined."""
    action: str = 'action'
    """Name of the actions, real numbers [rows, A]."""
    reward: str = 'reward'
    """Name of the rewards, [rows]."""
    rows: Literal['auto', 'led', 'taken'] = 'auto'
    """Which action a row holds: the one that led to its observation, or the one taken there; auto reads it from the
    files."""
    action_low: float = -1.0
    """Smallest action, which becomes -1."""
    action_high: float = 1.0
    """Largest action, which becomes 1."""
    config: Annotated[Config, tyro.conf.arg(name=''), tyro.conf.FlagConversionOff] = field(default_factory=Config)
    """Settings of the run."""

    def __post_init__(self):
        at_least(self, updates=1, every=1, patience=1)
        if not 0 < self.held_out < 1:
            raise ValueError(f'held_out is {self.held_out}, but must be between 0 and 1: 0.2 holds out every '
                             f'fifth episode.')
        if self.every > self.updates:
            raise ValueError(f'every is {self.every} and updates is {self.updates}, so nothing would be measured: the '
                             f'nearest valid value of every is {self.updates}.')
        self.layout  # noqa: B018 - Its own checks.

    @property
    def layout(self) -> Layout:
        """How the files name and scale their arrays."""
        return Layout(self.observation, self.action, self.reward, self.rows, self.action_low, self.action_high)


def run(command: Fit, arguments: Sequence[str], console: Console) -> int:
    """Fits the model and prints each measurement.

    Raises:
        ValueError: episodes cannot be used; the message names them. Nothing has been trained then.
        FolderError: the folder holds another run.
    """
    from planet_jax.cli.progress import Display
    from planet_jax.envs import data as data_alone
    from planet_jax.runs.fitting import fit_run
    from planet_jax.runs.run import Run
    from planet_jax.storage import datasets
    from planet_jax.storage.run_files import run_directory

    del arguments
    data, settings = datasets.read(command.data, command.layout), command.config
    if command.task is None:  # The episodes say what is observed.
        pixels = len(data.spec.observation_shape) != 1  # Of several parts one is an image.
        settings = dataclasses.replace(settings, env=dataclasses.replace(
            settings.env, observation='pixels' if pixels else 'state', image='own' if pixels else settings.env.image))
    task = command.task or data_alone.task_name(data.spec)
    of_run = Run(task, command.preset, command.seed, settings.resolve(task))
    method = command.method or f'fit-{command.preset}'
    directory = run_directory(command.logdir, of_run.task, method, command.seed)
    with Display(console, 1) as display:
        display.phase('fitting', command.updates, 'updates')

        def tell(point, better):
            held = point.measured[0]['held_out']
            display.say(f'{point.updates} updates: {_words(held)}{", the best so far" if better else ""}')

        fitted = fit_run(of_run, directory, data, held_out=command.held_out, every=command.every,
                         updates=command.updates, patience=command.patience, report=display.advance, tell=tell,
                         say=display.say)
    stopped = f', since {command.patience} measurements brought nothing better' if fitted.stopped else ''
    already = 'This fit is finished already. ' if fitted.found else ''
    console.print(f'{already}{directory}: the model after {fitted.updates} updates{stopped}; on held-out episodes, '
                  f'{_words(fitted.measured["held_out"])}', highlight=False, markup=False, soft_wrap=True)
    if command.task:
        console.print(f'To go on with an agent: planet-jax train --task {command.task} --preset {command.preset} '
                      f'--method {method} --seed {command.seed} --logdir {command.logdir}', highlight=False,
                      markup=False, soft_wrap=True)
    return 0


def _words(measured: dict) -> str:
    """A measurement in short: R2 of the rewards, and the open-loop error beside that of the data's mean."""
    ahead = len(measured['open_loop/observation'])
    error, mean = (measured[f'{name}/observation'][-1] for name in ('open_loop', 'mean'))
    return (f'R2 of {ahead} rewards {measured["r2"]:.2f}, error {ahead} steps ahead {error:.3g} (mean of the data '
            f'{mean:.3g})')
