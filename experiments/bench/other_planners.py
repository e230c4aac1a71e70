"""Times a plan of this project's planners, and of others' that are installed, for the same dynamics.

    python -m experiments.bench.other_planners --repeats 9

The dynamics are a residual network, S = 30, A = 6, one hidden layer of 200, whose reward is linear in the next state.
The others are xwm (JAX) and pytorch_mppi (PyTorch), best in an environment of their own that sees this one's packages
too. Each has the same sequences, horizon and iterations, and is compiled as its authors do.
"""

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.bench import meter as meters
from experiments.bench import results
from experiments.bench.options import Options, Row
from planet_jax import planning
from planet_jax.cli.values import REGISTRY

HORIZON, STATE, ACTION, HIDDEN = 12, 30, 6, 200
SIZES = {'210': (70, 3, 10), '10000': (1000, 10, 100)}
"""Sequences: J, I and K of the cross-entropy methods. Path integrals take all sequences in one iteration."""


def weights() -> tuple[np.ndarray, ...]:
    """The network: [S + A, hidden], [hidden, S] and the reward's [S]."""
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=shape, scale=shape[0] ** -0.5).astype(np.float32)
                 for shape in ((STATE + ACTION, HIDDEN), (HIDDEN, STATE), (STATE,)))


def dynamics(params: Any, key: Any, state: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One step; state [S], action [A]."""
    del key
    first, second, reward = params
    state = state + 0.1 * jnp.tanh(jax.nn.relu(jnp.concatenate([state, action]) @ first) @ second)
    return state, state @ reward


def ours(make: Callable[..., planning.Planner], **sizes: int) -> Callable[[], Any]:
    """A plan of this project."""
    planner, params = make(action_size=ACTION, horizon=HORIZON, **sizes), weights()
    step = jax.jit(lambda key, root, state: planner.step(key, planning.rollouts(params, root, dynamics), state),
                   compiler_options=planning.compiler_options(jax.default_backend()))
    return functools.partial(step, jax.random.key(0), jnp.zeros(STATE), planner.init())


def xwm_plan(name: str, **sizes: int) -> Callable[[], Any]:
    """A plan of xwm, which minimises a cost of the next state."""
    from xwm import planning as theirs
    first, second, reward = weights()
    planner = getattr(theirs, name)(HORIZON, ACTION, **sizes)

    def move(state, action, key=None):
        return dynamics((first, second, reward), key, state, action)[0]

    def cost(state, action, time):
        return -(state @ reward)

    plan = jax.jit(lambda key, root: planner.plan(key, move, root, cost).actions)
    return functools.partial(plan, jax.random.key(0), jnp.zeros(STATE))


def pytorch_mppi_plan(sequences: int) -> Callable[[], Any]:
    """A plan of pytorch_mppi, on as many cores as this process may use."""
    import torch
    from pytorch_mppi import MPPI

    from planet_jax import envs
    torch.set_num_threads(envs.cores())
    first, second, reward = map(torch.tensor, weights())

    def move(state, action):
        return state + 0.1 * torch.tanh(torch.relu(torch.cat([state, action], -1) @ first) @ second)

    planner = MPPI(move, lambda state, action: -(state @ reward), STATE, torch.eye(ACTION), num_samples=sequences,
                   horizon=HORIZON, u_min=-torch.ones(ACTION), u_max=torch.ones(ACTION))
    root = torch.zeros(STATE)

    def plan():
        with torch.inference_mode():
            return planner.command(root).numpy()

    return plan


def rows() -> dict[str, tuple[str | None, Callable[[], Callable[[], Any]]]]:
    """{row: (the package that it needs, maker of its plan)}."""
    found: dict[str, tuple[str | None, Callable[[], Callable[[], Any]]]] = {}
    for name, (candidates, iterations, elites) in SIZES.items():
        sequences = candidates * iterations
        found |= {
            f'cem {name}': (None, functools.partial(ours, planning.make_cem, candidates=candidates,
                                                    iterations=iterations, elites=elites)),
            f'xwm CEM {name}': ('xwm', functools.partial(xwm_plan, 'CEM', n_samples=candidates, n_iters=iterations,
                                                         n_elites=elites)),
            f'icem {name}': (None, functools.partial(ours, planning.make_icem, candidates=candidates,
                                                     iterations=iterations, elites=elites)),
            f'mppi {name}': (None, functools.partial(ours, planning.make_mppi, candidates=sequences, iterations=1,
                                                     elites=sequences)),
            f'xwm MPPI {name}': ('xwm', functools.partial(xwm_plan, 'MPPI', n_samples=sequences, n_iters=1)),
            f'pytorch_mppi {name}': ('pytorch_mppi', functools.partial(pytorch_mppi_plan, sequences)),
        }
    return found


def main(options: Options) -> None:
    """Measures and reports; what is not installed is named."""
    meter, measured, missing = meters.Meter(options.size), [], set()
    for name, (package, make) in rows().items():
        if package and importlib.util.find_spec(package) is None:
            missing.add(package)
            continue
        timed: Row = meter.time(make(), options.repeats)
        measured.append({'row': name, 'milliseconds': 1000 * timed['seconds'], **timed})
    results.finish('other_planners', options, meter, measured)
    for package in sorted(missing):
        print(f'{package} is not installed, so its rows were left out.')


if __name__ == '__main__':
    main(tyro.cli(Options, registry=REGISTRY))
