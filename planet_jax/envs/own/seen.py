"""Conversion of an environment's observations to a vector, an image, or a dict of both."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from planet_jax.config import Env
from planet_jax.envs import spaces
from planet_jax.envs.own import images


class Mismatch(Exception):
    """An observation does not fit its space. The message continues the sentence 'An observation of NAME'."""


class Seen(NamedTuple):
    """How observations are converted.

    Attributes:
        space: of the converted observations
        see: an observation -> the converted one; raises `Mismatch`
    """

    space: gymnasium.Space
    see: Callable[[Any], Any]


def of_space(name: str, space: gymnasium.Space, config: Env, renders: bool) -> Seen | None:
    """How observations of a space are converted. None if the environment must be rendered instead.

    Args:
        name: of the task, for messages.
        space: of the observations.
        config: what the agent observes.
        renders: whether the environment can be rendered.

    Raises:
        ValueError: the space does not have the observations that `config` asks for.
    """
    if config.keys:
        chosen = _chosen(name, space, config.keys)
        if config.observation == 'state':
            joined = _vector(name, Dict(list(chosen.items())))  # Gymnasium would sort the names of a dict.
            return Seen(joined.space, lambda raw: joined.see({key: raw[key] for key in chosen}))
        parts = {key: _part(name, part, config) for key, part in chosen.items()}
        if not any(len(part.space.shape) == 3 for part in parts.values()):
            raise ValueError(f'env.keys is {", ".join(config.keys)}, but none of these parts of {name} is an image: '
                             f'set --env.observation state.')
        if len(parts) == 1:
            (key, only), = parts.items()
            return Seen(only.space, lambda raw: only.see(raw[key]))
        return Seen(Dict([(key, part.space) for key, part in parts.items()]),
                    lambda raw: {key: part.see(raw[key]) for key, part in parts.items()})
    if config.observation == 'state':
        return _vector(name, space)
    if config.image == 'own':
        if (found := images.of_space(space)) is None:
            raise ValueError(f'{name} has the observation space {space}, but --env.image own needs a Box of images: '
                             f'uint8, or real numbers with equal bounds for all pixels; (height, width) alone or with '
                             f'1 to 12 channels first or last. Set --env.image square to render the environment.')
        return _image(space, found.shape, found.convert)
    if images.is_rgb(space) or not renders:
        convert = images.converter(space)
        return convert and _image(space, config.size, convert)
    return None


def square(image: np.ndarray, size: int) -> np.ndarray:
    """uint8 [height, width, 3] -> a new uint8 [size, size, 3], whose pixels are the means of the areas they cover."""
    from PIL import Image
    return np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BOX))


def _chosen(name: str, space: gymnasium.Space, keys: tuple[str, ...]) -> dict[str, gymnasium.Space]:
    """The parts of a Dict that `keys` names, in the space's order."""
    if not isinstance(space, Dict):
        raise ValueError(f'env.keys is {", ".join(keys)}, but the observations of {name} are {space}, not a Dict.')
    if missing := [key for key in keys if key not in space.spaces]:
        raise ValueError(f'env.keys names {missing[0]!r}, but the observations of {name} have other parts: write '
                         f'--env.keys {" ".join(map(str, space.spaces))}, or some of these.')
    if strange := [key for key in keys if not re.fullmatch(r'\w[\w-]*', key, re.ASCII)]:
        raise ValueError(f'env.keys names {strange[0]!r}, but the name of a part must consist of letters, digits, _ '
                         f'and -, since files and parameters have it.')
    return {key: part for key, part in space.spaces.items() if key in keys}


def _part(name: str, space: gymnasium.Space, config: Env) -> Seen:
    """A part as an image if it is one, else as a vector."""
    if config.image == 'own' and (found := images.of_space(space)):
        return _image(space, found.shape, found.convert)
    if config.image == 'square' and (convert := images.converter(space)):
        return _image(space, config.size, convert)
    return _vector(name, space)


def _image(space: gymnasium.Space, shape: int | tuple[int, int, int], convert: Callable) -> Seen:
    kinds = 'iu' if space.dtype == np.uint8 else 'f'

    def see(raw):
        image = np.asarray(raw)
        if image.shape != space.shape or image.dtype.kind not in kinds:
            raise Mismatch(f'is {image.dtype} {image.shape}, but its space is {space.dtype} {space.shape}')
        image = convert(image.astype(space.dtype))
        return square(image, shape) if isinstance(shape, int) else image

    return Seen(spaces.images(shape), see)


def _vector(name: str, space: gymnasium.Space) -> Seen:
    if not _is_vector(space):
        raise ValueError(f'{name} has the observation space {space}, but a vector is made from Box, Discrete, '
                         f'MultiDiscrete and MultiBinary, or a Dict or Tuple of these: set --env.observation pixels, '
                         f'or leave the rest out by --env.keys or gymnasium.wrappers.FilterObservation.')
    size = gymnasium.spaces.flatdim(space)
    if not size:
        raise ValueError(f'{name} has the observation space {space}, but a vector needs at least one number.')

    def see(raw):
        with np.errstate(over='ignore'):
            vector = gymnasium.spaces.flatten(space, raw).astype(np.float32)
        if vector.shape != (size,):
            raise Mismatch(f'has {vector.size} numbers, but its space {space} has {size}')
        if not np.isfinite(vector).all():
            raise Mismatch(f'is {vector.tolist()}, but must be finite numbers of float32')
        return vector

    return Seen(spaces.vectors(size), see)


def _is_vector(space: gymnasium.Space) -> bool:
    if isinstance(space, Dict):
        return all(map(_is_vector, space.values()))
    if isinstance(space, Tuple):
        return all(map(_is_vector, space))
    return isinstance(space, (Box, Discrete, MultiDiscrete, MultiBinary))
