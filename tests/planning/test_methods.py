"""The other planners: how each differs from the cross-entropy method, and how plans warm-start the next."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import planning

KEY = jax.random.PRNGKey(0)
SIZES = dict(action_size=2, horizon=4)


def drawn(planner, state=None, last=False, iteration=0):
    """The candidates of an iteration."""
    parts = planner.parts
    return np.asarray(parts.propose(KEY, parts.begin(state), parts.sizes[iteration], last))


def step(planner, score, key=KEY):
    return jax.jit(lambda key, state: planner.step(key, score, state))


def test_coloured_noise_has_its_spectrum_and_variance_one():
    for colour in (0.0, 1.0, 2.0, 3.5):
        filter = np.asarray(planning.coloured(16, colour), float)
        covariance = filter @ filter.T
        np.testing.assert_allclose(np.diag(covariance), np.ones(16), rtol=1e-5)
        power = np.fft.fft(covariance[0]).real[1:9]
        np.testing.assert_allclose(power / power[0], np.arange(1, 9.0) ** -colour, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(planning.coloured(5, 0.0), np.eye(5), atol=1e-6)


def test_a_colour_makes_neighbours_alike():
    for colour in (0.0, 2.0):
        planner = planning.make_icem(action_size=2, horizon=12, candidates=4000, colour=colour, std=1.0, low=-9, high=9)
        filter = np.asarray(planning.coloured(12, colour))
        found = np.corrcoef(drawn(planner)[..., 0].T)
        np.testing.assert_allclose(found, filter @ filter.T, atol=0.08)
        assert (found[0, 1] > 0.5) == (colour > 0)


def test_icem_keeps_elites_from_iteration_to_iteration_and_from_plan_to_plan():
    planner = planning.make_icem(**SIZES, candidates=20, elites=5, keep=3, iterations=1)
    first = drawn(planner, planner.init())
    returns = jnp.asarray(first.sum((1, 2)))
    order = np.argsort(-returns)[:3]
    state, best, elites = planner.parts.update(planner.parts.begin(planner.init()), first, returns)
    np.testing.assert_array_equal(best, first[order[0]])
    np.testing.assert_array_equal(drawn(planner, state)[:3], first[order])
    plan, left = planner.parts.finish(state, best, elites[None])
    np.testing.assert_array_equal(plan.actions, first[order[0]])
    later = drawn(planner, left)[:3]
    np.testing.assert_array_equal(later[:, :-1], first[order][:, 1:])
    np.testing.assert_array_equal(later[:, -1], first[order][:, -1])
    np.testing.assert_array_equal(left.mean[:-1], plan.mean[1:])
    np.testing.assert_array_equal(left.std, planner.init().std)
    # At an episode's begin nothing is known, and nothing is kept.
    assert not np.isin(first[:3], 0).any()


def test_icem_has_the_mean_among_its_last_candidates_only():
    planner = planning.make_icem(**SIZES, candidates=20, elites=5)
    state = planner.init().replace(mean=jnp.full((4, 2), 0.25))
    assert (drawn(planner, state, last=True) == 0.25).all((1, 2)).sum() == 1
    assert not (drawn(planner, state) == 0.25).all((1, 2)).any()


def test_momentum_holds_on_to_the_old_mean_and_spread():
    def fitted(momentum):
        planner = planning.make_icem(**SIZES, candidates=20, elites=5, momentum=momentum)
        actions = drawn(planner, planner.init())
        return planner.parts.update(planner.parts.begin(planner.init()), actions, jnp.asarray(actions.sum((1, 2))))[0]

    free, held = fitted(0.0), fitted(0.25)
    np.testing.assert_allclose(held.mean, 0.75 * free.mean, rtol=1e-5)
    np.testing.assert_allclose(held.std, 0.75 * free.std + 0.25 * 0.5, rtol=1e-5)


def test_the_population_decays_but_stays_above_twice_the_elites():
    planner = planning.make_icem(**SIZES, iterations=4, candidates=100, elites=20, decay=2.0)
    assert planner.parts.sizes == (100, 50, 40, 40)
    seen = []

    def score(key, actions):
        seen.append(len(actions))
        return actions.sum((1, 2))

    plan, _ = step(planner, score)(KEY, planner.init())
    assert tuple(seen) == planner.parts.sizes and plan.returns.shape == (4, 20)


def test_icem_executes_the_mean_or_the_best():
    target = jnp.array([0.5, -0.25])

    def score(key, actions):
        return -jnp.square(actions - target).sum((1, 2))

    best, mean = (step(planning.make_icem(**SIZES, execute=execute), score)(KEY, planning.make_icem(**SIZES).init())[0]
                  for execute in ('best', 'mean'))
    np.testing.assert_array_equal(mean.actions, mean.mean)
    np.testing.assert_allclose(score(None, best.actions[None])[0], best.returns[-1, 0], rtol=1e-4)
    assert (best.actions != best.mean).any()


def test_mppi_weighs_its_elites_by_their_returns():
    planner = planning.make_mppi(**SIZES, candidates=20, elites=6, temperature=2.0, least_std=0.1, most_std=0.3)
    actions = drawn(planner, planner.init())
    returns = actions.sum((1, 2), dtype='float64')
    state, _, elites = planner.parts.update(planner.init(), actions, jnp.asarray(returns, jnp.float32))
    order = np.argsort(-returns)[:6]
    weights = np.exp(2 * returns[order])[:, None, None] / np.exp(2 * returns[order]).sum()
    mean = (weights * actions[order]).sum(0)
    std = np.sqrt((weights * (actions[order] - mean) ** 2).sum(0))
    np.testing.assert_allclose(state.mean, mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(state.std, std.clip(0.1, 0.3), rtol=1e-4)
    np.testing.assert_allclose(elites, returns[order], rtol=1e-5)


@pytest.mark.parametrize('returns', [[np.nan] * 6, [np.inf] * 6, [3e38, -3e38, np.nan, -np.inf, 0, np.inf]])
def test_mppi_gives_a_mean_whatever_the_returns_are(returns):
    planner = planning.make_mppi(**SIZES, candidates=6, elites=6)
    actions = drawn(planner, planner.init())
    state, *_ = planner.parts.update(planner.init(), actions, jnp.array(returns, jnp.float32))
    assert np.isfinite(state.mean).all() and (np.abs(state.mean) <= 1).all() and np.isfinite(state.std).all()


def test_random_shooting_is_the_best_of_uniform_sequences():
    planner = planning.make_random_shooting(**SIZES, candidates=2000, low=[0.0, -4.0], high=[1.0, -2.0])
    actions = drawn(planner)
    for size, (low, high) in enumerate([(0, 1), (-4, -2)]):
        shares = np.histogram(actions[..., size], bins=5, range=(low, high))[0] / actions[..., size].size
        np.testing.assert_allclose(shares, np.full(5, 0.2), atol=0.02)
    plan, left = step(planner, lambda key, actions: actions.sum((1, 2)))(KEY, planner.init())
    assert left is None and plan.returns.shape == (1, 1)
    np.testing.assert_allclose(plan.actions.sum(), plan.returns[0, 0], rtol=1e-5)


@pytest.mark.parametrize('planner', [
    planning.make_icem(**SIZES, candidates=20), planning.make_icem(**SIZES, candidates=20, keep=0, execute='mean'),
    planning.make_mppi(**SIZES, candidates=20, elites=6), planning.make_cem(**SIZES, candidates=20, elites=6,
                                                                            warm_start=True),
    planning.make_categorical(categories=3, horizon=4, candidates=20, warm_start=True)])
@pytest.mark.parametrize('same', [0.0, 24.0, -np.inf, np.nan])
def test_returns_that_are_all_the_same_lead_back_to_the_first_proposal(planner, same):
    told = step(planner, lambda key, actions: actions[..., 0].sum(1))(KEY, planner.init())[1]
    plan, left = step(planner, lambda key, actions: jnp.full(len(actions), same))(KEY, told)
    fresh = planner.init()
    assert (told.mean != fresh.mean).any()
    for name in ('mean', 'std', 'known'):
        np.testing.assert_array_equal(getattr(left, name), getattr(fresh, name))
    assert np.isfinite(plan.actions).all()
    # One candidate that differs is enough.
    _, left = step(planner, lambda key, actions: (jnp.arange(len(actions)) == 7) * 1.0)(KEY, told)
    assert (left.mean != fresh.mean).any()


@pytest.mark.parametrize('make, options, message', [
    (planning.make_icem, dict(keep=11), 'keep is 11, but must be 0 to 10'),
    (planning.make_icem, dict(decay=0.9), 'decay is 0.9'),
    (planning.make_icem, dict(momentum=1.0), 'momentum is 1.0'),
    (planning.make_icem, dict(execute='worst'), "'mean' or 'best', not 'worst'"),
    (planning.make_mppi, dict(temperature=-1.0), 'temperature is -1.0'),
    (planning.make_mppi, dict(least_std=3.0), 'least_std is 3.0 and most_std 2.0'),
    (planning.make_cem, dict(low=1.0, high=-1.0), 'low is 1.0 and high is -1.0'),
    (planning.make_random_shooting, dict(high=np.inf), 'high is inf, but without finite bounds'),
    (planning.make_icem, dict(low=[-1.0, -1.0, -1.0]), r'low must be a scalar or of the shape \[2\]'),
])
def test_impossible_settings_are_refused(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**SIZES, **options)
