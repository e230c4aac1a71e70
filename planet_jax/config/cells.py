"""The cells of the world model, and what follows from each for the rest (section 3 of the paper)."""

from typing import TYPE_CHECKING, Literal, NamedTuple


class Cell(NamedTuple):
    """What a cell is like. Its network is the class of the same name in `networks.cells.NETWORKS`.

    Attributes:
        deterministic: there is a deterministic part of D units; else D is 0.
        predicts_std: the standard deviation of the stochastic part is predicted; else it is 1.
        samples: the stochastic part is a sample; else it is the mean, and there is nothing to overshoot with.
        kl_scale: factor of the divergence, where none is set.
        free_nats: divergence per step that costs nothing, where none are set; none: what follows from the objective.
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
"""By the name that `Model.cell` gives."""

if TYPE_CHECKING:
    CellName = str
else:
    CellName = Literal[tuple(CELLS)]
