"""Reads a command line into the record of a command's options."""

import argparse
import dataclasses
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro
from rich.console import Console

from planet_jax.cli import values
from planet_jax.cli.options import HasSettings
from planet_jax.config import PRESETS, Config, preset, saved
from planet_jax.config.groups import TASK_OWN
from planet_jax.runs.options import parse_seeds

T = TypeVar('T')


def parse(kind: type[T], arguments: Sequence[str], console: Console) -> T:
    """Reads a command line.

    Args:
        kind: the dataclass of the command's options.
        arguments: the words after the command's name.
        console: where the preset of a training is printed.

    Raises:
        ValueError: values contradict each other, or a task cannot be made.
        SystemExit: a value cannot be read; tyro has printed the reason.
    """
    if not issubclass(kind, HasSettings):
        return read(kind, arguments)
    name, why, settings = starting_point(arguments)
    training: Any = kind
    command = read(training, arguments, training(**required(kind), preset=name, config=settings))
    from planet_jax import envs
    for names in [command.task] if isinstance(command.task, str) else command.task or ():
        for task in envs.resolve_several(names)[1]:
            if task.is_own:  # Only making it shows whether it exists.
                envs.spec(task.name, command.config.env)
    console.print(f'Preset {name}: {why}.', highlight=False, soft_wrap=True, markup=False)
    return command


def renamed(argument: str) -> str:
    """An argument, with today's name of a setting that has been renamed.

    Args:
        argument: such as `--planner.spread` or `--planner.spread=std`.
    """
    flag, sign, value = argument.partition('=')
    setting = flag.removeprefix('--').replace('-', '_')
    if not flag.startswith('--') or (name := saved.renamed(setting)) == setting:
        return argument
    return f'--{name.replace("_", "-")}{sign}{value}'


def required(kind: type) -> dict[str, Any]:
    """Marks the options without a default as missing, for a command that starts from a preset."""
    return {field.name: tyro.MISSING for field in dataclasses.fields(kind) if field.name not in ('preset', 'config')
            and field.default is field.default_factory is dataclasses.MISSING}


def read(kind: type[T], arguments: Sequence[str], default: T | None = None) -> T:
    """Reads a command line with tyro. Switches take no value; settings of a group take True or False."""
    options: dict[str, Any] = {} if default is None else {'default': default}
    return tyro.cli(kind, args=arguments, prog=f'planet-jax {kind.__name__.lower()}', config=(
        tyro.conf.FlagCreatePairsOff,), registry=values.REGISTRY, **options)


def defaults(kind: type, arguments: Sequence[str]) -> dict[str, Any]:
    """The defaults that a command's help shows instead of its record's own."""
    if not issubclass(kind, HasSettings):
        return {}
    name, _, settings = starting_point(arguments)
    return {'preset': name, 'config': settings}


def starting_point(arguments: Sequence[str]) -> tuple[str, str, Config]:
    """The preset to start from, the reason for it, and its settings, found before the command line is fully parsed.

    If the run folder exists, the settings come from its config.json, since the preset may have changed since.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser._negative_number_matcher = re.compile(rf'-{values.NUMBER.pattern}')  # Else -1e3 would be an option.
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
        settings = preset(name)
        if given.task:
            settings = dataclasses.replace(settings, learner=settings.learner.resolve(given.task[0]),
                                           collector=settings.collector.resolve(given.task[0]))
        return name, 'unused', settings
    if given.preset not in (None, *PRESETS):
        return unused
    if not given.task:  # A fit needs no task; the full parser reports one that is missing.
        name = given.preset or 'cpu'
        return name, 'as asked' if given.preset else 'the default', preset(name)
    name, why = (given.preset, 'as asked') if given.preset else _found_preset(given)
    method = given.method or f'{given.cell or preset(name).model.cell}-{name}'
    from planet_jax import envs
    from planet_jax.storage.run_files import read_config
    there = [path for task in given.task for seed in given.seeds
             if (path := given.logdir / envs.file_name(task) / method / str(seed) / 'config.json').exists()]
    begun = {_left_to_task(record) for record in (read_config(path.parent, trust_task=True) for path in there)
             if record['preset'] == name}
    if len(begun) != 1:
        return name, why, preset(name)
    settings = begun.pop()
    if settings.resolve(given.task[0]) != preset(name).resolve(given.task[0]):
        why += f'; it goes on with the settings of {there[0]}; some differ from those of the preset'
    return name, why, settings


def _left_to_task(record: dict[str, Any]) -> Config:
    """The settings of a run, without those that are the task's own: other tasks have others."""
    settings, begun = record['config'], preset(record['preset'])
    own = begun.resolve(record['task'])
    for name in TASK_OWN:
        group, _, field = name.partition('.')
        here = getattr(settings, group)
        if getattr(here, field) == getattr(getattr(own, group), field):
            left = dataclasses.replace(here, **{field: getattr(getattr(begun, group), field)})
            settings = dataclasses.replace(settings, **{group: left})
    return settings


def _found_preset(given: argparse.Namespace) -> tuple[str, str]:
    """The preset of the existing runs if they have one method, else the preset for this device."""
    from planet_jax import envs  # gymnasium is not needed to show a help.
    runs = given.logdir / envs.file_name(given.task[0])
    seeds = {str(seed) for seed in given.seeds}
    found = [path for path in runs.glob('*/*/config.json')
             if path.parts[-2] in seeds and given.method in (None, path.parts[-3])]
    if len({path.parts[-3] for path in found}) == 1:
        from planet_jax.storage.run_files import read_config
        return read_config(found[0].parent, trust_task=True)['preset'], f'that of {found[0].parent}'
    from planet_jax.runs.devices import available_devices
    if available_devices()[0].platform == 'cpu':
        return 'cpu', 'there is no accelerator'
    return 'planet', 'there is an accelerator'


