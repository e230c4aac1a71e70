"""Settings of the planners."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from planet_jax.config.checks import check, setting


@dataclass(frozen=True)
class Planner:
    """How the planner searches for an action (algorithm 2 of the paper)."""

    horizon: int = setting(12, least=1)
    """H, agent steps that a plan looks ahead."""
    iterations: int = setting(10, least=1)
    """I, refits of the action distribution."""
    candidates: int = setting(1000, least=1)
    """J, action sequences per iteration."""
    elites: int = setting(100, least=1)
    """K, the best candidates, which the distribution is refitted to."""
    std_estimator: Literal['std', 'mean_absolute'] = 'std'
    """Refit the population standard deviation (released code) or the mean absolute deviation (paper)."""
    start: Literal['shared', 'per_candidate'] = 'shared'
    """All candidates start from one sample of the belief (released code), or each from its own (paper). With `rollout`
    mean, `shared` starts from the belief's mean."""
    method: Literal['cem', 'icem', 'mppi', 'random_shooting'] = setting('cem', then='cem')
    """The cross-entropy method (paper), its sample-efficient form (iCEM), path integral control (MPPI), or the best of
    random sequences."""
    rollout: Literal['sample', 'mean'] = setting('sample', then='sample')
    """A candidate's states are samples of the prior (paper), or its means."""
    colour: float | None = setting(None, then=None, least=0)
    """icem: exponent of the noise's spectrum, 0 is white, 2 red; by default the task's own."""
    decay: float = setting(1.0, then=1.0, least=1)
    """icem: factor by which J shrinks in each iteration, down to 2 K."""
    keep: int = setting(3, then=3, least=0)
    """icem: elites that stay candidates in the next iteration, and in the next plan."""
    momentum: float = setting(0.1, then=0.1, least=0, below=1)
    """icem: share of the old mean and standard deviation in a refit."""
    execute: Literal['mean', 'best'] = setting('best', then='best')
    """icem: act by the last mean, or by the best candidate of the last iteration."""
    temperature: float = setting(0.5, then=0.5, least=0)
    """mppi: factor of the returns in the exponential weights of the elites."""
    terminal_value: bool = setting(False, then=False)
    """Add the value of a plan's last state, which `model.value_discount` learns, and discount the rewards."""

    def __post_init__(self):
        check('planner', self)
        if self.elites > self.candidates:
            raise ValueError(f'planner.elites is {self.elites} and planner.candidates is {self.candidates}, but the '
                             f'elites are chosen from the candidates: the nearest valid value of elites is '
                             f'{self.candidates}.')
        most = min(self.elites, self.candidates - 1)
        if self.method == 'icem' and self.keep > most:
            raise ValueError(f'planner.keep is {self.keep}, planner.elites {self.elites} and planner.candidates '
                             f'{self.candidates}, but only elites are kept, and the mean takes one candidate: the '
                             f'nearest valid value of keep is {most}.')


def _each_or_none(kind: Any) -> Any:
    """Makes a class a dataclass with the fields of its base. Each may be None, which is the default."""
    for entry in dataclasses.fields(kind):
        entry_type: Any = entry.type
        kind.__annotations__[entry.name] = entry_type | None
        setattr(kind, entry.name, dataclasses.field(default=None, metadata={**entry.metadata, 'then': None}))
    return dataclass(frozen=True)(kind)


@(dataclass(frozen=True) if TYPE_CHECKING else _each_or_none)
class EvaluationPlanner(Planner):
    """How evaluation plans, where it differs from collection; unset fields are as in `planner`."""

    def __post_init__(self):
        check('evaluation_planner', self)

    def over(self, planner: Planner) -> Planner:
        """The other planner with these settings, where they are set.

        Raises:
            ValueError: the settings contradict each other.
        """
        return dataclasses.replace(planner, **{n: value for n, value in vars(self).items() if value is not None})
