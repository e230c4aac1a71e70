"""Puts encoder, cell, decoder and reward head together as one `WorldModel` of pure functions."""

import jax
import jax.numpy as jnp

from planet_jax.config import Model, Spec
from planet_jax.networks.cells import NETWORKS, sample
from planet_jax.networks.heads import Mlp, product_dtype
from planet_jax.networks.images import Decoder, Encoder
from planet_jax.ops import images
from planet_jax.types import Latent, WorldModel


def make_world_model(config: Model, spec: Spec) -> WorldModel:
    """A latent dynamics model for the observations and actions of an environment.

    Parameters are a dictionary with the entries 'encoder', 'cell', 'decoder' and 'reward'. At the paper's size with
    A = 6 the RSSM's are 690,144 + 557,320 + 3,795,555 + 250,201 = 5,293,220 numbers.

    Args:
        config: sizes and variants.
        spec: observation shape and dtype, and A.

    Raises:
        ValueError: the decoder's image has another size than the observation, or an observation is neither an image
            nor a vector.
    """
    shape, dtype = spec.observation_shape, product_dtype(config)
    if len(shape) == 3:
        if config.decoded_size() != shape[0] or shape[0] != shape[1]:
            raise ValueError(f'The decoder makes images of {config.decoded_size()} x {config.decoded_size()} pixels, '
                             f'but the observations are {shape[0]} x {shape[1]}.')
        encoder = Encoder(config.encoder_channels, config.encoder_kernels, config.encoder_strides, dtype)
        encoded = config.encoded_size(shape[0])**2 * config.encoder_channels[-1]
        decoder = Decoder(config.decoder_units, config.decoder_channels, config.decoder_kernels, shape[2],
                          config.decoder_strides, config.decoder_start, dtype, config.decoder_layers,
                          config.decoder_hidden)

        def prepare(key, observation):
            return images.prepare(key, observation, config.image_bits)
    elif len(shape) == 1:
        encoder = Mlp(config.vector_layers - 1, config.vector_units, (config.vector_units,), dtype)
        encoded = config.vector_units
        decoder = Mlp(config.vector_layers, config.vector_units, shape, dtype)

        def prepare(key, observation):
            del key  # Vectors are taken as they are.
            return jnp.asarray(observation, jnp.float32)
    else:
        raise ValueError(f'Observations must be images (height, width, channels) or vectors (size,), but their shape '
                         f'is {shape}.')

    deterministic = config.deterministic if config.traits.deterministic else 0
    cell = NETWORKS[config.cell](config, spec.action_size, encoded)
    reward = Mlp(config.reward_layers, config.reward_units, dtype=dtype)

    def initial() -> Latent:
        zero = jnp.zeros(config.stochastic)
        return Latent(zero, zero, zero, jnp.zeros(deterministic))

    def init(key):
        keys = jax.random.split(key, 5)
        features = initial().features
        variables = {
            'encoder': encoder.init(keys[0], jnp.zeros(shape)),
            'cell': cell.init(keys[1], keys[4], initial(), jnp.zeros(spec.action_size), jnp.zeros(encoded)),
            'decoder': decoder.init(keys[2], features),
            'reward': reward.init(keys[3], features),
        }
        return {name: collections['params'] for name, collections in variables.items()}

    def encode(params, prepared):
        encoded = encoder.apply({'params': params['encoder']}, prepared)
        return cell.apply({'params': params['cell']}, encoded, method='embed')

    def prior(params, key, latent, action):
        return cell.apply({'params': params['cell']}, key, latent, action, method='prior')

    def posterior(params, key, prior, embedding):
        return cell.apply({'params': params['cell']}, key, prior, embedding, method='posterior')

    def resample(key, latent):
        return latent.replace(stochastic=sample(config, key, latent.mean, latent.std))

    def decode(params, features):
        return decoder.apply({'params': params['decoder']}, features)

    def predict_reward(params, features):
        return reward.apply({'params': params['reward']}, features)

    return WorldModel(init, initial, prepare, encode, prior, posterior, resample, decode, predict_reward)
