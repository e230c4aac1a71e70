"""What every planner must do: problems with known optima, bounds of any scale, the same numbers however it is run."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import planning
from tests.planning.table import PLANNERS, methods_first

KEY = jax.random.PRNGKey(0)
every_planner = pytest.mark.parametrize('name', PLANNERS)
DOUBLE_INTEGRATOR, PENDULUM, LQR = 0, 1, 2
STARTS = np.array([[-1, 0], [np.pi, 0], [1, 0]], 'float32')
A, B, Q, R = np.array([[1, 0.2], [0, 0.9]]), np.array([0.02, 0.2]), np.diag([1, 0.1]), 0.05


def dynamics(problem, key, state, action):
    """Three problems in one, so that each planner is compiled once: angle 0 is up, the LQR's control is 2 a."""
    del key
    position, velocity = state
    faster = velocity + 0.2 * action[0]
    moved = position + 0.2 * faster
    integrator = jnp.stack([moved, faster]), -jnp.square(moved - 1) - 0.1 * jnp.square(faster)
    # With a torque of 2 against gravity's 10 it must swing back and forth first.
    speed = jnp.clip(velocity + 0.05 * (15 * jnp.sin(position) + 3 * 2 * action[0]), -8, 8)
    angle = position + 0.05 * speed
    pendulum = jnp.stack([angle, speed]), jnp.cos(angle) - 0.01 * jnp.square(speed)
    control = 2 * action[0]
    linear = A.astype('float32') @ state + B.astype('float32') * control
    lqr = linear, -(linear @ Q.astype('float32') @ linear + R * control**2)
    return jax.tree.map(lambda *leaves: jnp.stack(leaves)[problem], integrator, pendulum, lqr)


@functools.cache
def solved(name):
    """States [3, 100, 2] and rewards [3, 100] of all problems, replanned at every step."""
    sizes = {'candidates': 2000} if name == 'random_shooting' else dict(iterations=6, candidates=300, elites=30)
    planner = PLANNERS[name](action_size=1, horizon=20, **sizes)

    def follow(problem, start):
        def step(carry, key):
            state, left = carry
            plan, left = planner.step(key, planning.rollouts(problem, state, dynamics), left)
            state, reward = dynamics(problem, None, state, plan.actions[0])
            return (state, left), (state, reward)

        return jax.lax.scan(step, (start, planner.init()), jax.random.split(KEY, 100))[1]

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(follow))(np.arange(3), STARTS))


@methods_first()
def test_a_double_integrator_comes_to_rest_at_its_target(name):
    position, velocity = solved(name)[0][DOUBLE_INTEGRATOR, -10:].T
    assert np.abs(position - 1).max() < (0.2 if name == 'random_shooting' else 0.06)
    assert np.abs(velocity).max() < (0.4 if name == 'random_shooting' else 0.2)


@methods_first()
def test_a_pendulum_is_swung_up(name):
    angle = solved(name)[0][PENDULUM, :, 0]
    assert np.cos(angle[0]) < -0.9
    assert np.cos(angle[-10:]).min() > 0.9


@methods_first()
def test_lqr_is_close_to_riccati_s_optimum(name):
    cost = Q
    for _ in range(99):  # of the state that an action leads to, over the steps that are left
        gain = B @ cost @ A / (R + B @ cost @ B)
        closed = A - np.outer(B, gain)
        cost = Q + closed.T @ cost @ closed + R * np.outer(gain, gain)
    gain = B @ cost @ A / (R + B @ cost @ B)
    start = STARTS[LQR].astype(float)
    first = (A - np.outer(B, gain)) @ start
    optimum = first @ cost @ first + R * (gain @ start) ** 2
    found, state, nothing = -solved(name)[1][LQR].sum(), start, 0.0
    for _ in range(100):
        state = A @ state
        nothing += state @ Q @ state
    # Plans by samples have some noise in them: none of it is worth much.
    assert 0 <= (found - optimum) / (nothing - optimum) < (0.08 if name in ('mppi', 'random_shooting') else 0.015)


@functools.cache
def planned(name):
    """(low, high, best) -> the plan, for bounds that are known only when it runs."""

    def plan(low, high, best):
        sizes = {'candidates': 2000} if name == 'random_shooting' else dict(iterations=8, candidates=200, elites=20)
        planner = PLANNERS[name](action_size=1, horizon=2, low=low, high=high, **sizes)
        temper = 100 / jnp.square(high - low)
        return planner.step(KEY, lambda key, actions: -temper * jnp.square(actions - best).sum((1, 2)),
                            planner.init())[0]

    return jax.jit(plan)


@every_planner
@pytest.mark.parametrize('low, high, best', [
    (3, 5, 4.5), (0, 10, 8), (-100, 100, 70), (-0.1, 0, -0.02), (1e4, 1e6, 3e5), (-1, 1, 9)])
def test_bounds_of_any_scale_are_kept_and_searched(name, low, high, best):
    plan = planned(name)(*np.float32([low, high, best]))
    np.testing.assert_allclose(plan.actions, np.full((2, 1), min(best, high)), atol=0.06 * (high - low))
    assert (plan.actions >= np.float32(low)).all() and (plan.actions <= np.float32(high)).all()
    assert (plan.mean >= np.float32(low)).all() and (plan.mean <= np.float32(high)).all()


@every_planner
@pytest.mark.parametrize('bounds, message', [
    (dict(low=1.0, high=-1.0), 'low is 1.0 and high is -1.0, but low must not be above high'),
    (dict(low=[0.0, 1.0], high=[1.0, 0.0]), 'low must not be above'),
    (dict(low=-np.inf), 'without finite bounds'),
    (dict(low=-3e38, high=3e38), 'without finite bounds of a finite width'),
    (dict(high=np.ones(3)), r'high must be a scalar or of the shape \[2\]')])
def test_bounds_that_hold_no_action_are_refused(name, bounds, message):
    with pytest.raises(ValueError, match=message):
        PLANNERS[name](action_size=2, horizon=3, **bounds)


@every_planner
def test_many_states_at_once_are_many_plans_and_nothing_breaks_a_plan(name):
    planner = PLANNERS[name](action_size=2, horizon=3, candidates=24, elites=6, iterations=2)

    def walk(target, key, state, action):
        state = state + jnp.sign(action).sum()  # whole numbers, whose sums have no rounding
        return state, -jnp.abs(state - target)

    def plan(key, state):
        left = planner.init()
        found, left = planner.step(key, planning.rollouts(3.0, state, walk), left)
        return found, left

    @jax.jit
    def both(keys, states):
        broken = planner.step(keys[0], lambda key, actions: jnp.full(len(actions), jnp.nan) * actions[:, 0, 0], None)
        return jax.vmap(plan)(keys, states), jax.lax.map(lambda inputs: plan(*inputs), (keys, states)), broken[0]

    together, alone, broken = both(jax.random.split(KEY, 4), np.arange(-2, 2, dtype='float32'))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), together, alone)
    assert len(np.unique(np.asarray(alone[0].returns)[:, -1, 0])) > 1
    assert (np.abs(broken.actions) <= 1).all() and np.isfinite(broken.std).all()
