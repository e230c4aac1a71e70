"""What a planner takes and gives."""

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
    """Where a search stands, and what one plan hands to the next.

    Attributes:
        mean: [H, A], of the next proposal
        std: [H, A], of the next proposal
        kept: [M, H, A], action sequences that are among the next candidates; none for planners that keep none
        known: [], bool: whether `kept` holds anything; none for planners that keep none
    """

    mean: jax.Array
    std: jax.Array
    kept: jax.Array | None = None
    known: jax.Array | None = None


@struct.dataclass
class Iteration:
    """One iteration of a search, with all its candidates.

    Attributes:
        key: that the score was given
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
        returns: [I, K], what each iteration's elites scored, best first
        actions: [H, A], the sequence to carry out: the mean or the best candidate, as the planner was made
        record: every iteration, to be looked at; empty unless it was asked for
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
        """Returns the plan, and the state that the next one begins from, one step of the task later.

        With `record`, the plan has all candidates of all iterations; the other numbers are the same.
        """


class Parts(NamedTuple):
    """What an iteration is made of, for those who write the loop themselves.

    Attributes:
        sizes: J of each iteration, [I]
        begin: (what the last plan left, or none) -> PlanState
        propose: (key, PlanState, J, whether it is the last iteration) -> actions [J, H, A], inside the bounds
        update: (PlanState, actions [J, H, A], returns [J]) -> (PlanState, best candidate [H, A] or none, the elites'
            returns [K])
        finish: (PlanState, best candidate or none, returns [I, K], shift) -> (Plan, what the next plan begins from, or
            none)
        low: smallest action, [] or [A]
        high: largest action, [] or [A]
        warm_start: whether a plan hands anything to the next
        shift: sequences [..., H, A] -> those that the next plan begins from; none: one step later
        expand: the sequences that are searched -> actions [..., H, A], see `with_knots`; none: they are the actions
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
        init: () -> what the first plan of an episode begins from; none where plans hand nothing on
        step: (key, score, state) -> (Plan, state for the next plan)
        parts: of an iteration
    """

    init: Callable[[], PlanState | None]
    step: Step
    parts: Parts
