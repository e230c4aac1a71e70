"""The arms of `experiments.study`: names for settings."""

import json
from collections.abc import Sequence

from planet_jax import config as settings_of
from planet_jax.config import Config, saved

BASE = ('objective.image_scale=none', 'objective.kl_balance=0.8', 'objective.free_nats=none', 'learner.chunk_length=32',
        'learner.batch=16', 'learner.learning_rate=0.001', 'model.encoder_channels=[16,32,64]',
        'model.encoder_kernels=[]', 'model.encoder_strides=[]', 'model.decoder_channels=[32,16]',
        'model.decoder_kernels=[5,6,6]', 'model.decoder_strides=[]', 'model.decoder_units=256',
        'model.decoder_start=1', 'model.decoder_layers=0')
"""Settings of every arm, before its own, whatever the preset is today."""
WHOLE = 'learner.chunk_length=128', 'learner.batch=4'
"""Whole episodes of cartpole, with as many rows per update as in `BASE`."""
PATCHES = 'model.encoder_channels=[32,64]', 'model.encoder_kernels=[4,4]', 'model.encoder_strides=[4,4]'
"""An encoder of patches that do not overlap."""
PATCHES_BACK = ('model.decoder_units=512', 'model.decoder_start=2', 'model.decoder_channels=[32]',
                'model.decoder_kernels=[4,4]', 'model.decoder_strides=[4,4]')
"""A decoder of such patches."""
HIDDEN = (*PATCHES, *PATCHES_BACK, 'model.decoder_layers=2')
"""The networks of preset `cpu`, patches with two hidden layers before the decoder's map, without its mean image."""
ARMS: dict[str, tuple[str, ...]] = {
    'base': (),
    'former': ('objective.image_scale=1', 'objective.kl_balance=none'),
    'unbalanced': ('objective.kl_balance=none',),
    'balance-0.95': ('objective.kl_balance=0.95',),
    'balance-0.5': ('objective.kl_balance=0.5',),
    'nats-0': ('objective.free_nats=0',),
    'nats-0.1': ('objective.free_nats=0.1',),
    'nats-3': ('objective.free_nats=3',),
    'image-1': ('objective.image_scale=1',),
    'image-12': ('objective.image_scale=12',),
    'divergence-0.3': ('objective.kl_scale=0.3',),
    'reward-1': ('objective.reward_scale=1',),
    'reward-100': ('objective.reward_scale=100',),
    'over-8': ('objective.overshooting_distance=8',),
    'over-8-reward': ('objective.overshooting_distance=8', 'objective.overshooting_reward=true'),
    'open-8': ('objective.open_loop_steps=8',),
    'over-16': ('objective.overshooting_distance=16',),
    'chunk-64': ('learner.chunk_length=64', 'learner.batch=8'),
    'whole': WHOLE,
    'whole-over-8': (*WHOLE, 'objective.overshooting_distance=8'),
    'whole-twice': ('learner.chunk_length=128', 'learner.batch=8'),
    'batch-32': ('learner.batch=32',),
    'units-200': ('model.deterministic=200', 'model.hidden=200'),
    'units-64': ('model.deterministic=64', 'model.hidden=64'),
    'stochastic-60': ('model.stochastic=60',),
    'ssm': ('model.cell=ssm',),
    'min-std-0.01': ('model.min_std=0.01',),
    'rate-0.0003': ('learner.learning_rate=0.0003',),
    'rate-0.003': ('learner.learning_rate=0.003',),
    'clip-10': ('learner.clip_norm=10',),
    'decoder-512': ('model.decoder_units=512',),
    'patches': PATCHES,
    'patches-both': (*PATCHES, *PATCHES_BACK),
    'patches-hidden': HIDDEN,
    'patches-hidden-image-1': (*HIDDEN, 'objective.image_scale=1'),
    'patches-hidden-reward-160': (*HIDDEN, 'objective.reward_scale=160'),
    'patches-hidden-rate-0.003': (*HIDDEN, 'learner.learning_rate=0.003'),
    'patches-hidden-image-1-reward-40-rate-0.002': (
        *HIDDEN, 'objective.image_scale=1', 'objective.reward_scale=40', 'learner.learning_rate=0.002'),
    'patches-hidden-image-1-reward-160-rate-0.003': (
        *HIDDEN, 'objective.image_scale=1', 'objective.reward_scale=160', 'learner.learning_rate=0.003'),
    'map-6': ('model.encoder_channels=[16,32]',),
    'patches-hidden-mean': (*HIDDEN, 'model.subtract_mean=true'),
    'patches-hidden-std-0.15': (*HIDDEN, 'model.first_std=0.15'),
    'patches-hidden-mean-std-0.15': (*HIDDEN, 'model.subtract_mean=true', 'model.first_std=0.15'),
    'shift-1': ('learner.image_shift=1',),
    'shift-2': ('learner.image_shift=2',),
}
"""Settings by name."""
PIXELS_ONLY = 'shift', 'decoder', 'patches', 'map'
"""Beginnings of the names of arms that only apply to images."""


def renamed(setting: str) -> str:
    """A setting group.field=value with today's name of the field."""
    name, sign, value = setting.partition('=')
    return f'{saved.renamed(name)}{sign}{value}'


def configure(settings: Sequence[str], observation: str) -> Config:
    """Preset `cpu` with settings.

    Args:
        settings: each group.field=value; the value is JSON, `none`, or else a word.
        observation: pixels, state or hidden.

    Returns:
        the configuration.

    Raises:
        ValueError: a setting is unknown, or its value is out of range.
    """
    groups = settings_of.to_dict(settings_of.preset('cpu'))
    groups['env']['observation'] = 'pixels' if observation == 'pixels' else 'state'
    # Not in BASE, which existing records list.
    groups['model'] |= {'vector_symlog': False, 'subtract_mean': False, 'first_std': None}
    groups['learner']['average'] = 0.0
    for setting in (*BASE, *settings):
        name, sign, value = renamed(setting).partition('=')
        group, _, entry = name.partition('.')
        fields = groups.get(group, {})
        if not sign or entry not in fields:
            raise ValueError(f'There is no setting {name!r}: write group.field=value, such as '
                             f'objective.kl_balance=0.8.')
        try:
            fields[entry] = None if value == 'none' else json.loads(value)
        except json.JSONDecodeError:
            fields[entry] = value
    return settings_of.from_dict(groups)
