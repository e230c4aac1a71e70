"""The configuration as JSON, and how files of earlier versions are read."""

import dataclasses
from typing import Any

from planet_jax.config.checks import before
from planet_jax.config.groups import Config

RENAMED = {
    'objective.divergence_scale': 'objective.kl_scale',
    'planner.spread': 'planner.std_estimator',
    'evaluation_planner.spread': 'evaluation_planner.std_estimator',
}
"""Old names of settings, which files and command lines may still use."""


def to_dict(config: Config) -> dict[str, dict[str, Any]]:
    """The settings as nested plain values for JSON."""
    groups = dataclasses.asdict(config)
    return {group: {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
            for group, values in groups.items()}


def differences(here: Config, there: Config) -> dict[str, tuple[Any, Any]]:
    """The settings that differ, as group.field, with the values of both as plain values for JSON."""
    one, other = to_dict(here), to_dict(there)
    return {f'{group}.{name}': (value, other[group][name]) for group, values in one.items()
            for name, value in values.items() if value != other[group][name]}


def renamed(setting: str) -> str:
    """Today's name of a setting.

    Args:
        setting: group.field, with today's name or an old one.
    """
    return RENAMED.get(setting, setting)


def from_dict(values: dict[str, dict[str, Any]]) -> Config:
    """The configuration from the values of `to_dict`, also of an earlier version.

    An absent field has the value that `setting` names as `then`, or its default if it has existed from the beginning.

    Raises:
        ValueError: a group or a field is unknown, or a value is out of bounds.
    """
    groups = {}
    for group in dataclasses.fields(Config):
        settings: Any = group.default_factory
        given = before(settings) | {renamed(f'{group.name}.{name}').partition('.')[2]: value
                        for name, value in values.get(group.name, {}).items()}
        known = {f.name for f in dataclasses.fields(settings)}
        if set(given) - known:
            raise ValueError(f'The configuration names {group.name}.{min(set(given) - known)}, which this version does '
                             f'not know.')
        groups[group.name] = settings(
            **{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})
    if set(values) - set(groups):
        raise ValueError(f'The configuration has a group {min(set(values) - set(groups))!r}, which this version does '
                         f'not know.')
    return Config(**groups)
