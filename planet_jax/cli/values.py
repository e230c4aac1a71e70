"""Values on the command line: 1e3 and 10k are numbers, ~ is the home folder."""

import re
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

T = TypeVar('T', int, float)

SUFFIXES = {'k': 10**3, 'K': 10**3, 'M': 10**6}
NUMBER = re.compile(r'[+-]?(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?')
NONE = ('None', 'none')


def number(text: str, kind: type[T]) -> T:
    """Reads a number such as 1000, 1_000, 1e3 or 1k; also inf and nan, which the settings may refuse.

    Args:
        text: as typed.
        kind: int or float.

    Raises:
        ValueError: the text is not a number, or not a whole number where one is needed. The message names the nearest
            valid value.
    """
    if kind is float and re.fullmatch(r'[+-]?(inf|infinity|nan)', text.strip(), re.IGNORECASE):
        return kind(float(text))
    found = re.fullmatch(rf'({NUMBER.pattern})([{"".join(SUFFIXES)}]?)', text.strip())
    if not found:
        what = 'a whole number' if kind is int else 'a number'
        raise ValueError(f'{text!r} is not {what}: {_nearest(text, kind)}.')
    value = Decimal(found[1].replace('_', '')) * SUFFIXES.get(found[2], 1)
    if kind is int and value != value.to_integral_value():
        raise ValueError(f'{text!r} is not a whole number: the nearest valid value is {round(value)}.')
    return kind(value)


def _nearest(text: str, kind: type[int | float]) -> str:
    """Advice: the number that the text begins with, or how to write numbers."""
    grouped = re.fullmatch(r'[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?', text.strip())
    begun = NUMBER.match(text.strip().replace(',', '' if grouped else '.'))
    if begun is None:
        return 'write it as in 1000, 1e3 or 1k' if kind is int else 'write it as in 0.5, 1e-3 or 1k'
    value = Decimal(begun[0].replace('_', ''))
    return f'the nearest valid value is {round(value) if kind is int else float(value)}'


def folder(text: str) -> Path:
    """A path, in which ~ is the home folder.

    Raises:
        ValueError: there is no such home folder.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f'{text} cannot be found: there is no such home folder. Write the full path.') from error


def new_file(path: Path, *endings: str) -> Path:
    """Checks that a new file may have this path, and returns it.

    Raises:
        ValueError: the name has another ending.
        FileExistsError: the file exists already.
    """
    if path.suffix not in endings:
        raise ValueError(f'The file is {path}, but its name must end in {" or ".join(endings)}.')
    if path.exists():
        raise FileExistsError(f'{path} exists already: remove it, or name another file by --out.')
    return path


REGISTRY = ConstructorRegistry()
"""How `tyro.cli` reads numbers and paths."""


@REGISTRY.primitive_rule
def _rule(asked: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    """Reads numbers and paths: one, several, or one or None. Other types are left to tyro."""
    kind: Any = asked.type
    optional, many = False, False
    if get_origin(kind) in (Union, UnionType):
        members = [member for member in get_args(kind) if member is not NoneType]
        kind, optional = members[0] if len(members) == 1 else None, len(members) < len(get_args(kind))
    elif get_origin(kind) is tuple and get_args(kind)[1:] == (...,):
        kind, many = get_args(kind)[0], True
    if kind not in (int, float, Path):
        return None

    def read(words: list[str]) -> Any:
        if optional and words[0] in NONE:
            return None
        found = [folder(word) if kind is Path else number(word, kind) for word in words]
        return tuple(found) if many else found[0]

    def fits(value: Any) -> bool:
        kinds = (int, float) if kind is float else kind
        if many:
            return isinstance(value, tuple) and all(isinstance(member, kinds) for member in value)
        return isinstance(value, kinds) or (optional and value is None)

    word = 'PATH' if kind is Path else kind.__name__.upper()
    return PrimitiveConstructorSpec(
        nargs='*' if many else 1, metavar=f'[{word} [{word} ...]]' if many else word, instance_from_str=read,
        is_instance=fits, str_from_instance=lambda value: [str(member) for member in (value if many else [value])])
