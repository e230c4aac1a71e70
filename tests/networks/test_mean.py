"""The mean image that the encoder does not see and the decoder need not make, and the first standard deviation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import keys, learner, world_model
from planet_jax.config import Learner, Model, Objective, Spec, preset
from planet_jax.networks import make_world_model
from planet_jax.ops import images
from planet_jax.types import LearnerState, Trajectory

KEY = keys.root(0)
SPEC = Spec((16, 16, 3), 'uint8', 1, 20)
PARTS = Spec((), 'float32', 1, 20, parts=(('camera', (16, 16, 3), 'uint8'), ('joints', (3,), 'float32')))
NETWORKS = dict(stochastic=4, deterministic=8, hidden=8, encoder_channels=(8, 8), encoder_kernels=(4, 2),
                encoder_strides=(4, 2), decoder_channels=(8,), decoder_kernels=(4, 4), decoder_strides=(4, 4),
                decoder_units=16, vector_layers=1, vector_units=8, reward_layers=1, reward_units=8)


def dot_on_a_wall(chunks=4, rows=10, short=None):
    """A small bright square at random places before a striped wall, [B, L, 16, 16, 3]."""
    rng = np.random.default_rng(0)
    seen = np.broadcast_to(np.arange(16)[:, None, None] * 12, (chunks, rows, 16, 16, 3)).astype(np.uint8).copy()
    for chunk in seen:
        for row in chunk:
            y, x = rng.integers(0, 13, 2)
            row[y:y + 3, x:x + 3] = 250
    length = np.full(chunks, rows, np.int32)
    if short:
        length[0] = short
        seen[0, short:] = 0
    return Trajectory(seen, np.zeros((chunks, rows, 1), np.float32), np.zeros((chunks, rows), np.float32), length)


def begun(settings, spec=SPEC):
    model = make_world_model(Model(**NETWORKS, **settings), spec)
    optimizer = learner.make_optimizer(Learner(learning_rate=3e-3))
    params = jax.jit(model.init)(KEY)
    return model, LearnerState(params, optimizer.init(params), jnp.zeros((), jnp.int32)), jax.jit(
        learner.make_update(model, optimizer, Objective(image_scale=4, kl_balance=0.8)))


def test_first_update_takes_the_mean_of_its_valid_rows_and_later_ones_keep_it():
    batch = dot_on_a_wall(short=3)
    _, state, update = begun({'subtract_mean': True})
    assert not state.params['mean'].any()
    after, _ = update(state, KEY, batch)
    valid = np.concatenate([batch.observation[0, :3], *batch.observation[1:]])
    np.testing.assert_allclose(after.params['mean'], (valid // 8 + 0.5).mean(0) / 32 - 0.5, atol=0.01)
    second, _ = update(after, KEY, batch.replace(observation=255 - batch.observation))
    np.testing.assert_array_equal(second.params['mean'], after.params['mean'])
    assert (second.params['reward']['Dense_0']['kernel'] != after.params['reward']['Dense_0']['kernel']).any()


def test_mean_stays_where_the_first_update_is_skipped():
    batch = dot_on_a_wall()
    _, state, update = begun({'subtract_mean': True})
    after, metrics = update(state, KEY, batch.replace(reward=batch.reward + np.nan))
    assert metrics['skipped'] == 1 and after.params['mean'].std() > 0.1
    np.testing.assert_array_equal(after.params['decoder']['Dense_0']['kernel'],
                                  state.params['decoder']['Dense_0']['kernel'])


def test_encoder_sees_the_difference_and_decoder_adds_the_mean():
    model, state, _ = begun({'subtract_mean': True})
    without = make_world_model(Model(**NETWORKS), SPEC)
    mean = np.random.default_rng(0).uniform(-0.5, 0.5, (16, 16, 3)).astype(np.float32)
    params, prepared = state.params | {'mean': mean}, images.prepare(KEY, dot_on_a_wall().observation[0, 0], 5)
    np.testing.assert_allclose(model.encode(params, prepared), without.encode(params, prepared - mean), atol=1e-6)
    features = jnp.ones(12)
    np.testing.assert_allclose(model.decode(params, features), without.decode(params, features) + mean, atol=1e-6)
    np.testing.assert_array_equal(jax.grad(lambda p: model.decode(p, features).sum())(params)['mean'], 0)


def test_only_images_have_a_mean():
    batch = dot_on_a_wall()
    joints = np.full((4, 10, 3), 5, np.float32)
    model, state, update = begun({'subtract_mean': True}, PARTS)
    after, _ = update(state, KEY, batch.replace(observation={'camera': batch.observation, 'joints': joints}))
    assert after.params['mean']['camera'].std() > 0.1
    assert after.params['mean']['joints'].shape == () and after.params['mean']['joints'] == 0
    for spec, settings in ((Spec((3,), 'float32', 1, 20), {'subtract_mean': True}), (SPEC, {})):
        model, state, _ = begun(settings, spec)
        assert model.centre is None and 'mean' not in state.params


def left_of_what_moves(settings, batch, updates):
    """The squared error of filtered images of a model after some updates, over that of the mean image."""
    model, state, update = begun(settings)
    for number in range(updates):
        state, _ = update(state, keys.stream(KEY, 'update', number), batch)
    target = images.prepare(KEY, batch.observation, 5)

    def filtered(seen, action):
        embeddings = jax.vmap(model.encode, (None, 0))(state.params, seen)
        _, posteriors = world_model.observe(model, state.params, KEY, embeddings, action, model.initial())
        return jax.vmap(model.decode, (None, 0))(state.params, posteriors.features)

    made = jax.jit(jax.vmap(filtered))(target, batch.action)
    return float(jnp.square(made - target).sum() / jnp.square(target - target.mean((0, 1))).sum())


def test_what_moves_is_learned_sooner():
    batch = dot_on_a_wall(8)
    without, mean, both = (left_of_what_moves(settings, batch, 150) for settings in (
        {}, {'subtract_mean': True}, {'subtract_mean': True, 'first_std': 0.15}))
    assert mean < without - 0.03 and both < mean - 0.1, (without, mean, both)


@pytest.mark.parametrize('cell', ['rssm', 'ssm', 'rnn_official'])
def test_first_standard_deviation(cell):
    model = make_world_model(Model(cell=cell, first_std=0.15, **NETWORKS), SPEC)
    params = model.init(KEY)
    prior = model.prior(params, KEY, model.initial(), jnp.zeros(1))
    np.testing.assert_allclose(prior.std, 0.15, rtol=0.02)


def test_a_first_standard_deviation_below_the_least_is_refused():
    with pytest.raises(ValueError, match=r'first_std is 0.1 and model.min_std is 0.1.* set the first to 0.15'):
        Model(first_std=0.1)


def test_papers_presets_leave_images_as_they_are():
    assert [preset(name).model.subtract_mean for name in ('planet', 'paper', 'cpu')] == [False, False, True]
