"""Builds a `WorldModel` of pure functions from encoder, cell, decoder and heads."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from planet_jax import keys
from planet_jax.config import Model, Spec, fit
from planet_jax.networks.cells import NETWORKS, sample
from planet_jax.networks.ends import GoesOn
from planet_jax.networks.heads import Mlp, product_dtype
from planet_jax.networks.images import Decoder, Encoder
from planet_jax.ops import images, vectors
from planet_jax.types import Latent, Prepare, WorldModel


class Part(NamedTuple):
    """The networks of one part of an observation, or of the whole.

    Attributes:
        encoder: its encoder
        encoded: size of the encoder's output
        decoder: its decoder
        prepare: (key, observation) -> float32 [*shape]
        restore: decoded [*shape] -> in the units of the observation, but images as the decoder makes them
        shape: of this part
    """

    encoder: Encoder | Mlp
    encoded: int
    decoder: Decoder | Mlp
    prepare: Prepare
    restore: Callable[[jax.Array], jax.Array]
    shape: tuple[int, ...]


def _make_part(config: Model, shape: tuple[int, ...]) -> Part:
    dtype = product_dtype(config)
    if len(shape) == 3:
        fitted = fit(config, *shape[:2])
        channels, kernels, strides = zip(*fitted.decoder)

        def prepare(key, observation):
            return images.prepare(key, observation, config.image_bits)

        return Part(
            Encoder(*zip(*fitted.encoder), dtype), math.prod(fitted.encoded) * fitted.encoder[-1].channels,
            Decoder(fitted.units, channels[:-1], kernels, shape[2], strides, fitted.start, dtype, config.decoder_layers,
                    config.decoder_hidden), prepare, lambda decoded: decoded, shape)
    if len(shape) == 1:
        def take(key, observation):
            del key  # Vectors get no noise.
            observation = jnp.asarray(observation, jnp.float32)
            return vectors.symlog(observation) if config.vector_symlog else observation

        def restore(decoded):
            return vectors.symexp(decoded) if config.vector_symlog else decoded

        return Part(Mlp(config.vector_layers - 1, config.vector_units, (config.vector_units,), dtype),
                    config.vector_units, Mlp(config.vector_layers, config.vector_units, shape, dtype), take, restore,
                    shape)
    raise ValueError(f'Observations must be images (height, width, channels) or vectors (size,), but their shape is '
                     f'{shape}.')


def make_world_model(config: Model, spec: Spec) -> WorldModel:
    """A latent dynamics model for the observations and actions of an environment.

    Parameters are a dictionary with the entries 'encoder', 'cell', 'decoder' and 'reward', and, if the settings ask for
    these heads, 'goes_on' (only for episodes that can terminate) and 'value'. With `subtract_mean` 'mean' is the mean
    image, which has no gradient. For observations in several parts, the
    encoder and the decoder have an entry for each part, and the encoders' outputs are concatenated. At the paper's size
    with A = 6 the RSSM has 690,144 + 557,320 + 3,795,555 + 250,201 = 5,293,220 parameters.

    Args:
        config: sizes and variants.
        spec: observation shape and dtype, and A.

    Raises:
        ValueError: no networks fit the image's size, or an observation is neither an image nor a vector.
    """
    dtype = product_dtype(config)
    parts = {name: _make_part(config, shape) for name, shape, _ in spec.parts}
    part = _make_part(config, spec.observation_shape) if not parts else None
    encoded = part.encoded if part else sum(each.encoded for each in parts.values())

    def by_part(function, *trees):
        """Applies function(part, *trees) to the whole observation, or to each of its parts by name."""
        if part:
            return function(part, *trees)
        return {name: function(each, *(tree[name] for tree in trees)) for name, each in parts.items()}

    def keys_by_part(key):
        return key if part else {name: keys.stream(key, name) for name in parts}

    mean_shapes = by_part(lambda part: part.shape if len(part.shape) == 3 else ())
    means = config.subtract_mean and any(mean_shapes.values() if parts else [mean_shapes])
    deterministic = config.deterministic if config.traits.deterministic else 0
    cell = NETWORKS[config.cell](config, spec.action_size, encoded)
    reward = Mlp(config.reward_layers, config.reward_units, dtype=dtype)
    value = Mlp(config.reward_layers, config.reward_units, dtype=dtype) if config.value_discount is not None else None
    goes_on = GoesOn(config.reward_layers, config.reward_units, dtype) if config.end_head and spec.ends else None

    def initial() -> Latent:
        zero = jnp.zeros(config.stochastic)
        return Latent(zero, zero, zero, jnp.zeros(deterministic))

    def init(key):
        encoder_key, cell_key, decoder_key, reward_key, noise_key = jax.random.split(key, 5)
        features = initial().features
        params = {
            'encoder': by_part(lambda part, key: part.encoder.init(key, jnp.zeros(part.shape))['params'],
                               keys_by_part(encoder_key)),
            'cell': cell.init(cell_key, noise_key, initial(), jnp.zeros(spec.action_size),
                              jnp.zeros(encoded))['params'],
            'decoder': by_part(lambda part, key: part.decoder.init(key, features)['params'], keys_by_part(decoder_key)),
            'reward': reward.init(reward_key, features)['params'],
        }
        # Optional heads have streams of their own, so that they do not change the other parameters.
        for name, head in (('goes_on', goes_on), ('value', value)):
            if head:
                params[name] = head.init(keys.stream(key, name), features)['params']
        if means:
            params['mean'] = by_part(lambda part, shape: jnp.zeros(shape), mean_shapes)
        return params

    def centre(params, key, batch):
        valid = jnp.arange(batch.reward.shape[1]) < batch.length[:, None]

        def mean(part, shape, rows):
            return jnp.mean(rows, (0, 1), where=valid[..., None, None, None]) if shape else jnp.zeros(())

        return params | {'mean': by_part(mean, mean_shapes, prepare(key, batch.observation))}

    def constant_mean(params):
        return jax.lax.stop_gradient(params['mean'])

    def prepare(key, observation):
        return by_part(lambda part, key, seen: part.prepare(key, seen), keys_by_part(key), observation)

    def encode(params, prepared):
        if means:
            prepared = jax.tree.map(jnp.subtract, prepared, constant_mean(params))
        encoded = by_part(lambda part, params, seen: part.encoder.apply({'params': params}, seen),
                          params['encoder'], prepared)
        if parts:
            encoded = jnp.concatenate([each.astype(jnp.float32) for each in encoded.values()], -1)
        return cell.apply({'params': params['cell']}, encoded, method='embed')

    def prior(params, key, latent, action):
        return cell.apply({'params': params['cell']}, key, latent, action, method='prior')

    def posterior(params, key, prior, embedding):
        return cell.apply({'params': params['cell']}, key, prior, embedding, method='posterior')

    def resample(key, latent):
        return latent.replace(stochastic=sample(config, key, latent.mean, latent.std))

    def decode(params, features):
        decoded = by_part(lambda part, params: part.decoder.apply({'params': params}, features), params['decoder'])
        return jax.tree.map(jnp.add, decoded, constant_mean(params)) if means else decoded

    def restore(decoded):
        return by_part(lambda part, decoded: part.restore(decoded), decoded)

    def predict_reward(params, features):
        return reward.apply({'params': params['reward']}, features)

    def predict_going_on(params, features):
        return goes_on.apply({'params': params['goes_on']}, features)

    def predict_value(params, features):
        return value.apply({'params': params['value']}, features)

    return WorldModel(init, initial, prepare, encode, prior, posterior, resample, decode, predict_reward,
                      predict_going_on if goes_on else None, predict_value if value else None,
                      1.0 if config.value_discount is None else config.value_discount, restore,
                      centre if means else None)
