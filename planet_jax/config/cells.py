"""The cells of the world model and their traits (section 3 of the paper)."""

from typing import TYPE_CHECKING, Literal, NamedTuple


class Cell(NamedTuple):
    """The traits of a cell. Its network stands under the same name in `networks.cells.NETWORKS`.

    Attributes:
        deterministic: whether it has a deterministic part of D units.
        predicts_std: whether the standard deviation of the stochastic part is predicted; otherwise it is 1.
        samples: whether the stochastic part is a sample; otherwise it is the mean, without latent overshooting.
        kl_scale: default of `objective.kl_scale`.
        free_nats: default of `objective.free_nats`; None for that of the objective.
    """

    deterministic: bool = True
    predicts_std: bool = True
    samples: bool = True
    kl_scale: float = 1.0
    free_nats: float | None = None


CELLS: dict[str, Cell] = {
    'rssm': Cell(),
    'ssm': Cell(deterministic=False),
    'rnn': Cell(predicts_std=False, samples=False, free_nats=0.0),
    'rnn_official': Cell(samples=False, kl_scale=0.0),
}
"""Traits by the name of the cell in `Model.cell`."""

if TYPE_CHECKING:
    CellName = str
else:
    CellName = Literal[tuple(CELLS)]
