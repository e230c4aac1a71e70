"""The records and functions of planners."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
from flax import struct

Dynamics = Callable[[Any, jax.Array, Any, jax.Array], tuple[Any, jax.Array]]
"""(params, key, state, action [A]) -> (next state, reward []); the state is any pytree."""
Score = Callable[[jax.Array, jax.Array], jax.Array]
"""(key, actions [J, H, A]) -> returns [J]."""


@struct.dataclass
class PlanState:
    """The state of a search, which also warm-starts the next plan.

    Attributes:
        mean: [H, A], of the next proposal
        std: [H, A], of the next proposal
        kept: [M, H, A], elites that stay candidates; None for planners that keep none
        known: [], bool: whether `kept` has been filled; None for planners that keep none
    """

    mean: jax.Array
    std: jax.Array
    kept: jax.Array | None = None
    known: jax.Array | None = None


@struct.dataclass
class Iteration:
    """One iteration of a search, with all its candidates.

    Attributes:
        key: of the score
        actions: [J, H, A], the candidates
        returns: [J]
        mean: [H, A], of the refit
        std: [H, A], of the refit
    """

    key: jax.Array
    actions: jax.Array
    returns: jax.Array
    mean: jax.Array
    std: jax.Array


@struct.dataclass
class Plan:
    """The result of a search.

    Attributes:
        mean: [H, A], of the last refit, inside the bounds
        std: [H, A], its standard deviation
        returns: [I, K], returns of each iteration's elites, best first
        actions: [H, A], the sequence to carry out: the mean or the best candidate, depending on the planner
        record: every iteration, if `step` was called with `record`; otherwise empty
    """

    mean: jax.Array
    std: jax.Array
    returns: jax.Array
    actions: jax.Array
    record: tuple[Iteration, ...] = ()


class Step(Protocol):
    """One plan."""

    def __call__(self, key: jax.Array, score: Score, state: PlanState | None, *, record: bool = False,
                 ) -> tuple[Plan, PlanState | None]:
        """Returns the plan, and the state for the next plan, one step of the task later.

        With `record`, the plan keeps all candidates of all iterations; nothing else changes.
        """


class Parts(NamedTuple):
    """The parts of an iteration, for loops of your own.

    Attributes:
        sizes: J of each iteration, [I]
        begin: (state of the last plan, or None) -> PlanState
        propose: (key, PlanState, J, whether it is the last iteration) -> actions [J, H, A], inside the bounds
        update: (PlanState, actions [J, H, A], returns [J]) -> (PlanState, best candidate [H, A] or None, the elites'
            returns [K])
        finish: (PlanState, best candidate or None, returns [I, K], shift) -> (Plan, state for the next plan, or
            None)
        low: smallest action, [] or [A]
        high: largest action, [] or [A]
        warm_start: whether a plan starts from the last one
        shift: sequences [..., H, A] -> sequences for the next plan; by default one step later
        expand: searched sequences -> actions [..., H, A], see `with_knots`; by default the same
        ending: (key, score, PlanState, last Iteration) -> (PlanState, best candidate), after the last iteration, see
            `with_gradient`
    """

    sizes: tuple[int, ...]
    begin: Callable[[PlanState | None], PlanState]
    propose: Callable[[jax.Array, PlanState, int, Any], jax.Array]
    update: Callable[[PlanState, jax.Array, jax.Array], tuple[PlanState, jax.Array | None, jax.Array]]
    finish: Callable[..., tuple[Plan, PlanState | None]]
    low: Any
    high: Any
    warm_start: bool
    shift: Callable[[jax.Array], jax.Array] | None = None
    expand: Callable[[jax.Array], jax.Array] | None = None
    ending: Callable[[jax.Array, Score, PlanState, Iteration], tuple[PlanState, jax.Array]] | None = None


class Planner(NamedTuple):
    """A planner, as a pair of pure functions: jit them, vmap them over states, scan them over steps.

    Attributes:
        init: () -> state for the first plan of an episode; None without a warm start
        step: (key, score, state) -> (Plan, state for the next plan)
        parts: of an iteration
    """

    init: Callable[[], PlanState | None]
    step: Step
    parts: Parts
