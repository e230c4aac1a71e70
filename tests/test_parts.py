"""Observations in several parts: an image and a vector, from the environment to the plan."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import learner, objective, open_loop, replay, world_model
from planet_jax.config import Learner, Model, Objective, Spec
from planet_jax.networks import make_world_model
from planet_jax.pictures.open_loop import write_parts
from planet_jax.storage import episodes
from planet_jax.types import Trajectory

KEY = jax.random.PRNGKey(0)
SPEC = Spec((), '', 2, 6, parts=(('camera', (16, 20, 2), 'uint8'), ('joints', (3,), 'float32')))
SIZES = Model(stochastic=4, deterministic=8, hidden=8, vector_units=8, reward_layers=1, reward_units=8,
              encoder_channels=(2, 3), decoder_channels=(3,), decoder_kernels=(5, 6), decoder_units=12)
SETTINGS = Objective(image_scale=None, reward_scale=1, free_nats=1)


def episode(seed, length=7):
    rng = np.random.default_rng(seed)
    rows = np.arange(7) < length
    return Trajectory({'camera': rng.integers(0, 256, (7, 16, 20, 2), np.uint8) * rows[:, None, None, None],
                       'joints': rng.normal(size=(7, 3)).astype('float32') * rows[:, None]},
                      rng.uniform(-1, 1, (7, 2)).astype('float32') * rows[:, None], rows.astype('float32'),
                      np.int32(length))


@pytest.fixture(scope='module')
def model():
    return make_world_model(SIZES, SPEC)


@pytest.fixture(scope='module')
def params(model):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(0, 0.25, leaf.shape).astype('float32'),
                        jax.eval_shape(model.init, KEY))


def test_each_part_has_networks_of_its_own_and_all_are_in_the_posterior(model, params):
    alone = {name: make_world_model(SIZES, Spec(shape, dtype, 2, 6)) for name, shape, dtype in SPEC.parts}
    for name, other in alone.items():
        wanted = jax.eval_shape(other.init, KEY)
        for network in ('encoder', 'decoder'):
            assert jax.tree.map(jnp.shape, params[network][name]) == jax.tree.map(jnp.shape, wanted[network])

    @jax.jit
    def seen(observation):
        prepared = model.prepare(KEY, observation)
        latent = model.posterior(params, KEY, model.prior(params, KEY, model.initial(), jnp.zeros(2)),
                                 model.encode(params, prepared))
        return latent.mean, model.decode(params, latent.features)

    first = jax.tree.map(lambda rows: rows[0], episode(0).observation)
    mean, decoded = seen(first)
    assert jax.tree.map(jnp.shape, decoded) == {'camera': (16, 20, 2), 'joints': (3,)}
    for name in first:
        assert not np.allclose(seen({**first, name: 0 * first[name]})[0], mean)


def test_each_part_has_its_likelihood_and_its_weight(model, params):
    chunk = episode(0)
    loss, metrics = jax.jit(lambda chunk: objective.loss(model, params, KEY, chunk, SETTINGS))(chunk)
    prepare_key, observe_key = jax.random.split(KEY)
    target = model.prepare(prepare_key, chunk.observation)
    embeddings = jax.vmap(model.encode, (None, 0))(params, target)
    _, posteriors = world_model.observe(model, params, observe_key, embeddings, chunk.action, model.initial())
    decoded = jax.vmap(model.decode, (None, 0))(params, posteriors.features)
    squared = {name: np.square(target[name] - decoded[name]).sum() / 2 / 7 for name in target}
    expected = squared['camera'] * 12288 / (16 * 20 * 2) + squared['joints'] * 1000 / 3
    np.testing.assert_allclose(metrics['image_loss'], expected, rtol=1e-4)
    batch = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), chunk)
    update = learner.make_update(model, learner.make_optimizer(Learner()), SETTINGS, Learner(image_shift=1))
    state = learner.LearnerState(params, learner.make_optimizer(Learner()).init(params), jnp.zeros((), jnp.int32))
    after, _ = jax.jit(update)(state, KEY, batch)
    changed = jax.tree.map(lambda new, old: (np.asarray(new) != old).any(), after.params, params)
    assert all(jax.tree.leaves(changed['encoder'])) and all(jax.tree.leaves(changed['decoder']))


def test_each_part_has_an_open_loop_prediction_and_pictures(model, params, tmp_path):
    given = episode(0)
    predicted, rewards = jax.jit(functools.partial(open_loop.predict, model))(
        params, KEY, given.observation, given.action)
    found = open_loop.Prediction.of_parts(given, predicted, rewards)
    assert {name: part.predicted.shape for name, part in found.items()} == {'camera': (7, 16, 20, 2), 'joints': (7, 3)}
    errors = open_loop.errors_of(found)
    for name, part in found.items():
        assert errors[f'observation_error/{name}'] == part.errors()['observation_error']
    np.testing.assert_allclose(errors['observation_error'], np.mean(
        [errors[f'observation_error/{name}'] for name in found], 0))
    assert errors['horizon'] == [1, 2] and errors['reward_error'] == found['joints'].errors()['reward_error']
    assert write_parts(tmp_path / '000004', found, 'title', 10).name == '000004-camera.png'
    assert {path.name for path in tmp_path.iterdir()} == {'000004-camera.png', '000004-camera.mp4', '000004-joints.png'}


@pytest.mark.parametrize('on_host', [False, True])
def test_the_replay_holds_parts(on_host):
    store = replay.init(SPEC, 3, 4)
    if on_host:
        store = jax.tree.map(np.array, store)
    for seed in range(2):
        store = replay.add(store, episode(seed))
    draws = jax.tree.map(np.asarray, replay.draw([store], KEY, 5, 4))
    chunks = replay.cut([store], draws)
    for number in range(5):
        rows = slice(draws.start[number], draws.start[number] + 4)
        for name, part in episode(int(draws.slot[number])).observation.items():
            np.testing.assert_array_equal(chunks.observation[name][number], part[rows])


def test_files_hold_parts(tmp_path):
    path, written = tmp_path / '0.npz', episode(3, length=5)
    episodes.write(path, written)
    jax.tree.map(np.testing.assert_array_equal, episodes.read(path, SPEC), written)
    with pytest.raises(ValueError, match='does not hold observation, action'):
        episodes.read(path, Spec((3,), 'float32', 2, 6))
    other = SPEC._replace(parts=(SPEC.parts[0], ('joints', (4,), 'float32')))
    with pytest.raises(ValueError, match='joints'):
        episodes.read(path, other)
    assert jax.tree.map(np.shape, episodes.empty(SPEC).observation) == {'camera': (7, 16, 20, 2), 'joints': (7, 3)}
