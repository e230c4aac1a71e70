"""The `planet-jax` command: parses and checks everything, then hands over."""

import argparse
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro
from rich.console import Console

from planet_jax.cli import help, values
from planet_jax.cli.console import make as make_console
from planet_jax.config import PRESETS, Config, preset
from planet_jax.machine import prepare_process
from planet_jax.runs.options import Options as RunOptions
from planet_jax.runs.options import PresetName

T = TypeVar('T')


def parse_seeds(text: str) -> list[int]:
    """The seeds of a range, '0:5', which ends at 4, or of a list, '0,3,7'.

    Raises:
        ValueError: it is neither, or names no seed, or one twice.
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


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """What `train` and `sweep` have in common."""

    config: Annotated[Config, tyro.conf.arg(name=''), tyro.conf.FlagConversionOff] = field(default_factory=Config)
    """Settings of the run."""


@dataclass(frozen=True, kw_only=True)
class Train(Options):
    """Train an agent on a task, or go on with its training."""

    task: str
    """Of dm_control's suite, such as walker_walk or cup_catch; toy_point; or one of your own, such as
    gymnasium:Pendulum-v1 or my_module:MyEnv. One agent learns several tasks if their names are given with commas
    between them, or the paper's six if it is all."""
    seed: int = 0
    """Of everything random."""


@dataclass(frozen=True, kw_only=True)
class Sweep(Options):
    """Train agents of several seeds, and on several tasks, each in a run folder of its own, or go on with them."""

    task: tuple[str, ...]
    """One or more, an agent for each; see `train` for an agent that learns several."""
    seeds: str = '0:5'
    """A range, where 0:5 is 0 to 4, or numbers with commas between them, as 0,3,7."""
    seeds_per_device: int | None = None
    """Seeds that are computed together on a device; none: 1 on a CPU, all elsewhere. One on each device is bit for bit
    what `train` does, more are equal to rounding only."""
    launcher: Literal['local', 'ray'] = 'local'
    """Here, or each run as a task of a Ray cluster, with an accelerator of its own if there are any."""

    def __post_init__(self):
        super().__post_init__()
        parse_seeds(self.seeds)
        if self.task == ():
            raise ValueError('No task is given: name at least one behind --task.')
        if self.seeds_per_device is not None and self.seeds_per_device < 1:
            raise ValueError(f'seeds_per_device is {self.seeds_per_device}, but must be at least 1: the nearest valid '
                             f'value is 1.')

    @property
    def seed_numbers(self) -> list[int]:
        """The seeds, one by one."""
        return parse_seeds(self.seeds)


@dataclass(frozen=True, kw_only=True)
class OfRun:
    """What the commands on the agent of a run have in common."""

    run: Path
    """Folder of the run: LOGDIR/TASK/METHOD/SEED."""
    trust_task: bool = False
    """Make the environment also if a module of your own must be imported for it, and so run."""


@dataclass(frozen=True, kw_only=True)
class Evaluate(OfRun):
    """Evaluate a trained agent, or one that looks at nothing, from the starts that its run's evaluations use."""

    episodes: int = 10
    """Of the evaluation."""
    agent: Literal['planet', 'zero', 'uniform'] = 'planet'
    """The trained agent, or actions that are all zero or uniform in [-1, 1]."""

    def __post_init__(self):
        if self.episodes < 1:
            raise ValueError(f'episodes is {self.episodes}, but must be at least 1: the nearest valid value is 1.')


@dataclass(frozen=True, kw_only=True)
class Record(OfRun):
    """Record a video of a trained agent, beside what it believes to see."""

    episodes: int = 1
    """One after the other: those that evaluation begins with."""
    out: Path | None = None
    """The file, ending in .mp4; none: TASK-EPISODES.mp4 here. With several tasks a file each, with its name."""
    size: int = 256
    """Height and width of each picture, in pixels."""

    def __post_init__(self):
        for name, least in (('episodes', 1), ('size', 64)):
            if getattr(self, name) < least:
                raise ValueError(f'{name} is {getattr(self, name)}, but must be at least {least}: the nearest valid '
                                 f'value is {least}.')
        if self.size > 2048:
            raise ValueError(f'size is {self.size}, but pictures are rendered at 2048 pixels at most.')


@dataclass(frozen=True, kw_only=True)
class Imagine(OfRun):
    """Draw what a trained agent's planner considers in one state, and what the model imagines of it."""

    step: int = 20
    """Agent steps of the first evaluation episode before that state."""
    task: str | None = None
    """Of the run's tasks; none: the first."""
    out: Path | None = None
    """The file, ending in .png; none: TASK-EPISODES-STEP.png here."""


@dataclass(frozen=True)
class Info:
    """Tell what is installed and which device computes, or what runs are, how far, how fast and on what."""

    run: Annotated[Path | None, tyro.conf.arg(name='dir'), tyro.conf.Positional] = None
    """Folder of a run, LOGDIR/TASK/METHOD/SEED, or one above several runs, of which each gets a line."""


@dataclass(frozen=True)
class Plot:
    """Draw the scores of any number of runs, or print them as a table, beside what others report."""

    directories: Annotated[tuple[Path, ...], tyro.conf.arg(name='dir', metavar='DIR...'), tyro.conf.Positional]
    """Run folders, LOGDIR/TASK/METHOD/SEED, or folders above them; scores.csv alone will do, of any tool."""
    out: tuple[Path, ...] = ()
    """Files to write, by their ending pictures (.png, .pdf, .svg) or tables (.md, .csv); none, and no --table:
    scores.png."""
    table: bool = False
    """Print a table."""
    x: Literal['episodes', 'env_steps'] | None = None
    """Horizontal axis; none: episodes, or environment steps if some files do not tell episodes."""
    bin: int = 1
    """Evaluations within so many episodes or environment steps are taken together."""
    statistic: Literal['median', 'iqm'] = 'median'
    """Of a curve: the median of all returns, with 5 to 95 percentiles, or the interquartile mean (IQM) of the seeds,
    with a bootstrap interval. Over several tasks it is always the IQM."""
    title: str = 'Return'
    """Of the picture."""
    overwrite: bool = False
    """Replace files that are there."""

    def __post_init__(self):
        if not self.directories:
            raise ValueError('No folder is named: name at least one that holds runs.')
        if self.bin < 1:
            raise ValueError(f'bin is {self.bin}, but must be at least 1: the nearest valid value is 1.')
        for path in self.out:
            if path.suffix.lower() not in ('.png', '.pdf', '.svg', '.md', '.csv'):
                raise ValueError(f'The file to write is {path}, but must end in .png, .pdf or .svg for a picture, or '
                                 f'in .md or .csv for a table.')


@dataclass(frozen=True)
class Doctor:
    """Check whether this machine can train an agent, and tell what to do if not; status 1 if a check fails."""

    task: str = 'cartpole_swingup'
    """That is to be trained, or several with commas between them."""
    preset: PresetName | None = None
    """Of its settings; none: planet on an accelerator, cpu without one."""
    logdir: Path = Path('logs')
    """Where its run folders will be; it need not exist."""
    quick: bool = False
    """Leave out the timing of updates and plans, for which they must be compiled."""


@dataclass(frozen=True)
class Verify:
    """Try an accelerator: the tests marked for it, speeds, a short training, and a page that tells of them all."""

    out: Path = Path('logs/verify')
    """Folder of what is found; the same command goes on with it."""
    preset: PresetName | None = None
    """Whose sizes are measured; none: planet on an accelerator, cpu without one."""
    task: str = 'cheetah_run'
    """That is trained."""
    minutes: float = 7.0
    """Of the training, at most 8."""
    steps: tuple[Literal['tests', 'update', 'plan', 'collect', 'variants', 'train'], ...] = (
        'tests', 'update', 'plan', 'collect', 'variants', 'train')
    """What to do, in this order; each takes less than nine minutes."""
    again: bool = False
    """Do steps once more that are done."""

    def __post_init__(self):
        if not 0 < self.minutes <= 8:
            raise ValueError(f'minutes is {self.minutes}, but must be above 0 and at most 8, so that no step takes '
                             f'nine.')


def _starting_point(arguments: Sequence[str]) -> tuple[str, str, Config]:
    """The preset to start from, why, and the settings, found before the command line is parsed in full.

    Where the folder of the run is there, the settings are those of its config.json: the preset may have changed since.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument('--task', nargs='+')
    parser.add_argument('--logdir', type=values.folder, default='logs')
    parser.add_argument('--seed', type=lambda text: [values.number(text, int)], default=[0], dest='seeds')
    parser.add_argument('--seeds', type=parse_seeds)
    parser.add_argument('--model.cell', dest='cell')
    for name in ('preset', 'method'):
        parser.add_argument(f'--{name}')
    unused = 'cpu', 'unused', preset('cpu')
    try:
        given = parser.parse_known_args(arguments)[0]
    except argparse.ArgumentError:
        return unused  # The full parser will say what is wrong.
    if {'-h', '--help'} & set(arguments):
        name = given.preset if given.preset in PRESETS else 'cpu'
        return name, 'unused', preset(name)
    if not given.task or given.preset not in (None, *PRESETS):
        return unused
    name, why = (given.preset, 'as asked') if given.preset else _found_preset(given)
    method = given.method or f'{given.cell or preset(name).model.cell}-{name}'
    from planet_jax import envs
    from planet_jax.storage.run_folder import read_config
    there = [path for task in given.task for seed in given.seeds
             if (path := given.logdir / envs.file_name(task) / method / str(seed) / 'config.json').exists()]
    begun = {record['config'] for record in (read_config(path.parent, trust_task=True) for path in there)
             if record['preset'] == name}
    if len(begun) != 1:
        return name, why, preset(name)
    settings = begun.pop()
    if settings != preset(name).resolve():
        why += f'; with the settings of {there[0]}, which are not those that the preset has now'
    return name, why, settings


def _found_preset(given: argparse.Namespace) -> tuple[str, str]:
    """That of the runs that are there, if they are of one method, else the device's."""
    from planet_jax import envs  # gymnasium is not needed to show a help.
    runs = given.logdir / envs.file_name(given.task[0])
    seeds = {str(seed) for seed in given.seeds}
    found = [path for path in runs.glob('*/*/config.json')
             if path.parts[-2] in seeds and given.method in (None, path.parts[-3])]
    if len({path.parts[-3] for path in found}) == 1:
        from planet_jax.storage.run_folder import read_config
        return read_config(found[0].parent, trust_task=True)['preset'], f'that of {found[0].parent}'
    from planet_jax.runs.run import available_devices
    if available_devices()[0].platform == 'cpu':
        return 'cpu', 'there is no accelerator'
    return 'planet', 'there is an accelerator'


def _parse(kind: type[T], arguments: Sequence[str], default: T | None = None) -> T:
    """A command line as a record; switches are given without a value, settings of a group with True or False."""
    return tyro.cli(kind, args=arguments, prog=f'planet-jax {kind.__name__.lower()}', config=(
        tyro.conf.FlagCreatePairsOff,), registry=values.REGISTRY, **({} if default is None else {'default': default}))


def _parse_options(kind: type[Options], arguments: Sequence[str], console: Console) -> Options:
    """A command line of `train` or `sweep`, its preset found and said."""
    name, why, settings = _starting_point(arguments)
    command = _parse(kind, arguments, kind(task=tyro.MISSING, preset=name, config=settings))
    from planet_jax import envs
    for names in [command.task] if isinstance(command.task, str) else command.task:
        for task in envs.resolve_several(names)[1]:
            if task.is_own:  # Whether there is one is only known when it is made.
                envs.spec(task.name, command.config.env)
    console.print(f'Preset {name}: {why}.', highlight=False, soft_wrap=True, markup=False)
    return command


def _debug(command: Options) -> None:
    if command.debug_nans:
        import jax
        jax.config.update('jax_debug_nans', True)


def _train(arguments: Sequence[str], console: Console) -> int:
    command = _parse_options(Train, arguments, console)
    from planet_jax.cli.reporter import Terminal
    from planet_jax.runs.training import Training
    _debug(command)
    reporter = Terminal(console)
    with reporter.starting():
        training = Training([command.member(command.task, command.seed)], command, reporter)
    return training.main()


def _sweep(arguments: Sequence[str], console: Console) -> int:
    command = _parse_options(Sweep, arguments, console)
    from planet_jax.cli.sweep import sweep, sweep_on_ray
    _debug(command)
    if command.launcher == 'ray':
        return sweep_on_ray(command, command.task, command.seed_numbers, arguments, console)
    return sweep(command, command.task, command.seed_numbers, command.seeds_per_device, console)


def _evaluate(arguments: Sequence[str], console: Console) -> int:
    command = _parse(Evaluate, arguments)
    from planet_jax.cli.evaluate import evaluate_run
    evaluate_run(command.run, command.episodes, command.agent, console, command.trust_task)
    return 0


def _record(arguments: Sequence[str], console: Console) -> int:
    command = _parse(Record, arguments)
    from planet_jax.cli.record import record_run
    record_run(command.run, command.episodes, command.out, command.size, console, command.trust_task)
    return 0


def _imagine(arguments: Sequence[str], console: Console) -> int:
    command = _parse(Imagine, arguments)
    from planet_jax.pictures.plan import imagine_run
    imagine_run(command.run, command.step, command.task, command.out, console, command.trust_task)
    return 0


def _info(arguments: Sequence[str], console: Console) -> int:
    command = _parse(Info, arguments)
    from planet_jax.cli.info import describe, describe_installation
    describe(command.run, console) if command.run else describe_installation(console)
    return 0


def _plot(arguments: Sequence[str], console: Console) -> int:
    command = _parse(Plot, arguments)
    from planet_jax.cli.plot import plot
    out = command.out or (() if command.table else (Path('scores.png'),))
    plot(command.directories, out=out, table=command.table, axis=command.x, width=command.bin,
         statistic=command.statistic, title=command.title, overwrite=command.overwrite, console=console)
    return 0


def _doctor(arguments: Sequence[str], console: Console) -> int:
    command = _parse(Doctor, arguments)
    from planet_jax.cli.doctor import examine
    return 0 if examine(command.task, command.preset, command.logdir, command.quick, console) else 1


def _verify(arguments: Sequence[str], console: Console) -> int:
    _parse(Verify, arguments)
    checkout = Path(__file__).resolve().parents[2]
    if not all((checkout / part).is_file() for part in ('experiments/bench/verify.py', 'tests/test_device.py')):
        raise ValueError('verify runs the tests and benchmarks of a checkout, which an installed package lacks: clone '
                         'the repository, and run it there.')
    return subprocess.call([sys.executable, '-m', 'experiments.bench.verify', *arguments], env={
        **os.environ, 'PYTHONPATH': os.pathsep.join([str(checkout), *filter(None, [os.environ.get('PYTHONPATH')])])})


COMMANDS = {'train': (Train, _train), 'sweep': (Sweep, _sweep), 'evaluate': (Evaluate, _evaluate),
            'record': (Record, _record), 'imagine': (Imagine, _imagine), 'plot': (Plot, _plot),
            'info': (Info, _info), 'doctor': (Doctor, _doctor), 'verify': (Verify, _verify)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: of the command line; none: this process's.

    Returns:
        the exit status: 0 if all is well, 1 if a check of `doctor` has failed, 2 if something the user can mend is
        wrong, 130 or 143 after a signal.
    """
    prepare_process()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    name = arguments[0] if arguments else '--help'
    if name in ('-h', '--help'):
        help.show_commands({command: record for command, (record, _) in COMMANDS.items()}, make_console())
        return 0
    errors = make_console(stderr=True)
    if name not in COMMANDS:
        errors.print(f'There is no command {name!r}: choose one of {", ".join(COMMANDS)}.', highlight=False,
                     markup=False)
        return 2
    record, run = COMMANDS[name]
    try:
        if asked := {'-h', '--help'} & set(arguments):
            topic = arguments[arguments.index(asked.pop()) + 1:][:1]
            name_of_preset, _, settings = _starting_point(arguments)
            help.show(name, record, {'preset': name_of_preset, 'config': settings} if issubclass(record, Options)
                      else {}, topic[0] if topic and not topic[0].startswith('-') else None, make_console())
            return 0
        return run(arguments[1:], make_console())
    except KeyboardInterrupt:
        return 130
    except (ValueError, RuntimeError, OSError, FloatingPointError) as error:
        if os.environ.get('PLANET_JAX_TRACEBACK'):
            raise
        if isinstance(error, FloatingPointError):  # By --debug-nans.
            own = [frame for frame in traceback.extract_tb(error.__traceback__) if 'planet_jax' in frame.filename]
            error = f'{error}, in {own[-1].name} ({own[-1].filename}:{own[-1].lineno}): {own[-1].line}'
        errors.print(f'planet-jax {name}: {error}', highlight=False, markup=False, soft_wrap=True)
        return 2
