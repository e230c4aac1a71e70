"""The options of a training besides task and seed; nothing here needs a terminal."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from planet_jax.config import PRESET_EPISODES, PRESETS, Config
from planet_jax.loggers.sinks import SinkName

if TYPE_CHECKING:
    from planet_jax.runs.run import Run
    PresetName = str
else:
    PresetName = Literal[tuple(PRESETS)]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options that `train` and `sweep` share."""

    preset: PresetName
    """Preset that the settings start from. By default that of an existing run folder, else planet on an accelerator and
    cpu without one."""
    logdir: Path = Path('logs')
    """Parent of the run folders, LOGDIR/TASK/METHOD/SEED."""
    method: str | None = None
    """METHOD in the run folder; by default cell and preset, such as rssm-cpu."""
    episodes: int | None = None
    """Episodes of each task to collect, seed episodes included; by default 1000 (planet, paper), 200 (cpu) or 6
    (debug)."""
    time_limit: float | None = None
    """Minutes after which to save and stop; the same command continues."""
    checkpoint_minutes: float = 5.0
    """Shortest time between two checkpoints."""
    resume: Literal['auto', 'must', 'never'] = 'auto'
    """Whether to continue the run in the folder; auto: if there is one; must: fail without one; never: fail if there is
    one."""
    drop_bad_episodes: bool = False
    """Continue without episodes whose files are damaged or missing; the run is then marked as not exact."""
    begin_with: str | None = None
    """Episodes to start from instead of random ones: a folder or a Minari data set, as in fit."""
    sinks: tuple[SinkName, ...] = ('tensorboard',)
    """Loggers besides the run folder's own files; no name switches them off."""
    debug_nans: bool = False
    """Stop at the first NaN and name the operation; much slower."""
    profile: bool = False
    """Record one episode and its updates with JAX's profiler, once everything is compiled."""
    config: Config = field(default_factory=Config)
    """Settings of the run."""

    def __post_init__(self):
        if self.method is not None and not re.fullmatch(r'\w[\w.\-]*', self.method):
            raise ValueError(f'The method is {self.method!r}, but must be a folder name: use letters, digits, '
                             f'dots, dashes and underscores.')
        if self.total_episodes < self.config.collector.seed_episodes:
            raise ValueError(f'episodes is {self.total_episodes}, but the {self.config.collector.seed_episodes} seed '
                             f'episodes count too: the nearest valid value is {self.config.collector.seed_episodes}.')
        if self.time_limit is not None and not self.time_limit > 0:
            raise ValueError(f'The time limit is {self.time_limit} minutes, but must be above 0.')
        if not self.checkpoint_minutes >= 0:
            raise ValueError(f'checkpoint_minutes is {self.checkpoint_minutes}, but must be at least 0.')

    @property
    def total_episodes(self) -> int:
        """Episodes of each task: as asked for, or the preset's number."""
        return PRESET_EPISODES[self.preset] if self.episodes is None else self.episodes

    def member(self, task: str, seed: int) -> 'tuple[Run, Path]':
        """The run of a task and a seed with these options, and its folder."""
        from planet_jax import envs
        from planet_jax.runs.run import Run  # It imports JAX, and a command line is parsed without.
        from planet_jax.storage.run_files import run_directory
        name, _ = envs.resolve_several(task)
        method = self.method or f'{self.config.model.cell}-{self.preset}'
        return Run(name, self.preset, seed, self.config.resolve(name)), run_directory(self.logdir, name, method, seed)


def parse_seeds(text: str) -> list[int]:
    """The seeds of a range, '0:5' for 0 to 4, or of a list, '0,3,7'.

    Raises:
        ValueError: the text is neither, is empty, or repeats a seed.
    """
    if match := re.fullmatch(r'(\d+):(\d+)', text):
        numbers = list(range(*map(int, match.groups())))
    elif re.fullmatch(r'\d+(,\d+)*', text):
        numbers = [int(number) for number in text.split(',')]
    else:
        numbers = []
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f'The seeds are {text!r}, but must be a range such as 0:5, which ends at 4, or different '
                         f'numbers with commas between them, such as 0,3,7.')
    return numbers
