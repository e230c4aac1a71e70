"""The networks: the paper's sizes, their initial values, and the equations of the cells."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import config
from planet_jax.config import CELLS, Model, Spec
from planet_jax.networks import make_world_model
from planet_jax.networks.cells import NETWORKS
from planet_jax.networks.cells.parts import Gru
from planet_jax.networks.images import Decoder, Encoder

KEY = jax.random.PRNGKey(0)
VECTOR = Spec((3,), 'float32', 2, 10)


def test_every_cell_has_its_network_and_its_traits():
    assert list(NETWORKS) == list(CELLS)


def images(action_size):
    return Spec((64, 64, 3), 'uint8', action_size, 125)


def shapes(model_config, spec):
    return jax.eval_shape(make_world_model(model_config, spec).init, KEY)


def count(tree):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def random_like(tree, seed=0):
    """Every bias too is different from zero, and nothing has to be compiled."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.normal(0, 0.5, leaf.shape).astype('float32'), tree)


def plain(layer, x):
    return np.asarray(x) @ layer['kernel'] + layer['bias']


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.logaddexp(0, x)


def assert_close(first, second):
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


# The paper's sizes.


@pytest.mark.parametrize('preset, cell, action_size, expected', [
    ('planet', 'rssm', 1, dict(encoder=690_144, cell=556_320, decoder=3_795_555, reward=250_201, total=5_292_220)),
    ('planet', 'rssm', 6, dict(encoder=690_144, cell=557_320, decoder=3_795_555, reward=250_201, total=5_293_220)),
    ('planet', 'ssm', 1, dict(encoder=690_144, cell=247_520, decoder=3_590_755)),
    ('planet', 'ssm', 6, dict(encoder=690_144, cell=248_520, decoder=3_590_755, total=4_719_620)),
    ('paper', 'rssm', 6, dict(encoder=690_144, cell=557_320, decoder=3_795_555, reward=86_601)),
])
def test_numbers_of_parameters(preset, cell, action_size, expected):
    model = config.preset(preset).model
    params = shapes(Model(**{**vars(model), 'cell': cell}), images(action_size))
    assert set(params) == {'encoder', 'cell', 'decoder', 'reward'}
    counts = {name: count(params[name]) for name in params} | {'total': count(params)}
    assert {name: counts[name] for name in expected} == expected


def test_the_rnn_is_the_rssm_without_standard_deviations():
    rssm, rnn, official = (count(shapes(Model(cell=cell), images(6))['cell']) for cell in (
        'rssm', 'rnn', 'rnn_official'))
    assert rssm - rnn == 2 * (200 * 30 + 30)
    assert official == rssm  # As released, it predicts them too, though nothing comes of it.


def test_every_parameter_is_float32():
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes(Model(), images(1)))} == {jnp.dtype('float32')}


@pytest.mark.parametrize('layers, size', [(1, 31), (2, 14), (3, 6), (4, 2)])
def test_sizes_of_the_encoder_s_layers(layers, size):
    encoder = Encoder((32, 64, 128, 256)[:layers])
    output, variables = jax.eval_shape(encoder.init_with_output, KEY, jnp.zeros((64, 64, 3)))
    kernels = [layer['kernel'].shape for layer in variables['params'].values()]
    assert output.shape == (size * size * (32, 64, 128, 256)[layers - 1],)
    assert kernels == [(4, 4, 3, 32), (4, 4, 32, 64), (4, 4, 64, 128), (4, 4, 128, 256)][:layers]


@pytest.mark.parametrize('layers, size', [(1, 5), (2, 13), (3, 30), (4, 64)])
def test_sizes_of_the_decoder_s_layers(layers, size):
    decoder = Decoder(1024, (128, 64, 32)[:layers - 1], (5, 5, 6, 6)[:layers], 3)
    output, variables = jax.eval_shape(decoder.init_with_output, KEY, jnp.zeros(230))
    first = variables['params'].pop('Dense_0')
    assert output.shape == (size, size, 3)
    assert first['kernel'].shape == (230, 1024)
    assert [layer['kernel'].shape[0] for layer in variables['params'].values()] == [5, 5, 6, 6][:layers]


def test_sizes_of_layers_with_other_kernels_and_strides():
    encoder, decoder = Encoder((5, 6), (4, 2), (4, 2)), Decoder(32, (3,), (2, 4), 3, (2, 4), start=4)
    encoded, variables = jax.eval_shape(encoder.init_with_output, KEY, jnp.zeros((32, 32, 3)))
    assert encoded.shape == (4 * 4 * 6,)
    assert [layer['kernel'].shape for layer in variables['params'].values()] == [(4, 4, 3, 5), (2, 2, 5, 6)]
    image, variables = jax.eval_shape(decoder.init_with_output, KEY, jnp.zeros(7))
    assert image.shape == (32, 32, 3)
    assert {name: layer['kernel'].shape for name, layer in variables['params'].items()} == {
        'Dense_0': (7, 32), 'Convolution_0': (2, 2, 3, 2), 'Convolution_1': (4, 4, 3, 3)}


def test_hidden_layers_stand_before_the_decoders_map():
    decoder = Decoder(32, (3,), (2, 4), 3, (2, 4), start=4, layers=2, hidden=5)
    params = decoder.init(jax.random.PRNGKey(0), np.ones(7))['params']
    assert [params[f'Dense_{layer}']['kernel'].shape for layer in range(3)] == [(7, 5), (5, 5), (5, 32)]
    # ReLU: features that all units of the first layer answer with 0 leave only biases, which begin at 0.
    params['Dense_0']['bias'] = params['Dense_0']['bias'] - 1e6
    assert not np.any(decoder.apply({'params': params}, np.ones(7)))



def test_activations_of_encoder_and_decoder():
    x = np.random.default_rng(0).normal(size=(14, 14, 3)).astype('float32')
    encoder, decoder = Encoder((4, 8)), Decoder(8, (4,), (3, 4), 3)
    variables = random_like(jax.eval_shape(encoder.init, KEY, x), 1)
    encoded = np.asarray(jax.jit(encoder.apply)(variables, x))
    assert encoded.shape == (2 * 2 * 8,)
    assert (encoded >= 0).all() and (encoded == 0).any() and (encoded > 0).any()
    variables = random_like(jax.eval_shape(decoder.init, KEY, encoded), 2)

    @jax.jit
    def decode(shift):
        changed = jax.tree.map(lambda leaf: leaf, variables)
        changed['params']['Convolution_0']['bias'] += shift
        return [decoder.apply(changed, sign * encoded) for sign in (-1, 0, 1)]

    # The one ReLU follows the first convolution: the whole is linear where all of it is on, constant where it is off.
    for shift in (1e3, 0, -1e3):
        low, middle, high = map(np.asarray, decode(shift))
        assert np.allclose(low + high, 2 * middle, rtol=1e-3, atol=1e-2) == (shift != 0)
        assert np.allclose(middle, high) == (shift < 0)
        assert (high < 0).any() and (high > 0).any()


@pytest.mark.parametrize('cell, features', [('rssm', 230), ('ssm', 30), ('rnn', 230), ('rnn_official', 230)])
def test_shapes_of_the_paper_s_model(cell, features):
    model = make_world_model(Model(cell=cell), images(6))
    params = jax.eval_shape(model.init, KEY)
    latent = jax.eval_shape(model.initial)
    prepared = jax.eval_shape(model.prepare, KEY, jax.ShapeDtypeStruct((64, 64, 3), 'uint8'))
    embedding = jax.eval_shape(model.encode, params, prepared)
    prior = jax.eval_shape(model.prior, params, KEY, latent, jnp.zeros(6))
    posterior = jax.eval_shape(model.posterior, params, KEY, prior, embedding)
    assert prepared.shape == (64, 64, 3) and embedding.shape == (200,)
    assert jax.tree.map(jnp.shape, prior) == jax.tree.map(jnp.shape, latent) == jax.tree.map(jnp.shape, posterior)
    assert latent.stochastic.shape == (30,) and latent.deterministic.shape == (features - 30,)
    assert jax.eval_shape(model.decode, params, jnp.zeros(features)).shape == (64, 64, 3)
    assert jax.eval_shape(model.reward, params, jnp.zeros(features)).shape == ()


@pytest.mark.parametrize('name', config.PRESETS)
@pytest.mark.parametrize('cell', CELLS)
def test_every_preset_makes_a_model_of_every_cell(name, cell):
    preset = config.preset(name)
    size = preset.env.size
    model = make_world_model(Model(**{**vars(preset.model), 'cell': cell}), Spec((size, size, 3), 'uint8', 2, 100))
    params = jax.eval_shape(model.init, KEY)
    features = jax.eval_shape(lambda: model.initial().features).shape
    assert jax.eval_shape(model.decode, params, jnp.zeros(features)).shape == (size, size, 3)


@pytest.mark.parametrize('preset, shape', [
    ('planet', (84, 84, 4)), ('planet', (16, 256, 1)), ('planet', (100, 36, 3)), ('cpu', (84, 84, 4)),
    ('cpu', (72, 128, 12)), ('debug', (45, 64, 3))])
def test_images_of_any_shape_are_encoded_and_decoded(preset, shape):
    model = make_world_model(config.preset(preset).model, Spec(shape, 'uint8', 2, 100))
    params = jax.eval_shape(model.init, KEY)
    prepared = jax.eval_shape(model.prepare, KEY, jax.ShapeDtypeStruct(shape, 'uint8'))
    embedding = jax.eval_shape(model.encode, params, prepared)
    features = jax.eval_shape(lambda: model.initial().features).shape
    assert prepared.shape == shape and embedding.ndim == 1
    assert jax.eval_shape(model.decode, params, jnp.zeros(features)).shape == shape


# Initial values.


@pytest.fixture(scope='module', params=[('rssm', VECTOR), ('ssm', Spec((32, 32, 3), 'uint8', 2, 10))],
                ids=['rssm', 'ssm'])
def initialised(request):
    """The parameters of two keys, by their paths, [2, ...]."""
    cell, spec = request.param
    model = make_world_model(Model(
        cell=cell, stochastic=16, deterministic=32, hidden=32, vector_layers=1, vector_units=32,
        encoder_channels=(4, 8), decoder_channels=(8, 4), decoder_kernels=(5, 6, 6), decoder_units=32,
        reward_layers=1, reward_units=32), spec)
    # This generator compiles in half the time.
    keys = jax.random.split(jax.random.key(0, impl='unsafe_rbg'))
    params = jax.jit(jax.vmap(model.init))(keys)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(params)}


def test_matrices_are_glorot_uniform(initialised):
    for name, leaves in initialised.items():
        if 'kernel' in name:
            *window, inputs, outputs = leaves.shape[1:]
            bound = math.sqrt(6 / (math.prod(window) * (inputs + outputs)))
            assert 0.9 * bound < np.abs(leaves).max() <= bound, name
            np.testing.assert_allclose(leaves.std(), bound / math.sqrt(3), rtol=3 / math.sqrt(leaves.size),
                                       err_msg=name)


def test_biases_are_zero_but_one_in_the_gates(initialised):
    biases = {name: leaves for name, leaves in initialised.items() if 'bias' in name}
    assert len(biases) == len(initialised) / 2
    for name, leaves in biases.items():
        np.testing.assert_array_equal(leaves, np.full(leaves.shape, 'gates' in name), name)


def test_another_key_makes_other_matrices(initialised):
    for name, leaves in initialised.items():
        assert 'bias' in name or (leaves[0] != leaves[1]).mean() > 0.99, name


# The cells' equations.


@pytest.mark.parametrize('reset_before', [True, False])
def test_gru_is_its_equations(reset_before):
    gru, rng = Gru(5, reset_before), np.random.default_rng(0)
    state, x = rng.normal(size=5).astype('float32'), rng.normal(size=3).astype('float32')
    params = random_like(jax.eval_shape(gru.init, KEY, state, x)['params'])
    reset, update = np.split(sigmoid(plain(params['gates'], np.concatenate([x, state]))), 2)
    if reset_before:
        candidate = plain(params['candidate'], np.concatenate([x, reset * state]))
    else:
        candidate = plain(params['candidate'], x) + reset * plain(params['candidate_state'], state)
    expected = update * state + (1 - update) * np.tanh(candidate)
    assert_close(jax.jit(gru.apply)({'params': params}, state, x), expected)


def test_the_configuration_chooses_the_gru():
    sizes = {gru: count(shapes(Model(gru=gru), VECTOR)['cell']['gru']) for gru in ('reset_before', 'reset_after')}
    assert sizes['reset_after'] - sizes['reset_before'] == 200


SAMPLES = 2000


class Case:
    """A cell with random parameters, one step from a random state, and many samples of it."""

    def __init__(self, cell):
        self.model = make_world_model(Model(cell=cell, stochastic=4, deterministic=6, hidden=8, vector_units=8,
                                            reward_units=8, min_std=0.25), VECTOR)
        self.cell, self.params = cell, random_like(jax.eval_shape(self.model.init, KEY))
        rng = np.random.default_rng(1)
        self.observation, self.action = rng.normal(size=3).astype('float32'), rng.normal(size=2).astype('float32')
        self.latent = random_like(jax.eval_shape(self.model.initial), 2)
        self.priors, self.posteriors = jax.tree.map(np.asarray, jax.jit(self.step)(self.params))
        self.prior, self.posterior = (jax.tree.map(lambda leaf: leaf[0], latents)
                                      for latents in (self.priors, self.posteriors))

    def step(self, params):
        keys, embedding = jax.random.split(KEY, SAMPLES), self.model.encode(params, self.observation)
        priors = jax.vmap(self.model.prior, (None, 0, None, None))(params, keys, self.latent, self.action)
        prior = jax.tree.map(lambda leaf: leaf[0], priors)
        return priors, jax.vmap(self.model.posterior, (None, 0, None, None))(params, keys, prior, embedding)


@pytest.fixture(scope='module', params=CELLS)
def case(request):
    return Case(request.param)


def assert_gaussian(case, latent, name, x):
    layers = case.params['cell'][name]
    hidden = relu(plain(layers, x))
    assert_close(latent.mean, plain(layers['mean'], hidden))
    if case.cell == 'rnn':
        np.testing.assert_array_equal(latent.std, np.ones(4))
    else:
        assert_close(latent.std, softplus(plain(layers['std'], hidden)) + 0.25)


def test_prior_is_its_equation(case):
    x = np.concatenate([case.latent.stochastic, case.action])
    if case.cell != 'ssm':
        gru = {'params': case.params['cell']['gru']}
        x = jax.jit(Gru(6, True).apply)(gru, case.latent.deterministic, relu(plain(case.params['cell']['before'], x)))
        assert_close(case.prior.deterministic, x)
    assert_gaussian(case, case.prior, 'gaussian', x)


def test_posterior_s_first_layer_is_one_dense_layer_on_both_inputs(case):
    encoder = case.params['encoder']
    encoded = plain(encoder['Dense_1'], relu(plain(encoder['Dense_0'], case.observation)))
    past = case.prior.deterministic
    if case.cell == 'ssm':
        past = np.concatenate([case.prior.mean, case.prior.std])
    assert_gaussian(case, case.posterior, 'filtered', np.concatenate([past, encoded]))
    np.testing.assert_array_equal(case.posterior.deterministic, case.prior.deterministic)


def test_samples_have_the_stated_mean_and_std(case):
    for latents in (case.priors, case.posteriors):
        mean, std = latents.mean[0], latents.std[0]
        if case.cell.startswith('rnn'):
            np.testing.assert_array_equal(latents.stochastic, latents.mean)
        else:
            np.testing.assert_allclose((latents.stochastic.mean(0) - mean) / std, np.zeros(4), atol=0.1)
            np.testing.assert_allclose(latents.stochastic.std(0) / std, np.ones(4), atol=0.1)


def test_another_sample_of_the_same_belief(case):
    keys = jax.random.split(jax.random.PRNGKey(1), SAMPLES)
    again = jax.tree.map(np.asarray, jax.jit(jax.vmap(case.model.resample, (0, None)))(keys, case.posterior))
    mean, std = case.posterior.mean, case.posterior.std
    for name in ('mean', 'std', 'deterministic'):
        np.testing.assert_array_equal(getattr(again, name)[7], getattr(case.posterior, name))
    if case.cell.startswith('rnn'):
        np.testing.assert_array_equal(again.stochastic, again.mean)
    else:
        np.testing.assert_allclose((again.stochastic.mean(0) - mean) / std, np.zeros(4), atol=0.1)
        np.testing.assert_allclose(again.stochastic.std(0) / std, np.ones(4), atol=0.1)


def test_an_episode_begins_in_a_zero_state(case):
    initial = jax.tree.map(np.asarray, case.model.initial())
    assert initial.deterministic.shape == (0 if case.cell == 'ssm' else 6,)
    assert initial.mean.shape == initial.std.shape == initial.stochastic.shape == (4,)
    assert not any(leaf.any() for leaf in jax.tree.leaves(initial))


def test_features_are_the_sample_and_the_deterministic_state(case):
    expected = np.concatenate([case.latent.stochastic, case.latent.deterministic])
    np.testing.assert_array_equal(case.latent.features, expected)


def test_reward_head_and_decoder_see_the_features(case):
    for name, function, layers in [('reward', case.model.reward, 3), ('decoder', case.model.decode, 2)]:
        x = case.latent.features
        for index in range(layers):
            x = relu(plain(case.params[name][f'Dense_{index}'], x))
        expected = plain(case.params[name][f'Dense_{layers}'], x)
        output = jax.jit(function)(case.params, case.latent.features)
        assert_close(output, expected[0] if name == 'reward' else expected)


# Observations.


def test_images_are_prepared_with_the_configured_bits():
    model = make_world_model(Model(image_bits=1), images(1))
    prepared = np.asarray(jax.jit(model.prepare)(KEY, np.full((64, 64, 3), 255, 'uint8')))
    assert 0 <= prepared.min() < 0.01 and 0.49 < prepared.max() < 0.5


def test_vectors_are_taken_as_they_are():
    vector = np.array([1e3, -2.0, 0.0])
    prepared = make_world_model(Model(), VECTOR).prepare(KEY, vector)
    np.testing.assert_array_equal(prepared, vector)
    assert prepared.dtype == np.float32


@pytest.mark.parametrize('shape, message', [
    ((15, 64, 3), 'Images are 15 x 64 pixels, but networks are fitted to sides of 16 to 256'),
    ((64, 257, 3), 'Images are 64 x 257 pixels'),
    ((64, 64), r'but their shape is \(64, 64\)'),
    ((), r'but their shape is \(\)'),
])
def test_observations_of_other_shapes_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        make_world_model(Model(), Spec(shape, 'uint8', 1, 5))
