"""The cross-entropy method: problems with a known answer, its formulae and its edges."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planet_jax import planning
from planet_jax.planning import methods

KEY = jax.random.PRNGKey(0)

def compiled(function, **options):
    """Jitted, with NumPy results: looking at parts of JAX arrays would compile a program for each shape."""
    jitted = jax.jit(function, **options)
    return lambda *arguments, **named: jax.tree.map(np.asarray, jitted(*arguments, **named))


sizes = ('action_size', 'horizon', 'iterations', 'candidates', 'elites')
refit = compiled(planning.refit, static_argnames=('elites', 'std_estimator'))
search = compiled(planning.search, static_argnames=('score', 'std_estimator', *sizes))
cem = compiled(planning.cem, static_argnames=('dynamics', 'sample_root', *sizes))


def walk(params, key, state, action):
    """Whole steps left and right on a line. Every reward is a whole number, so its sum has no rounding."""
    del key
    state = state + jnp.sign(action).sum()
    return state, -jnp.abs(state - params)


walk_options = dict(action_size=2, horizon=3, iterations=2, candidates=32, elites=8)


def plan_walk(key, state):
    return planning.cem(3.0, key, state, walk, **walk_options)


# Problems with a known answer.


@pytest.mark.parametrize('std_estimator', ['std', 'mean_absolute'])
def test_finds_the_top_of_a_quadratic(std_estimator):
    target = jnp.array([[0.5, -0.25], [-0.75, 0.0], [0.1, 0.9]])
    plan = search(KEY, lambda key, actions: -jnp.square(actions - target).sum((1, 2)), action_size=2, horizon=3,
                          iterations=15, candidates=300, elites=30, std_estimator=std_estimator)
    np.testing.assert_allclose(plan.mean, target, atol=0.02)
    assert plan.returns.shape == (15, 30)
    assert (np.diff(plan.returns, axis=1) <= 0).all()
    assert plan.returns[-1, -1] > plan.returns[0, 0]
    assert (plan.std < 0.05).all()


def follow(dynamics, start, steps, **options):
    """Replans at every step and takes the first action of each plan; returns all states."""

    def step(state, key):
        plan = planning.cem(None, key, state, dynamics, action_size=1, **options)
        state, _ = dynamics(None, key, state, plan.mean[0])
        return state, state

    return compiled(lambda: jax.lax.scan(step, start, jax.random.split(KEY, steps))[1])()


def test_brings_a_double_integrator_to_its_target():
    def dynamics(params, key, state, action):
        del params, key
        position, velocity = state
        velocity = velocity + 0.2 * action[0]
        position = position + 0.2 * velocity
        return (position, velocity), -jnp.square(position - 1) - 0.1 * jnp.square(velocity)

    position, velocity = follow(dynamics, (np.float32(-1), np.float32(0)), 50, horizon=15, iterations=8,
                                candidates=200, elites=20)
    assert np.abs(position[-5:] - 1).max() < 0.05
    assert np.abs(velocity[-5:]).max() < 0.1


def test_swings_a_pendulum_up():
    # With a torque of 2 against gravity's 10 it must swing back and forth first; angle 0 is up.
    def dynamics(params, key, state, action):
        del params, key
        angle, velocity = state
        velocity = jnp.clip(velocity + 0.05 * (15 * jnp.sin(angle) + 3 * 2 * action[0]), -8, 8)
        angle = angle + 0.05 * velocity
        return (angle, velocity), jnp.cos(angle) - 0.01 * jnp.square(velocity)

    angle, _ = follow(dynamics, (np.float32(np.pi), np.float32(0)), 120, horizon=20, iterations=4, candidates=100,
                      elites=10)
    assert np.cos(angle[0]) < -0.9
    assert np.cos(angle[-10:]).min() > 0.95


# What it is made of.


def test_one_iteration_with_one_elite_is_random_shooting(monkeypatch):
    proposed = np.random.default_rng(0).uniform(-1, 1, (16, 4, 2)).astype('float32')
    monkeypatch.setattr(methods, 'propose', lambda *arguments, **options: jnp.asarray(proposed))
    plan = compiled(lambda: planning.cem(3.0, KEY, jnp.float32(0), walk, action_size=2, horizon=4, iterations=1,
                                        candidates=16, elites=1))()
    returns = -np.abs(np.sign(proposed).sum(2).cumsum(1) - 3).sum(1)
    np.testing.assert_array_equal(plan.mean, proposed[returns.argmax()])
    np.testing.assert_array_equal(plan.returns, [[returns.max()]])
    assert np.unique(returns).size > 1


def test_proposals_are_normal_and_clipped():
    mean, std = np.full((2, 1), 0.5, 'float32'), np.array([[0.1], [2.0]], 'float32')
    actions = compiled(lambda: planning.propose(KEY, mean, std, candidates=4000))()
    assert actions.shape == (4000, 2, 1)
    np.testing.assert_allclose([actions[:, 0].mean(), actions[:, 0].std()], [0.5, 0.1], atol=0.01)
    # P(x > 1) and P(x < -1) of Normal(0.5, 2).
    np.testing.assert_allclose([(actions[:, 1] == 1).mean(), (actions[:, 1] == -1).mean()], [0.401, 0.227], atol=0.03)
    assert np.abs(actions).max() <= 1


@pytest.mark.parametrize('elites', [2, 5, 20])
def test_spreads_are_their_formulae(elites):
    rng = np.random.default_rng(0)
    actions, returns = rng.uniform(-1, 1, (20, 3, 2)).astype('float32'), rng.permutation(20).astype('float32')
    order = np.argsort(-returns)[:elites]
    chosen = actions[order]
    center = chosen.sum(0) / elites
    expected = {
        'std': np.sqrt(((chosen - center)**2).sum(0) / elites + 1e-6),
        'mean_absolute': np.abs(chosen - center).sum(0) / (elites - 1),
    }
    for std_estimator, value in expected.items():
        mean, deviation, best = refit(actions, returns, elites=elites, std_estimator=std_estimator)
        np.testing.assert_allclose(mean, center, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(deviation, value, rtol=1e-5)
        np.testing.assert_array_equal(best, returns[order])


@pytest.mark.parametrize('std_estimator', ['std', 'mean_absolute'])
def test_one_elite_has_the_smallest_spread(std_estimator):
    actions = np.arange(6, dtype='float32').reshape(3, 2, 1)
    mean, deviation, best = refit(actions, np.array([0, 2, 1], 'float32'), elites=1, std_estimator=std_estimator)
    np.testing.assert_array_equal(mean, actions[1])
    np.testing.assert_array_equal(deviation, np.full((2, 1), 1e-3, 'float32'))
    assert best == 2


def test_not_a_number_ranks_last_after_minus_infinity():
    returns = np.array([np.nan, -np.inf, 1, -np.nan, 2, -np.inf, np.inf], 'float32')
    # The mean of powers of two says which ones were chosen.
    actions = (2**np.arange(7)).astype('float32')[:, None, None]
    for elites, chosen in [(1, [6]), (3, [6, 4, 2]), (5, [6, 4, 2, 1, 5]), (6, [6, 4, 2, 1, 5, 0])]:
        mean, _, best = refit(actions, returns, elites=elites)
        np.testing.assert_allclose(mean[0, 0] * elites, sum(2.0**i for i in chosen), rtol=1e-6)
        np.testing.assert_array_equal(best, returns[chosen])


@pytest.mark.parametrize('target, expected', [((-9, 9), (-2, 3)), ((9, -9), (0.5, 1)), ((-1, 2), (-1, 2))])
def test_bounds_of_each_action_dimension(target, expected):
    plan = search(KEY, lambda key, actions: -jnp.square(actions - jnp.array(target)).sum((1, 2)), action_size=2,
                          horizon=2, iterations=15, candidates=400, elites=40, low=np.array([-2, 1], 'float32'),
                  high=np.array([0.5, 3], 'float32'))
    np.testing.assert_allclose(plan.mean, [expected] * 2, atol=0.03)


def test_first_proposal_comes_from_the_given_mean_and_std():
    mean = np.linspace(-0.5, 0.5, 6, dtype='float32').reshape(3, 2)
    plan = search(KEY, lambda key, actions: jnp.zeros(50), action_size=2, horizon=3, iterations=1,
                          candidates=50, elites=50, mean=mean, std=0.01)
    np.testing.assert_allclose(plan.mean, mean, atol=0.01)
    np.testing.assert_allclose(plan.std, np.full((3, 2), 0.01), rtol=0.5)


def test_score_is_the_sum_of_the_rewards_of_the_next_states():
    def count(params, key, state, action):
        return state + 1, (state + 1) * params

    plan = cem(10.0, KEY, jnp.float32(0), count, action_size=1, horizon=4, iterations=2, candidates=3, elites=2)
    np.testing.assert_array_equal(plan.returns, np.full((2, 2), 10.0 * (1 + 2 + 3 + 4)))


def test_sample_root_gives_each_candidate_a_start_of_its_own():
    def stay(params, key, state, action):
        return state, state['x']

    def returns(sample_root):
        return cem(None, KEY, {'x': jnp.float32(5)}, stay, action_size=1, horizon=2, iterations=1,
                           candidates=400, elites=400, sample_root=sample_root).returns[0]

    np.testing.assert_array_equal(returns(None), np.full(400, 10.0))
    sampled = np.asarray(returns(lambda key, root: {'x': root['x'] + jax.random.normal(key)}))
    assert np.unique(sampled).size > 390
    np.testing.assert_allclose([sampled.mean(), sampled.std()], [10, 2], atol=0.3)


def test_candidates_steps_and_iterations_have_noise_of_their_own():
    def noisy(params, key, state, action):
        return state, jax.random.normal(key)

    plan = cem(None, KEY, jnp.float32(0), noisy, action_size=1, horizon=9, iterations=3, candidates=400,
                       elites=400)
    assert np.unique(plan.returns).size > 1190
    # Nine draws of one normal would have a deviation of 9, or of 0 if they were all one.
    np.testing.assert_allclose(plan.returns.std(1), np.full(3, 3.0), rtol=0.15)


# The same numbers however it is run.


def test_many_states_at_once_are_many_plans():
    keys, states = np.asarray(jax.random.split(KEY, 6)), np.arange(-3, 3, dtype='float32')
    together = compiled(jax.vmap(plan_walk))(keys, states)
    alone = jax.tree.map(lambda *leaves: np.stack(leaves), *map(compiled(plan_walk), keys, states))
    np.testing.assert_array_equal(together.returns, alone.returns)
    np.testing.assert_allclose(together.mean, alone.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(together.std, alone.std, rtol=1e-5, atol=1e-6)
    assert np.unique(alone.returns[:, -1, 0]).size > 1


@pytest.mark.slow  # Of the world model it is tested always.
def test_jit_changes_nothing():
    def plan():
        return planning.search(KEY, lambda key, actions: jnp.sign(actions).sum((1, 2)), action_size=1, horizon=3,
                              iterations=2, candidates=8, elites=3)

    with jax.disable_jit():
        plain = plan()
    once = compiled(plan)()
    np.testing.assert_array_equal(once.returns, plain.returns)
    np.testing.assert_allclose(once.mean, plain.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(once.std, plain.std, rtol=1e-5, atol=1e-6)


def test_other_keys_make_other_plans():
    first, second = compiled(lambda: [planning.propose(key, jnp.zeros((2, 1)), jnp.full((2, 1), 0.1), candidates=3)
                                      for key in jax.random.split(KEY)])()
    assert not np.isin(first, second).any()


# Whatever the scores are (case 9 of docs/reliability.md).


@functools.partial(compiled, static_argnames='std_estimator')
def plan_with(key, returns, mean, std, low, high, std_estimator):
    return planning.search(key, lambda key, actions: returns, action_size=2, horizon=2, iterations=3, candidates=5,
                          elites=3, low=low, high=high, mean=mean, std=std, std_estimator=std_estimator)


bounds = st.lists(st.floats(-10, 10, width=32, allow_subnormal=False), min_size=2, max_size=2)
returns = st.one_of(
    st.sampled_from([0.0, 1e38, -1e38, jnp.nan, jnp.inf, -jnp.inf]).map(lambda value: [value] * 5),
    st.lists(st.one_of(st.floats(width=32), st.just(jnp.nan)), min_size=5, max_size=5))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(returns=returns, first=bounds, second=bounds, mean=st.sampled_from([0.0, 0.3, -20.0]),
       std=st.sampled_from([0.0, 1e-30, 1.0, 1e6]), std_estimator=st.sampled_from(['std', 'mean_absolute']))
def test_actions_stay_finite_and_inside_their_bounds(returns, first, second, mean, std, std_estimator):
    low, high = np.minimum(first, second).astype('float32'), np.maximum(first, second).astype('float32')
    plan = plan_with(KEY, np.array(returns, 'float32'), mean, std, low, high, std_estimator)
    assert np.isfinite(plan.mean).all() and np.isfinite(plan.std).all()
    assert (plan.std >= 0.999e-3).all()
    assert (plan.mean >= low).all() and (plan.mean <= high).all()


refit_three = compiled(functools.partial(planning.refit, elites=3), static_argnames='std_estimator')


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(returns=returns, actions=st.lists(st.floats(-1, 1, width=32, allow_subnormal=False), min_size=5, max_size=5),
       std_estimator=st.sampled_from(['std', 'mean_absolute']))
def test_a_fit_is_finite_and_between_its_elites(returns, actions, std_estimator):
    actions, returns = np.array(actions, 'float32')[:, None, None], np.array(returns, 'float32')
    mean, std, best = refit_three(actions, returns, std_estimator=std_estimator)
    assert np.isfinite(mean) and np.isfinite(std) and std >= 0.999e-3
    assert actions.min() - 1e-6 <= mean.item() <= actions.max() + 1e-6
    assert np.isnan(best).sum() == max(np.isnan(returns).sum() - 2, 0)


@pytest.mark.parametrize('broken', [jnp.nan, jnp.inf, -jnp.inf])
def test_dynamics_that_give_no_numbers_still_give_an_action(broken):
    plan = cem(None, KEY, jnp.zeros(3), lambda params, key, state, action: (state * broken, state.sum() + broken),
               action_size=2, horizon=2, iterations=2, candidates=10, elites=3)
    assert (np.abs(plan.mean) <= 1).all() and np.isfinite(plan.std).all()


@pytest.mark.parametrize('elites', [1, 3, 7, 10, 49, 100])
def test_the_mean_of_elites_at_a_bound_is_that_bound_exactly_at_most(elites):
    plan = search(KEY, lambda key, actions: actions.sum((1, 2)), action_size=1, horizon=1, iterations=2,
                          candidates=300, elites=elites, low=-0.1, high=0.1, std=1e3)
    assert np.float32(0.0999) < plan.mean <= np.float32(0.1)


# What is refused.


@pytest.mark.parametrize('options, message', [
    (dict(elites=5), 'There are 4 candidates, so elites must be 1 to 4, not 5'),
    (dict(elites=0), 'elites must be 1 to 4, not 0'),
    (dict(horizon=0), 'horizon and the action size must be at least 1, not 0 and 1'),
    (dict(iterations=0), 'iterations must be at least 1, not 0'),
    (dict(std_estimator='variance'), "must be 'std' or 'mean_absolute', not 'variance'"),
])
def test_impossible_settings_are_refused(options, message):
    options = dict(action_size=1, horizon=3, iterations=2, candidates=4, elites=2) | options
    with pytest.raises(ValueError, match=message):
        planning.search(KEY, lambda key, actions: actions.sum((1, 2)), **options)


@pytest.mark.parametrize('score', [lambda key, actions: actions.sum(), lambda key, actions: actions.sum(2)])
def test_scores_of_another_shape_are_refused(score):
    with pytest.raises(ValueError, match='one number for each of the 4 candidates'):
        planning.search(KEY, score, action_size=1, horizon=3, iterations=1, candidates=4, elites=2)
