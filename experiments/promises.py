"""What planners promise, tried: this project's and those of other libraries that are installed.

    python -m experiments.promises

Each planner gets the same problem: H = 5, A = 2, actions within -1 and 1, and the sum of the actions to be as large as
can be, so the best plan lies at the bound. It prints a table of Markdown; docs/planner.md has it.
"""

import contextlib
import importlib.metadata
import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from planet_jax import planning

HORIZON, ACTION, CANDIDATES, ITERATIONS, ELITES = 5, 2, 64, 4, 8


class Tried(NamedTuple):
    """A planner to try.

    Attributes:
        plan: (seed, elites, whether sequences that begin above 0.5 cost NaN, number of states) -> first actions
            [states, A], and the last spread or None. Raises NotImplementedError if it takes one state only.
        elites: whether it has elites.
        jitted: whether a plan runs inside `jax.jit`; None for PyTorch, where it was not tried.
    """

    plan: Callable[[int, int, bool, int], tuple[np.ndarray, np.ndarray | None]]
    elites: bool
    jitted: Callable[[], Any] | None


def returns(actions: Any, broken: bool, where: Callable[..., Any]) -> Any:
    """[..., H, A] -> [...]: the sum of the actions, and NaN above 0.5 if that is asked for."""
    total = actions.sum((-1, -2))
    return where(actions[..., 0, 0] > 0.5, np.nan, total) if broken else total


def jax_planner(one: Callable[[jax.Array, int, bool], tuple[Any, Any]], elites: bool) -> Tried:
    """A planner written in JAX.

    Args:
        one: (key, elites, whether sequences that begin above 0.5 cost NaN) -> first action [A], spread or ().
        elites: see `Tried`.
    """

    def plan(seed, count, broken, states):
        keys = jax.random.split(jax.random.key(seed), states)
        first, spread = jax.vmap(lambda key: one(key, count, broken))(keys)
        return np.asarray(first), None if isinstance(spread, tuple) else np.asarray(spread)

    return Tried(plan, elites, lambda: jax.jit(lambda key: one(key, ELITES, False))(jax.random.key(0)))


def ours(make: Callable[..., planning.Planner]) -> Tried:
    """A planner of this project."""

    def one(key, count, broken):
        kept = {'keep': min(3, count)} if make is planning.make_icem else {}
        planner = make(action_size=ACTION, horizon=HORIZON, candidates=CANDIDATES, iterations=ITERATIONS, elites=count,
                       **kept)
        plan, _ = planner.step(key, lambda key, actions: returns(actions, broken, jnp.where), planner.init())
        return plan.actions[0], plan.std

    return jax_planner(one, True)


def xwm(name: str) -> Tried:
    """A planner of xwm, which minimises."""
    from xwm import planning as theirs

    def one(key, count, broken):
        sizes = {'n_elites': count} if name == 'CEM' else {}
        planner = getattr(theirs, name)(HORIZON, ACTION, n_samples=CANDIDATES, n_iters=ITERATIONS, **sizes)

        def cost(state, action, time):
            bad = broken & (time == 0) & (action[0] > 0.5)
            return jnp.where(bad, jnp.nan, -action.sum())

        plan = planner.plan(key, lambda state, action, key=None: state, jnp.zeros(1), cost)
        return plan.actions[0], plan.std

    return jax_planner(one, name == 'CEM')


def evosax_cma() -> Tried:
    """CMA-ES of evosax, which searches without bounds and minimises."""
    from evosax.algorithms import CMA_ES

    def one(key, count, broken):
        del count
        method = CMA_ES(population_size=CANDIDATES, solution=jnp.zeros((HORIZON, ACTION)))
        params = method.default_params
        state = method.init(key, jnp.zeros((HORIZON, ACTION)), params)
        for index in range(ITERATIONS):
            ask, tell = jax.random.split(jax.random.fold_in(key, index))
            population, state = method.ask(ask, state, params)
            state, _ = method.tell(tell, population, -returns(population, broken, jnp.where), state, params)
        return method.get_mean(state)[0], ()

    return jax_planner(one, False)


def pytorch_mppi() -> Tried:
    """MPPI of pytorch_mppi, which takes one iteration."""
    import torch
    from pytorch_mppi import MPPI

    def plan(seed, count, broken, states):
        del count
        if states > 1:
            raise NotImplementedError
        torch.manual_seed(seed)

        def cost(state, action):  # The state is the number of steps; it is the one after the action.
            bad = (state[..., 0] == 1) & (action[..., 0] > 0.5)
            return torch.where(bad & broken, torch.nan, -action.sum(-1))

        planner = MPPI(lambda state, action: state + 1, cost, 1, torch.eye(ACTION), horizon=HORIZON,
                       num_samples=CANDIDATES * ITERATIONS, u_min=-torch.ones(ACTION), u_max=torch.ones(ACTION))
        return planner.command(torch.zeros(1)).numpy()[None], None

    return Tried(plan, False, None)


def stable_worldmodel(name: str) -> Tried:
    """A solver of stable-worldmodel."""
    import torch
    from gymnasium.spaces import Box
    from stable_worldmodel import solver

    def plan(seed, count, broken, states):
        model = SimpleNamespace(get_cost=lambda info, actions: -returns(
            actions, broken, lambda bad, nan, total: torch.where(bad, torch.tensor(nan), total)))
        planner = getattr(solver, name)(model, batch_size=states, num_samples=CANDIDATES, n_steps=ITERATIONS,
                                        topk=count, seed=seed)
        planner.configure(action_space=Box(-1, 1, (states, ACTION), np.float32), n_envs=states,
                          config=SimpleNamespace(horizon=HORIZON, action_block=1))
        with contextlib.redirect_stdout(io.StringIO()):
            found = planner.solve({'state': torch.zeros(states, 1)})
        return found['actions'][:, 0].numpy(), found['var'][0].numpy() if 'var' in found else None

    return Tried(plan, True, None)


PLANNERS: dict[str, tuple[str | None, Callable[[], Tried]]] = {
    'planet_jax `cem`': (None, lambda: ours(planning.make_cem)),
    'planet_jax `icem`': (None, lambda: ours(planning.make_icem)),
    'planet_jax `mppi`': (None, lambda: ours(planning.make_mppi)),
    'xwm CEM': ('xwm', lambda: xwm('CEM')),
    'xwm MPPI': ('xwm', lambda: xwm('MPPI')),
    'evosax CMA-ES': ('evosax', evosax_cma),
    'pytorch_mppi': ('pytorch-mppi', pytorch_mppi),
    'stable-worldmodel CEM': ('stable-worldmodel', lambda: stable_worldmodel('CEMSolver')),
    'stable-worldmodel iCEM': ('stable-worldmodel', lambda: stable_worldmodel('ICEMSolver')),
    'stable-worldmodel MPPI': ('stable-worldmodel', lambda: stable_worldmodel('MPPISolver')),
}
"""{row: (the distribution that it needs, its maker)}."""
COLUMNS = ('bounds kept', 'a NaN among the costs', 'one elite', 'the same seed twice', 'several states in one call',
           'inside jit')


def verdicts(tried: Tried) -> tuple[str, ...]:
    """What happens with a planner, a cell for each column."""

    def action(seed=0, elites=ELITES, broken=False, states=1):
        try:
            return tried.plan(seed, elites, broken, states)
        except NotImplementedError:
            return None
        except Exception as error:  # Whatever a library raises is its answer.
            return type(error).__name__

    def sound(found):
        if found is None or isinstance(found, str):
            return found or 'no'
        first, spread = found
        if not np.isfinite(first).all():
            return 'NaN'
        if spread is not None and not np.isfinite(spread).all():
            return 'a plan, but a spread of NaN, which ends the search'
        return 'yes' if (np.abs(first) <= 1).all() else f'no: {np.abs(first).max():.2g}'

    def planned(found):
        told = sound(found)
        return 'a plan' if told == 'yes' or told.startswith('no: ') else told

    def jitted():
        if tried.jitted is None:
            return 'not tried'
        try:
            jax.block_until_ready(tried.jitted())
        except Exception as error:
            return type(error).__name__
        return 'yes'

    plain = action()
    same = isinstance(plain, tuple) and np.array_equal(plain[0], action()[0])
    return (sound(plain), planned(action(broken=True)), planned(action(elites=1)) if tried.elites else 'has none',
            'the same plan' if same else 'another plan', planned(action(states=3)), jitted())


def main() -> None:
    """Prints the table."""
    print(f'| planner | {" | ".join(COLUMNS)} |\n|---|{"---|" * len(COLUMNS)}')
    for name, (package, make) in PLANNERS.items():
        try:
            version = f' {importlib.metadata.version(package)}' if package else ''
        except importlib.metadata.PackageNotFoundError:
            print(f'| {name} | not installed |{" |" * (len(COLUMNS) - 1)}')
            continue
        print(f'| {name}{version} | {" | ".join(verdicts(make()))} |')


if __name__ == '__main__':
    main()
