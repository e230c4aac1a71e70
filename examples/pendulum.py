"""The planner alone: it swings up and balances a pendulum in pure JAX whose motor is too weak to lift it directly.

    python examples/pendulum.py

`cem` knows nothing of pendulums: it plans over any function (params, key, state, action) -> (state, reward).
"""

import jax
import jax.numpy as jnp
import tyro

from planet_jax import cem

TIME_STEP = 0.05  # seconds


def dynamics(params, key, state, action):
    """One step of a pendulum: state (angle [], velocity []), 0 is up; action [1] in [-1, 1]; reward [] at most 1."""
    del key  # Only stochastic dynamics need it.
    angle, velocity = state
    velocity = velocity + TIME_STEP * (1.5 * params['gravity'] * jnp.sin(angle) + 3 * params['torque'] * action[0])
    velocity = jnp.clip(velocity, -8, 8)
    angle = angle + TIME_STEP * velocity
    return (angle, velocity), jnp.cos(angle) - 0.01 * velocity**2


def main(steps: int = 120, horizon: int = 20, iterations: int = 4, candidates: int = 100, elites: int = 10):
    """Plan at every step, take the first action of the plan, and plan again from the next state.

    Args:
        steps: to take.
        horizon: steps that a plan looks ahead.
        iterations: of a plan.
        candidates: action sequences of an iteration.
        elites: the best of them, to which the next iteration is fitted.
    """
    params = {'gravity': 10.0, 'torque': 2.0}
    plan = jax.jit(lambda key, state: cem(params, key, state, dynamics, action_size=1, horizon=horizon,
                                          iterations=iterations, candidates=candidates, elites=elites))
    state = jnp.float32(jnp.pi), jnp.float32(0)
    for step in range(steps):
        found = plan(jax.random.key(step), state)
        action = found.mean[0]  # [H, A] -> [A]
        state, reward = dynamics(params, None, state, action)
        if step % 5 == 0:
            height = float(jnp.cos(state[0]))
            print(f'{step * TIME_STEP:5.2f} s  {"#" * round(20 * (height + 1)):40}  height {height:5.2f}  '
                  f'torque {params["torque"] * action[0]:5.2f}  expected of the next {horizon} steps '
                  f'{found.returns[-1].mean():6.2f}')


if __name__ == '__main__':
    tyro.cli(main)
