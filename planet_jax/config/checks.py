"""The checks that the groups of settings share."""

import dataclasses
import math
from typing import Any, Literal, get_args, get_origin


def at_least(group: str, values: dict[str, float], smallest: float) -> None:
    """Refuses a value of a group that is not a finite number of at least `smallest`."""
    for name, value in values.items():
        if not (math.isfinite(value) and value >= smallest):
            raise ValueError(f'{group}.{name} is {value}, but must be at least {smallest}: the nearest valid value is '
                             f'{smallest}.')


def above_zero(group: str, values: dict[str, float]) -> None:
    """Refuses a value of a group that is not a finite, positive number."""
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f'{group}.{name} is {value}, but must be a positive number.')


def choices(group: str, settings: Any) -> None:
    """Refuses a value of a `Literal` field that is none of its words."""
    for entry in dataclasses.fields(settings):
        value = getattr(settings, entry.name)
        # The type itself, or the members of a union such as `Literal[...] | None`.
        literals = [kind for kind in (entry.type, *get_args(entry.type)) if get_origin(kind) is Literal]
        words = [word for kind in literals for word in get_args(kind)]
        if literals and value not in words and not (value is None and type(None) in get_args(entry.type)):
            raise ValueError(f'{group}.{entry.name} is {value!r}, but must be one of '
                             f'{", ".join(map(repr, words))}.')
