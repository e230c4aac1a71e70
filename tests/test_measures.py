"""Measures of a model, on a world with known errors: a point moves by its action, and its position is the reward."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import measures
from planet_jax.runs.measuring import plain, unexplained
from planet_jax.types import Latent, Trajectory, WorldModel

ROWS, HORIZON = 40, 3
KEY = np.asarray(jax.random.PRNGKey(0))


def initial():
    return Latent(jnp.zeros(2), jnp.ones(2), jnp.zeros(2), jnp.zeros(0))


def prior(params, key, latent, action):
    mean = latent.stochastic + jnp.array([action[0] + params['drift'], 0])
    return Latent(mean, jnp.full(2, params['prior_std']), mean + params['noise'], jnp.zeros(0))


def posterior(params, key, prior, embedding):
    mean = embedding + jnp.array([params['blur'], 0])
    return Latent(mean, jnp.ones(2), mean, jnp.zeros(0))


MODEL = WorldModel(
    init=lambda key: {}, initial=initial, prepare=lambda key, observation: jnp.asarray(observation), prior=prior,
    encode=lambda params, seen: jnp.array([seen[0], 0]), posterior=posterior, resample=lambda key, latent: latent,
    decode=lambda params, features: features, reward=lambda params, features: features[0])
"""Each step ahead is off by `drift`, each reconstruction by `blur`, each sample of the prior by `noise`."""


def episodes(*, steps, lengths):
    """The point moves by a fixed step in each episode."""
    position = np.stack([step * np.arange(ROWS) for step in steps]).astype(np.float32)
    action = np.broadcast_to(np.array(steps)[:, None, None], (len(steps), ROWS, 1)).astype(np.float32)
    valid = np.arange(ROWS) < np.array(lengths)[:, None]
    observation = np.stack([position, np.zeros_like(position)], -1)
    return Trajectory(observation * valid[..., None], action * valid[..., None], position * valid,
                      np.array(lengths, np.int32))


@functools.cache
def compiled(model):
    mean = np.zeros(2, np.float32), np.float32(0)
    return jax.jit(lambda params, data: measures.of_episodes(
        model, params, KEY, data, mean, free_nats=1.0, horizon=HORIZON, stride=2))


def measured(data, model=MODEL, **faults):
    params = dict(drift=0.0, blur=0.0, prior_std=1.0, noise=0.0) | faults
    return jax.tree.map(np.asarray, compiled(model)(params, data))


def test_a_perfect_model_has_no_errors_and_its_baselines_are_known():
    found = measured(episodes(steps=[0.5, -1.0], lengths=[ROWS, ROWS]))
    assert found['r2'] == pytest.approx(1)
    for kind in ('filtering', 'open_loop'):
        for of in ('observation', 'moving', 'reward'):
            np.testing.assert_allclose(found[f'{kind}/{of}'], 0, atol=1e-9)
    # Nothing moves: off by h steps of 0.5 and 1, and of the two entries only one moves.
    still = (0.25 + 1) / 2 * np.arange(1, HORIZON + 1)**2
    np.testing.assert_allclose(found['still/reward'], still, rtol=1e-5)
    np.testing.assert_allclose(found['still/observation'], still / 2, rtol=1e-5)
    # The mean is 0: off by the position itself, at starts 4, 6, ..., 36.
    positions = np.arange(4, ROWS - HORIZON, 2) + np.arange(1, HORIZON + 1)[:, None]
    np.testing.assert_allclose(found['mean/reward'], (0.25 + 1) / 2 * np.square(positions).mean(1), rtol=1e-5)
    np.testing.assert_allclose(found['mean/moving'], found['mean/reward'], rtol=1e-5)
    rows = np.arange(measures.CONTEXT, ROWS)
    np.testing.assert_allclose(found['filtering_mean/reward'], (0.25 + 1) / 2 * np.square(rows).mean(), rtol=1e-5)


def test_errors_of_drift_and_blur_are_those_that_were_put_in():
    found = measured(episodes(steps=[0.5, 0.5], lengths=[ROWS, ROWS]), drift=0.1, blur=0.2)
    assert found['filtering/reward'] == pytest.approx(0.04, rel=1e-3)
    assert found['filtering/observation'] == pytest.approx(0.02, rel=1e-3)
    ahead = np.square(0.2 + 0.1 * np.arange(1, HORIZON + 1))
    np.testing.assert_allclose(found['open_loop/reward'], ahead, rtol=1e-3)
    np.testing.assert_allclose(found['open_loop/observation'], ahead / 2, rtol=1e-3)
    # The sum of the rewards after starts 4, 6, ... is off by 0.3 + 0.4 + 0.5 each time.
    sums = 0.5 * (3 * np.arange(4, ROWS - HORIZON, 2) + 6)
    assert found['r2'] == pytest.approx(1 - 1.2**2 / sums.var(), rel=1e-3)
    np.testing.assert_allclose(found['calibration/predicted'] - found['calibration/true'], 1.2, rtol=1e-4)


def test_several_parts_have_an_error_each_and_their_mean():
    parted = MODEL._replace(prepare=lambda key, observation: observation,
                            encode=lambda params, seen: jnp.array([seen['place'][0], 0]),
                            decode=lambda params, features: {'place': features[:1], 'still': features[1:]})
    data = episodes(steps=[0.5, 0.5], lengths=[ROWS, 30])
    whole = measured(data, drift=0.1, blur=0.2)
    data = data.replace(observation={'place': data.observation[..., :1], 'still': data.observation[..., 1:]})
    mean = jax.jit(functools.partial(measures.data_mean, parted))(KEY, data)
    assert jax.tree.map(jnp.shape, mean) == ({'place': (1,), 'still': (1,)}, ())
    mean = jax.tree.map(np.zeros_like, mean)
    found = jax.jit(lambda params, data: measures.of_episodes(
        parted, params, KEY, data, mean, free_nats=1.0, horizon=HORIZON, stride=2))(
            dict(drift=0.1, blur=0.2, prior_std=1.0, noise=0.0), data)
    for name, value in whole.items():  # Each part has one of two entries, and only that of the place moves.
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)
        if name.endswith('observation'):
            np.testing.assert_allclose(found[f'{name}/place'], 2 * value, rtol=1e-5)
            np.testing.assert_allclose(found[f'{name}/still'], 0, atol=1e-9)
        if name.endswith('moving'):
            np.testing.assert_allclose(found[f'{name}/place'], value, rtol=1e-5)
            assert np.isnan(found[f'{name}/still']).all()
    # A part that does not vary counts nothing.
    assert unexplained(plain(found)) == pytest.approx(unexplained(plain(whole)), rel=1e-4)


def test_rows_after_the_end_count_nothing():
    short, whole = (episodes(steps=[0.5, 0.5], lengths=[rows, rows]) for rows in (20, ROWS))
    junk = short.replace(observation=short.observation + np.where(np.arange(ROWS) < 20, 0, 7.0)[:, None].astype('f'))
    found, clean = measured(junk, drift=0.1), measured(whole, drift=0.1)
    assert found['r2'] > 0.9 and found['filtering/observation'] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(found['open_loop/reward'], clean['open_loop/reward'], rtol=1e-3)
    assert np.isnan(found['kl/by_step'][20:]).all() and np.isfinite(found['kl/by_step'][:20]).all()


def test_the_divergence_is_that_of_two_gaussians_and_counts_as_under_the_free_nats():
    # The prior of row 0 is the initial state moved by its action, 0.5, while the posterior sees 0.
    found = measured(episodes(steps=[0.5, 0.5], lengths=[ROWS, ROWS]), prior_std=2.0)
    flat = 2 * (np.log(2) + 1 / 8 - 1 / 2)
    np.testing.assert_allclose(found['kl/by_step'][1:], flat, rtol=1e-4)
    assert found['kl/by_step'][0] == pytest.approx(flat + 0.25 / 8, rel=1e-4)
    assert found['under_free_nats'] == 1 and flat < 1
    assert measures.under(np.array([0.5, 1.5, 2.5, 9]), 1.0) == 0.25
    assert measures.under(np.array([0.5, 1.5, 2.5, 9]), 1.0, np.array([True, True, False, False])) == 0.5


def test_dimensions_in_use_are_those_that_vary():
    assert measured(episodes(steps=[0.5, 0.5], lengths=[ROWS, ROWS]))['active'] == 1
    means = np.random.default_rng(0).normal(size=(50, 4)) * [1, 0.2, 0.05, 0]
    assert measures.active(means) == 2
    valid = np.arange(50) < 1
    assert measures.active(means, valid) == 0


def test_without_noise_the_open_loop_follows_the_mean():
    found = measured(episodes(steps=[0.5, 0.5], lengths=[ROWS, ROWS]), noise=0.3)
    np.testing.assert_allclose(found['open_loop/reward'], np.square(0.3 * np.arange(1, HORIZON + 1)), rtol=1e-3)
    params, action = dict(drift=0.0, prior_std=1.0, noise=0.3), np.array([0.5])
    sampled, quiet = (model.prior(params, KEY, initial(), action) for model in (MODEL, measures.without_noise(MODEL)))
    np.testing.assert_allclose(sampled.stochastic, [0.8, 0.3])
    np.testing.assert_allclose(quiet.stochastic, [0.5, 0])


def test_the_data_mean_is_over_valid_rows():
    data = episodes(steps=[1.0, 2.0], lengths=[3, 2])
    observation, reward = measures.data_mean(MODEL, KEY, data)
    np.testing.assert_allclose(observation, [(0 + 1 + 2 + 0 + 2) / 5, 0])
    assert reward == pytest.approx(1)


def test_r2_is_one_nought_and_below():
    true = np.array([1.0, 2, 3, 4, 100])
    valid = np.array([True] * 4 + [False])
    assert measures.r2(true, true) == 1
    assert measures.r2(np.full(5, 2.5), true, valid) == pytest.approx(0, abs=1e-6)
    assert measures.r2(np.array([2.0, 1, 4, 3, 0]), true, valid) == pytest.approx(1 - 4 / 5)
    assert np.isnan(measures.r2(true, np.ones(5)))


def test_calibration_groups_are_of_equal_size_and_sorted():
    rng = np.random.default_rng(0)
    predicted = rng.permutation(100).astype('f')
    found, true = measures.calibration(predicted, predicted / 2)
    np.testing.assert_allclose(found, 4.5 + 10 * np.arange(10))
    np.testing.assert_allclose(true, found / 2)
    found, true = measures.calibration(predicted, -predicted, predicted >= 50, groups=5)
    np.testing.assert_allclose(found, 54.5 + 10 * np.arange(5))
    np.testing.assert_allclose(true, -found)


def test_what_came_is_the_sum_of_the_next_rewards():
    np.testing.assert_allclose(measures.coming(np.array([9.0, 1, 2, 3, 4]), 2), [3, 5, 7])


def test_an_episode_that_is_too_short_is_refused():
    data = jax.tree.map(lambda leaf: leaf[:, :7] if leaf.ndim > 1 else leaf, episodes(steps=[0.5], lengths=[7]))
    with pytest.raises(ValueError, match='7 rows is too short to see 5 of them and predict 3 more'):
        measures.predict(MODEL, {}, KEY, jax.tree.map(lambda leaf: leaf[0], data), (0, 0), horizon=3)
