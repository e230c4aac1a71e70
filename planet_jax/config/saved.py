"""The configuration as JSON keeps it, and what a file of an earlier version means."""

import dataclasses
from typing import Any

from planet_jax.config.groups import Config
from planet_jax.config.planner import EvaluationPlanner

THEN: dict[str, Any] = {
    'env.steps': None,
    'model.encoder_kernels': [],
    'model.encoder_strides': [],
    'model.decoder_strides': [],
    'model.decoder_start': 1,
    'model.decoder_layers': 0,
    'model.decoder_hidden': 256,
    'objective.image_scale': 1.0,
    'objective.kl_balance': None,
    'objective.overshooting_distance': 1,
    'objective.overshooting_weights': 'released',
    'objective.overshooting_betas': [],
    'objective.overshooting_reward': False,
    'objective.global_prior_scale': 0.0,
    'planner.method': 'cem',
    'planner.rollout': 'sample',
    'planner.colour': None,
    'planner.decay': 1.0,
    'planner.keep': 3,
    'planner.momentum': 0.1,
    'planner.execute': 'best',
    'planner.temperature': 0.5,
    **{f'evaluation_planner.{entry.name}': None for entry in dataclasses.fields(EvaluationPlanner)},
    'learner.most_skipped': 10,
    'learner.image_shift': 0,
    'learner.average': 0.0,
    'replay.placement': 'auto',
    'collector.interval_counts': 'each_task',
    'collector.agent': 'planet',
    'collector.random': 'uniform',
    'evaluation.open_loop': True,
    'evaluation.first': None,
    'evaluation.growth': 1.5,
    'evaluation.full': 0,
    'replay.keep_files': None,
}
"""What runs did before a field was there, for files that lack it. A new field gets a row, which never changes after:
the default may, and the presets do."""


RENAMED = {
    'objective.divergence_scale': 'objective.kl_scale',
    'planner.spread': 'planner.std_estimator',
    'evaluation_planner.spread': 'evaluation_planner.std_estimator',
}
"""Settings that had another name, which files and command lines may still have."""


def to_dict(config: Config) -> dict[str, dict[str, Any]]:
    """Nested plain values, as JSON keeps them."""
    groups = dataclasses.asdict(config)
    return {group: {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
            for group, values in groups.items()}


def renamed(setting: str) -> str:
    """Today's name of a setting.

    Args:
        setting: group.field, as today or as an earlier version named it.
    """
    return RENAMED.get(setting, setting)


def from_dict(values: dict[str, dict[str, Any]]) -> Config:
    """The configuration that `to_dict` took apart, also in an earlier version.

    A field that is absent has the value of `THEN`, or its default where it was there from the beginning.

    Raises:
        ValueError: a group or a field is unknown, or a value is out of its range.
    """
    groups = {}
    for group in dataclasses.fields(Config):
        then = {name.partition('.')[2]: value for name, value in THEN.items() if name.startswith(f'{group.name}.')}
        given = then | {renamed(f'{group.name}.{name}').partition('.')[2]: value
                        for name, value in values.get(group.name, {}).items()}
        settings: Any = group.default_factory
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
