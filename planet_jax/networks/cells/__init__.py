"""The recurrent cells: how a latent state follows from the one before, with and without an observation (section 3).

Every cell has the same three methods, and only this folder distinguishes cells:

- embed: encoder's output -> embedding [M], already multiplied by its part of the posterior's first layer, so that this
  product is computed for a whole chunk at once, outside of every scan.
- prior: (key, latent, action [A]) -> Latent.
- posterior: (key, prior, embedding [M]) -> Latent.
"""

from planet_jax.networks.cells.parts import Cell, sample
from planet_jax.networks.cells.rssm import Rssm
from planet_jax.networks.cells.ssm import Ssm

NETWORKS: dict[str, type[Cell]] = {'rssm': Rssm, 'ssm': Ssm, 'rnn': Rssm, 'rnn_official': Rssm}
"""Networks by the name in `Model.cell`; `config.CELLS` has the other traits of each cell."""

__all__ = ['NETWORKS', 'Cell', 'sample']
