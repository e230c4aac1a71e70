"""The neural networks: the only part of the package that knows flax."""

from planet_jax.networks.ends import mark
from planet_jax.networks.model import make_world_model

__all__ = ['make_world_model', 'mark']
