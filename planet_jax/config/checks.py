"""Settings with their bounds, and the one function that checks them."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

ALWAYS = object()
"""Marks a field that every configuration has had."""
BOUNDS = 'least', 'most', 'above', 'below'
LARGEST_BOUND = 1e8
"""Of an action. Simulators write 1e10, or the largest float, where there is none."""


def setting(default: Any, *, then: Any = ALWAYS, least: float | None = None, most: float | None = None,
            above: float | None = None, below: float | None = None) -> Any:
    """A field of a group of settings, with all that must be known of it.

    `check` holds the bounds, also of each entry of a tuple. None needs no bounds.

    Args:
        default: of the field.
        then: what runs did before the field existed. A `config.json` without the field means this value. It never
            changes, although defaults and presets do. Every new field has one.
        least: the smallest valid value.
        most: the largest valid value.
        above: valid values are larger.
        below: valid values are smaller.
    """
    bounds = {'least': least, 'most': most, 'above': above, 'below': below}
    known = {name: at for name, at in bounds.items() if at is not None} | ({} if then is ALWAYS else {'then': then})
    return dataclasses.field(default=default, metadata=known)


def before(settings: type) -> dict[str, Any]:
    """What runs did before these fields existed, by the name of each field that was not there from the beginning.

    Args:
        settings: the class of a group.
    """
    return {entry.name: entry.metadata['then'] for entry in dataclasses.fields(settings) if 'then' in entry.metadata}


def check(group: str, settings: Any) -> None:
    """Refuses values that are out of bounds or not among the choices. None is valid if the field's type allows it.

    Args:
        group: name of the group, for the message.
        settings: the group, a dataclass.

    Raises:
        ValueError: the message has the name, the value, and the nearest valid value or the choices.
    """
    for entry in dataclasses.fields(settings):
        name, value = f'{group}.{entry.name}', getattr(settings, entry.name)
        if value is None and type(None) in get_args(entry.type):
            continue
        # The type itself, or the members of a union such as `Literal[...] | None`.
        literals = [kind for kind in (entry.type, *get_args(entry.type)) if get_origin(kind) is Literal]
        words = [word for kind in literals for word in get_args(kind)]
        if words and value not in words:
            raise ValueError(f'{name} is {value!r}, but must be one of {", ".join(map(repr, words))}.')
        if isinstance(value, tuple):
            for member in value:
                _bound(member, entry.metadata, f'{name} is {value}, but every entry')
        else:
            _bound(value, entry.metadata, f'{name} is {value}, but')


def _bound(value: Any, bounds: Mapping[str, float], begun: str) -> None:
    if not set(BOUNDS) & set(bounds):
        return
    least, most, above, below = map(bounds.get, BOUNDS)
    parts = [f'at least {least}' if least is not None else '',
             'a positive number' if above == 0 else f'above {above}' if above is not None else '',
             f'at most {most}' if most is not None else '', f'below {below}' if below is not None else '']
    valid = math.isfinite(value) and not (
        (least is not None and value < least) or (most is not None and value > most)
        or (above is not None and value <= above) or (below is not None and value >= below))
    if not valid:
        nearest = most if most is not None and value > most else least
        told = '' if nearest is None or (below is not None and value >= below) else (
            f': the nearest valid value is {nearest}')
        raise ValueError(f'{begun} must be {" and ".join(filter(None, parts))}{told}.')
