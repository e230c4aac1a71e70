"""The records and functions of planners."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
from flax import struct


class Dynamics(Protocol):
    """A model to plan in. The names of your function's arguments may differ."""

    def __call__(self, params: Any, key: jax.Array, state: Any, action: jax.Array, /) -> tuple[Any, jax.Array]:
        """(params, key, state, action [A]) -> (next state, reward []); the state is any pytree."""


class Score(Protocol):
    """What a plan maximises. The names of your function's arguments may differ."""

    def __call__(self, key: jax.Array, actions: jax.Array, /) -> jax.Array:
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


class Propose(Protocol):
    """Draws the candidates of an iteration."""

    def __call__(self, key: jax.Array, state: PlanState, candidates: int, last: Any, /) -> jax.Array:
        """(key, state, J, whether it is the last iteration) -> actions [J, H, A], inside the bounds."""


class Update(Protocol):
    """Fits the state of a search to the scored candidates of an iteration."""

    def __call__(self, state: PlanState, actions: jax.Array, returns: jax.Array, /,
                 ) -> tuple[PlanState, jax.Array | None, jax.Array]:
        """(state, actions [J, H, A], returns [J]) -> (state, best candidate [H, A] or None, elites' returns [K])."""


class Finish(Protocol):
    """Makes the plan after the last iteration."""

    def __call__(self, state: PlanState, best: jax.Array | None, returns: jax.Array,
                 shift: Callable[[jax.Array], jax.Array], /) -> tuple[Plan, PlanState | None]:
        """(state, best candidate or None, returns [I, K], shift) -> (plan, state for the next plan or None)."""


class Ending(Protocol):
    """Improves a search after the last iteration, see `with_gradient`."""

    def __call__(self, key: jax.Array, score: Score, state: PlanState, last: Iteration, /,
                 ) -> tuple[PlanState, jax.Array]:
        """(key, score, state, last iteration) -> (state, best candidate [H, A])."""


class Parts(NamedTuple):
    """The parts of an iteration, for loops of your own.

    Attributes:
        sizes: J of each iteration, [I]
        begin: (state of the last plan, or None) -> PlanState
        propose: draws the candidates
        update: fits the state to the scored candidates
        finish: makes the plan
        low: smallest action, [] or [A]
        high: largest action, [] or [A]
        warm_start: whether a plan starts from the last one
        shift: sequences [..., H, A] -> sequences for the next plan; by default one step later
        expand: searched sequences -> actions [..., H, A], see `with_knots`; by default the same
        ending: improves the search after the last iteration, see `with_gradient`
    """

    sizes: tuple[int, ...]
    begin: Callable[[PlanState | None], PlanState]
    propose: Propose
    update: Update
    finish: Finish
    low: Any
    high: Any
    warm_start: bool
    shift: Callable[[jax.Array], jax.Array] | None = None
    expand: Callable[[jax.Array], jax.Array] | None = None
    ending: Ending | None = None


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
