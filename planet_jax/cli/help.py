"""Help that fits a screen: a command's own options, and one or two lines for each group of settings."""

import ast
import dataclasses
import functools
import inspect
import itertools
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import tyro
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

ALL = 'all'
"""Topic that shows every option with its whole text; no group may have this name."""
NARROW = 26
"""Width of the column of options and values, unless one word is longer."""


@dataclasses.dataclass(frozen=True)
class Option:
    """An option of a command, or a setting of a group.

    Attributes:
        name: as typed, '--planner.horizon', or 'DIR...' for a positional argument.
        values: the values it takes, such as INT or std|mean_absolute; empty for a switch.
        default: as typed; empty if the default is None or an empty text, which `text` then explains.
        required: whether it has no default.
        text: its description.
    """

    name: str
    values: str
    default: str
    required: bool
    text: str

    @property
    def symbol(self) -> str | None:
        """The paper's letter, if the description begins with one."""
        found = re.match(r'([A-Z]), ', self.text)
        return found[1] if found else None


@dataclasses.dataclass(frozen=True)
class Group:
    """The options of a command, or the settings of a group.

    Attributes:
        name: the group's name as typed; None for a command's own options.
        text: its description.
        options: in the order of the record.
    """

    name: str | None
    text: str
    options: tuple[Option, ...]


def read(record: type, defaults: Mapping[str, Any]) -> list[Group]:
    """The options of a command, then each of its groups of settings.

    Args:
        record: a dataclass with a description after each field, as tyro reads it. A field that is itself a dataclass is
            a group, or holds groups only.
        defaults: values of fields that replace the record's own defaults.
    """
    return list(_groups(record, defaults, None))


def _groups(record: type, defaults: Mapping[str, Any], name: str | None) -> Iterator[Group]:
    options: list[Option] = []
    below: list[Group] = []
    hints, texts = get_type_hints(record, include_extras=True), _texts(record)
    for entry in dataclasses.fields(record):
        value = defaults.get(entry.name, entry.default if entry.default_factory is dataclasses.MISSING
                             else entry.default_factory())
        if dataclasses.is_dataclass(value):
            below.extend(_groups(type(value), vars(value), entry.name.replace('_', '-')))
        else:
            options.append(_option(entry.name, hints[entry.name], value, texts[entry.name], name))
    if options:
        yield Group(name, _meaning(record), tuple(options))
    yield from below


@functools.cache
def _texts(record: type) -> dict[str, str]:
    """The description of each field, read from the source of the record and of its bases."""
    found = {}
    for base in reversed(record.__mro__):
        body = _classes(base.__module__)[base.__name__].body if dataclasses.is_dataclass(base) else []
        for entry, below in itertools.pairwise(body):
            if isinstance(entry, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(
                    below.value, ast.Constant):
                found[ast.unparse(entry.target)] = ' '.join(str(below.value.value).split())
    return found


@functools.cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    """The classes of a module. The source is read once, since `inspect` would search it for each class."""
    source = Path(str(sys.modules[module].__file__)).read_text(encoding='utf-8')
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}


def _meaning(record: type) -> str:
    """The first paragraph of a record's docstring."""
    return ' '.join(inspect.getdoc(record).split('\n\n')[0].split())


def _option(name: str, hint: Any, default: Any, text: str, group: str | None) -> Option:
    kind, *marks = get_args(hint) if hasattr(hint, '__metadata__') else (hint,)
    named = [mark for mark in marks if hasattr(mark, 'metavar')]
    name = next((mark.name for mark in named if mark.name), name).replace('_', '-')
    values = next((mark.metavar for mark in named if mark.metavar), _values(kind, group is not None))
    if tyro.conf.Positional in marks:
        name, values = (values if named and named[0].metavar else name.upper()), ''
    else:
        name = f'--{group}.{name}' if group else f'--{name}'
    required = default is dataclasses.MISSING
    told = '' if required or default is None or (kind is bool and not group) else ' '.join(
        map(str, default)) if isinstance(default, tuple) else str(default)
    return Option(name, values, told, required, text)


def _values(kind: Any, of_setting: bool) -> str:
    """The values that an option of a type takes."""
    members = [member for member in get_args(kind) if member is not NoneType]
    if get_origin(kind) is Literal:
        return '|'.join(map(str, members))
    if get_origin(kind) is tuple:
        return f'{_values(members[0], of_setting)}...'
    if members:  # Of a union with none.
        return _values(members[0], of_setting)
    # A switch takes no value; settings take True or False.
    return {bool: 'True|False' if of_setting else '', str: 'TEXT', Path: 'PATH'}.get(kind, kind.__name__.upper())


def show(command: str, record: type, defaults: Mapping[str, Any], topic: str | None, console: Console) -> None:
    """Prints the help of a command.

    Args:
        command: its name.
        record: see `read`.
        defaults: see `read`.
        topic: a group's name for its settings, 'all' for everything, None for what fits a screen.
        console: where it is printed.

    Raises:
        ValueError: there is no such group; the message lists them.
    """
    own, *groups = read(record, defaults)
    names = [group.name for group in groups]
    if topic not in (None, ALL, *names):
        among = f'choose one of {", ".join([*names, ALL])}' if names else 'it has none, so --help shows all'
        raise ValueError(f'There is no group {topic!r} of settings: {among}.')

    def say(text, **style):
        console.print(Text(text, **style))

    if topic not in (None, ALL):
        group = groups[names.index(topic)]
        say(f'planet-jax {command} [OPTIONS], settings --{group.name}.*\n', style='bold')
        say(f'{group.text}\n')
        _print_options(group.options, console)
    else:
        places = [f'[{option.name}]' for option in own.options if option.name[0] != '-' and not option.required]
        needed = [f'{option.name} {option.values}'.strip() for option in own.options if option.required]
        say(' '.join(['usage: planet-jax', command, *places, *needed, '[OPTIONS]\n']), style='bold')
        say(f'{own.text}\n')
        _print_options(own.options, console, whole=topic == ALL or not groups)
        for group in groups if topic == ALL else ():
            say(f'\n{group.text}', style='bold')
            _print_options(group.options, console)
    if groups and topic is None:
        say('\nSettings:')
        _print_rows([(f'--{group.name}.*', _summary(group)) for group in groups], console)
        say(f'\n--help GROUP, such as --help {names[0]}, shows the settings of a group, --help {ALL} everything.')
    if groups:
        of = f' of preset {defaults["preset"]} (--preset NAME for another)' if 'preset' in defaults else ''
        say(f"[]: the default{of}; capital letters are the paper's symbols.")


def show_commands(records: Mapping[str, type], console: Console) -> None:
    """Prints the purpose of each command.

    Args:
        records: by the command's name, the dataclass of its options.
        console: where it is printed.
    """
    console.print('usage: planet-jax COMMAND [OPTIONS]\n', style='bold', highlight=False, markup=False)
    _print_rows([(name, _meaning(record)) for name, record in records.items()],
                console)
    console.print('\nplanet-jax COMMAND --help shows the options of a command.', highlight=False)


def _summary(group: Group) -> str:
    """The description of a group, and the defaults of the settings that have a letter in the paper."""
    letters = [f'{option.symbol} {option.default}' for option in group.options if option.symbol and option.default]
    return _beginning(group.text) + (f' [{", ".join(letters)}]' if letters else '')


def _beginning(text: str) -> str:
    """The text before the first semicolon or full stop, without what is in parentheses."""
    return re.sub(r' \([^)]*\)', '', re.match(r'.+?(?=[.;]\s|$)', text)[0]).removesuffix('.')


def _print_options(options: tuple[Option, ...], console: Console, whole: bool = True) -> None:
    """Prints options, required ones first, with the whole description or its beginning."""
    rows = []
    for option in sorted(options, key=lambda option: not option.required):
        default = ' [required]' if option.required else f' [{option.default}]' if option.default else ''
        text = option.text if whole else _beginning(option.text)
        rows.append((f'{option.name} {option.values}'.strip(), text + default))
    _print_rows(rows, console)


def _print_rows(rows: list[tuple[str, str]], console: Console) -> None:
    """Prints names and texts. Values go below their name where the column would be too wide."""
    words = [word for name, _ in rows for word in name.split()]
    width = max(min(max(len(name) for name, _ in rows), NARROW), max(map(len, words)))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(max_width=width)
    table.add_column()
    for name, text in rows:
        table.add_row(Text(name, style='cyan'), Text(text))
    console.print(Padding(table, (0, 0, 0, 2)))
