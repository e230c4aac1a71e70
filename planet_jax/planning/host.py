"""Planning from a Python loop: with scores that cannot be jitted, and with a deadline."""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .loop import checked_returns, finished, shifted
from .records import Iteration, Parts, Plan, Planner, PlanState, Score


def search_on_host(planner: Planner, key: jax.Array, score: Callable[[np.ndarray], Any],
                   state: PlanState | None = None, *, record: bool = False) -> tuple[Plan, PlanState | None]:
    """One plan with a score that cannot be jitted, such as a simulator's; otherwise as `planner.step`.

    The planner's propose and update are compiled once.

    Args:
        planner: any without `with_gradient`.
        key: a random key.
        score: actions, NumPy float32 [J, H, A] -> returns [J].
        state: of the last plan; by default a fresh one.
        record: keep all candidates of all iterations.

    Returns:
        the plan, and what the next begins from, both of NumPy arrays.

    Example:
        >>> from planet_jax.planning import make_cem
        >>> planner = make_cem(action_size=1, horizon=2, candidates=100, elites=10)
        >>> plan, _ = search_on_host(planner, jax.random.key(0), lambda actions: -np.square(actions - 0.5).sum((1, 2)))
        >>> plan.actions.round(1).tolist()
        [[0.5], [0.5]]

    Raises:
        ValueError: the planner needs a gradient, or the score does not give one number for each candidate.
    """
    parts = planner.parts
    _without_gradient(parts)
    propose, update, finish = _programs(*_functions(parts))
    state, keys, found, seen = parts.begin(state), jax.random.split(key, len(parts.sizes)), [], []
    best = None
    for index, candidates in enumerate(parts.sizes):
        propose_key, score_key = jax.random.split(keys[index])
        sequences, actions = propose(propose_key, state, candidates, index == len(parts.sizes) - 1)
        returns = np.asarray(score(np.asarray(actions)))
        returns = checked_returns(returns.astype(np.float32), candidates)
        state, best, elites = update(state, sequences, returns)
        found.append(elites)
        if record:
            seen.append(Iteration(score_key, actions, returns, state.mean, state.std))
    plan, left = finish(state, best, jnp.stack(found))
    return jax.device_get((plan.replace(record=tuple(seen)), left))


class Anytime:
    """A planner with a deadline.

    Attributes:
        plans: made so far
        missed: number of late plans
        iterations: of the last plan
        seconds_taken: by the last plan
    """

    def __init__(self, planner: Planner, make_score: Callable[..., Score], seconds: float,
                 clock: Callable[[], float] = time.perf_counter):
        """See `anytime`."""
        parts = planner.parts
        _without_gradient(parts)
        if not seconds > 0:
            raise ValueError(f'seconds is {seconds}, but must be above 0.')
        self.plans = self.missed = self.iterations = 0
        self.seconds_taken = 0.0
        self._parts, self._seconds, self._clock, self._warm = parts, seconds, clock, False
        _, _, self._finish = _programs(*_functions(parts))
        expand = parts.expand or (lambda sequences: sequences)

        @functools.partial(jax.jit, static_argnums=3)
        def iterate(key, index, state, candidates, arguments):
            propose_key, score_key = jax.random.split(jax.random.fold_in(key, index))
            # Any iteration can be the last one.
            actions = parts.propose(propose_key, state, candidates, True)
            returns = checked_returns(make_score(*arguments)(score_key, expand(actions)), candidates)
            return parts.update(state, actions, returns)

        self._iterate = iterate

    def __call__(self, key: jax.Array, state: PlanState | None, *arguments: Any) -> tuple[Plan, PlanState | None]:
        """One plan with as many iterations as the time allows, at least one.

        Args:
            key: a random key.
            state: of the last plan; by default a fresh one.
            *arguments: of `make_score`, pytrees of arrays.

        Returns:
            the plan, whose `returns` have as many rows as there were iterations, and what the next begins from.
        """
        sizes = self._parts.sizes
        if not self._warm:  # Compilation inside a control loop is always late.
            begun = self._parts.begin(state)
            for candidates in set(sizes):
                _, best, elites = self._iterate(key, 0, begun, candidates, arguments)
            jax.block_until_ready(self._finish(begun, best, elites[None]))
            self._warm = True
        start = now = self._clock()
        state, found, longest = self._parts.begin(state), [], 0.0
        while not found or now + longest <= start + self._seconds:
            candidates = sizes[min(len(found), len(sizes) - 1)]
            state, best, elites = jax.block_until_ready(
                self._iterate(key, len(found), state, candidates, arguments))
            found.append(elites)
            now, before = self._clock(), now
            longest = max(longest, now - before)
        plan, left = jax.block_until_ready(self._finish(state, best, elites[None]))
        self.seconds_taken = self._clock() - start
        self.plans, self.iterations = self.plans + 1, len(found)
        self.missed += self.seconds_taken > self._seconds
        return plan.replace(returns=np.stack(found)), left


def anytime(planner: Planner, make_score: Callable[..., Score], seconds: float) -> Anytime:
    """Plans until a deadline, for a control loop at a fixed rate, one compiled iteration after the other.

    Another iteration begins only if the longest one of this plan so far would end in time. The first call compiles
    before its clock starts.

    Args:
        planner: any without `with_gradient`; it gives the sizes of the iterations.
        make_score: arrays, such as parameters and the current state, -> Score; traced.
        seconds: time for a plan.

    Example:
        >>> from planet_jax.planning import make_icem, rollouts
        >>> dynamics = lambda params, key, position, action: (position + action[0], -jnp.abs(position - params))
        >>> in_time = anytime(make_icem(action_size=1), lambda target, here: rollouts(target, here, dynamics), 0.02)
        >>> plan, state = in_time(jax.random.key(0), None, 2.0, 0.0)
        >>> in_time.iterations == len(plan.returns), in_time.plans
        (True, 1)

    Raises:
        ValueError: seconds is not above 0, or the planner ends with a gradient, whose time is not known in advance.
    """
    return Anytime(planner, make_score, seconds)


def _without_gradient(parts):
    if parts.ending is not None:
        raise ValueError('This planner ends with a gradient, which this loop cannot take: leave out with_gradient.')


def _functions(parts: Parts):
    return parts.propose, parts.update, parts.finish, parts.shift or shifted, parts.expand


@functools.lru_cache(maxsize=32)
def _programs(propose, update, finish, shift, expand):
    """The compiled functions: propose (sequences and their actions), update and finish."""

    def drawn(key, state, candidates, last):
        sequences = propose(key, state, candidates, last)
        return sequences, expand(sequences) if expand else sequences

    return (jax.jit(drawn, static_argnums=2), jax.jit(update),
            jax.jit(functools.partial(finished, finish, shift, expand)))
