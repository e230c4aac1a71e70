"""The objective: its terms against their formulae, what counts and what does not, for every cell."""

import copy
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.bench.arithmetic import gigaflops
from planet_jax import objective, world_model
from planet_jax.config import CELLS, Config, Model, Objective, Spec, preset
from planet_jax.networks import make_world_model
from planet_jax.ops import images
from planet_jax.types import Trajectory

KEY = jax.random.PRNGKey(0)
LENGTH = 6
SIZES = dict(stochastic=4, deterministic=6, hidden=8, vector_units=8, reward_layers=2, reward_units=8,
             encoder_channels=(2,), decoder_channels=(3,), decoder_kernels=(4, 6), decoder_units=8)
SPECS = {'vector': Spec((3,), 'float32', 2, 10), 'image': Spec((12, 12, 3), 'uint8', 2, 10)}
METRICS = {'loss', 'image_loss', 'reward_loss', 'kl', 'free_rows', 'prior_entropy', 'posterior_entropy'}


def traced(settings, numbers):
    """An `Objective` whose numbers may be traced, which its validator would refuse."""
    settings = copy.copy(settings)
    for name, value in numbers.items():
        object.__setattr__(settings, name, value)
    return settings


class Case:
    """A cell with random parameters, a chunk, and the loss and its gradient compiled once for any settings."""

    def __init__(self, cell, observed, **sizes):
        self.cell, spec = cell, SPECS[observed]
        self.model = make_world_model(Model(cell=cell, **(SIZES | sizes)), spec)
        rng = np.random.default_rng(0)
        self.params = jax.tree.map(lambda leaf: rng.normal(0, 0.5, leaf.shape).astype('float32'),
                                   jax.eval_shape(self.model.init, KEY))
        observation = rng.integers(0, 256, (LENGTH, *spec.observation_shape)).astype(spec.observation_dtype)
        self.chunk = Trajectory(observation if observed == 'image' else observation / np.float32(99),
                                rng.uniform(-1, 1, (LENGTH, 2)).astype('float32'),
                                rng.normal(size=LENGTH).astype('float32'), np.int32(LENGTH))

        def loss(params, chunk, settings):
            return objective.loss(self.model, params, KEY, chunk, traced(Objective(), settings))

        self.compiled = jax.jit(jax.value_and_grad(loss, has_aux=True))

    def loss(self, chunk=None, **settings):
        """Loss, metrics and gradient; compiled once with the balance and once without."""
        settings = dict(image_scale=1.0, reward_scale=2.0, kl_scale=1.0, free_nats=0.0) | settings
        (loss, metrics), gradient = jax.tree.map(np.asarray, self.compiled(self.params, chunk or self.chunk, settings))
        return float(loss), {name: float(value) for name, value in metrics.items()}, gradient

    def observed(self, params, chunk):
        """Priors, posteriors and the predictions of observations and rewards, for the same keys as the loss."""
        target = jax.vmap(self.model.encode, (None, 0))(params, chunk.observation)
        priors, posteriors = world_model.observe(self.model, params, jax.random.split(KEY)[1], target, chunk.action,
                                                 self.model.initial())
        return priors, posteriors, *(jax.vmap(head, (None, 0))(params, posteriors.features)
                                     for head in (self.model.decode, self.model.reward))


@pytest.fixture(scope='module', params=list(CELLS))
def case(request):
    return Case(request.param, 'vector')


@pytest.fixture(scope='module')
def observed(case):
    return jax.tree.map(np.asarray, jax.jit(case.observed)(case.params, case.chunk))


@pytest.fixture(scope='module')
def stochastic_case():
    return Case('rssm', 'vector')


@pytest.fixture(scope='module', params=['rssm', 'rnn_official'])  # All cells take what the same encoder makes.
def image_case(request):
    return Case(request.param, 'image')


def divergences(priors, posteriors):
    return (np.log(priors.std / posteriors.std) - 0.5
            + (posteriors.std**2 + (posteriors.mean - priors.mean)**2) / (2 * priors.std**2)).sum(1)


# The terms.


def test_divergence_is_the_closed_form(case, observed):
    expected = divergences(*observed[:2])
    assert (expected >= 0).all() and expected.max() > 0.01
    np.testing.assert_allclose(case.loss()[1]['kl'], expected.mean(), rtol=1e-4)
    if case.cell == 'rnn':
        squared = 0.5 * np.square(observed[0].mean - observed[1].mean).sum(1)
        np.testing.assert_allclose(expected, squared, rtol=1e-4, atol=1e-6)


def test_entropies_are_the_closed_form(case, observed):
    metrics = case.loss()[1]
    for name, latents in zip(['prior_entropy', 'posterior_entropy'], observed):
        expected = (np.log(latents.std) + 0.5 * math.log(2 * math.pi * math.e)).sum(1).mean()
        np.testing.assert_allclose(metrics[name], expected, rtol=1e-4)


def test_a_full_chunk_is_the_mean_over_time(case, observed):
    priors, posteriors, observations, rewards = observed
    image = 0.5 * np.square(case.chunk.observation - observations).sum(1)
    reward = 2.0 * 0.5 * np.square(case.chunk.reward - rewards)
    loss, metrics, _ = case.loss()
    np.testing.assert_allclose(metrics['image_loss'], image.mean(), rtol=1e-4)
    np.testing.assert_allclose(metrics['reward_loss'], reward.mean(), rtol=1e-4)
    np.testing.assert_allclose(loss, (image + reward + divergences(priors, posteriors)).mean(), rtol=1e-4)
    assert loss == metrics['loss'] and set(metrics) == METRICS


@pytest.mark.parametrize('scale', [0.0, 1.0, 10.0])
def test_reward_scale(case, scale):
    loss, metrics, _ = case.loss(reward_scale=scale)
    unscaled = case.loss(reward_scale=1.0)[1]
    np.testing.assert_allclose(metrics['reward_loss'], scale * unscaled['reward_loss'], rtol=1e-4)
    np.testing.assert_allclose(loss, metrics['image_loss'] + metrics['reward_loss'] + metrics['kl'], rtol=1e-4)


@pytest.mark.parametrize('head', ['reward', 'decode'])
def test_a_head_of_another_shape_is_not_broadcast(head, stochastic_case):
    model, params, chunk = stochastic_case.model, stochastic_case.params, stochastic_case.chunk
    wrong = model._replace(**{head: lambda params, features: getattr(model, head)(params, features)[None]})
    with pytest.raises(AssertionError, match='different shapes'):
        jax.eval_shape(lambda: objective.loss(wrong, params, KEY, chunk, Objective()))


@pytest.mark.parametrize('scale', [0.0, 4.0])
def test_image_scale(case, scale):
    loss, metrics, _ = case.loss(image_scale=scale)
    plain = case.loss()[1]
    np.testing.assert_allclose(metrics['image_loss'], scale * plain['image_loss'], rtol=1e-5)
    np.testing.assert_allclose(loss, metrics['image_loss'] + metrics['reward_loss'] + metrics['kl'], rtol=1e-4)


def test_the_defaults_of_the_settings_are_numbers_in_the_loss(stochastic_case):
    @jax.jit
    def losses(params, chunk):
        return [objective.loss(stochastic_case.model, params, KEY, chunk, settings)[0]
                for settings in (Objective(), Objective(image_scale=None))]

    found = losses(stochastic_case.params, stochastic_case.chunk)
    for loss, scale in zip(found, [1, 1000 / 3]):  # A vector of 3 entries.
        expected = stochastic_case.loss(image_scale=scale, reward_scale=10.0, free_nats=3.0)[0]
        np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_free_rows_are_the_share_of_rows_below_the_free_nats(case, observed):
    rows = divergences(*observed[:2])
    for free in (0.0, float(np.sort(rows)[1]) * 1.0001, 1e4):
        assert case.loss(free_nats=free)[1]['free_rows'] == pytest.approx((rows < free).mean())
    # Of the valid ones.
    assert case.loss(case.chunk.replace(length=np.int32(2)), free_nats=1e4)[1]['free_rows'] == 1


def test_free_nats_are_clipped_for_each_row(case, observed):
    rows = divergences(*observed[:2])
    free_nats = float(np.median(rows))
    plain = case.loss()[1]
    for free in (free_nats, 1e4):
        loss, metrics, _ = case.loss(free_nats=free)
        clipped = np.maximum(rows - free, 0).mean()
        np.testing.assert_allclose(loss, metrics['image_loss'] + metrics['reward_loss'] + clipped, rtol=1e-4)
        np.testing.assert_allclose(metrics['kl'], plain['kl'], rtol=1e-6)
    assert 0 < np.maximum(rows - free_nats, 0).mean() != max(rows.mean() - free_nats, 0)


def test_kl_scale(case):
    plain = case.loss(kl_scale=0.0)
    for scale in (1.0, 3.0):
        loss, metrics, _ = case.loss(kl_scale=scale)
        np.testing.assert_allclose(loss, plain[0] + scale * metrics['kl'], rtol=1e-4)


def test_the_image_s_noise_puts_a_floor_under_its_loss():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), 'uint8')
    middle = (np.floor(image / 8) + 0.5) / 32 - 0.5
    model = make_world_model(Model(**SIZES), SPECS['vector'])
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, 'float32'), jax.eval_shape(model.init, KEY))
    # The best prediction there is, whatever the features.
    ideal = model._replace(prepare=lambda key, image: images.prepare(key, image, 5),
                           encode=lambda params, image: jnp.zeros(8), decode=lambda params, features: middle)
    chunk = Trajectory(np.stack([image] * 20), np.zeros((20, 2), 'float32'), np.zeros(20, 'float32'), np.int32(20))
    loss, metrics = jax.jit(lambda: objective.loss(ideal, params, KEY, chunk, Config().resolve().objective))()
    np.testing.assert_allclose(metrics['image_loss'], 0.500, atol=0.004)
    # Nothing else is left either, and no constant is logged.
    np.testing.assert_allclose(loss, metrics['image_loss'], rtol=1e-6)


# What counts.


@pytest.mark.parametrize('valid', [1, 4])
def test_rows_after_the_end_count_nothing(case, valid):
    rng = np.random.default_rng(1)
    tail = np.arange(LENGTH) >= valid

    def other(rows):
        mask = tail.reshape(-1, *[1] * (rows.ndim - 1))
        return np.where(mask, 5 * rng.normal(size=rows.shape), rows).astype('float32')

    chunk = case.chunk.replace(length=np.int32(valid))
    changed = Trajectory(other(chunk.observation), other(chunk.action), other(chunk.reward), chunk.length)
    first, second = case.loss(chunk), case.loss(changed)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), first, second)
    # The same rows do count in a full chunk.
    assert case.loss(changed.replace(length=np.int32(LENGTH)))[0] != pytest.approx(case.loss()[0], rel=1e-2)


def test_the_sum_is_divided_by_the_chunk_s_length(case, observed):
    priors, posteriors, observations, rewards = observed
    rows = (0.5 * np.square(case.chunk.observation - observations).sum(1) + np.square(case.chunk.reward - rewards)
            + divergences(priors, posteriors))
    loss, _, _ = case.loss(case.chunk.replace(length=np.int32(2)))
    np.testing.assert_allclose(loss, rows[:2].sum() / LENGTH, rtol=1e-4)
    assert case.loss(case.chunk.replace(length=np.int32(0)))[0] == 0


def test_images_after_the_end_count_nothing(image_case):
    observation = image_case.chunk.observation.copy()
    observation[3:] = 255 - observation[3:]
    chunk = image_case.chunk.replace(length=np.int32(3))
    first, second = image_case.loss(chunk), image_case.loss(chunk.replace(observation=observation))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), first, second)


# Gradients.


UNTRAINED = {'rnn_official': {
    "['cell']['gaussian']['kernel']", "['cell']['gaussian']['bias']", "['cell']['gaussian']['mean']['kernel']",
    "['cell']['gaussian']['mean']['bias']", "['cell']['gaussian']['std']['kernel']",
    "['cell']['gaussian']['std']['bias']", "['cell']['filtered']['std']['kernel']",
    "['cell']['filtered']['std']['bias']"}}
"""What a cell leaves as it began: as released, the RNN has no divergence, and that alone would train its prior."""


def assert_every_leaf_is_reached(case):
    untrained = UNTRAINED.get(case.cell, set())
    resolved = Config(model=Model(cell=case.cell)).resolve().objective
    loss, metrics, gradient = case.loss(kl_scale=resolved.kl_scale)
    assert np.isfinite(loss) and all(math.isfinite(value) for value in metrics.values())
    for path, leaf in jax.tree.leaves_with_path(gradient):
        name = jax.tree_util.keystr(path)
        assert np.isfinite(leaf).all(), name
        assert (leaf != 0).any() == (name not in untrained), f'does a gradient reach {name}?'
    assert untrained <= {jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(gradient)}


# No leaf of any cell is left out.


def test_a_gradient_reaches_every_leaf_from_vectors(case):
    assert_every_leaf_is_reached(case)


def test_a_gradient_reaches_every_leaf_from_images(image_case):
    assert_every_leaf_is_reached(image_case)


def test_a_gradient_reaches_every_leaf_of_the_other_gru():
    assert_every_leaf_is_reached(Case('rssm', 'vector', gru='reset_after'))


def test_free_nats_that_are_not_used_up_stop_the_divergence_s_gradient(case):
    clipped, unscaled = case.loss(free_nats=1e4)[2], case.loss(kl_scale=0.0)[2]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), clipped, unscaled)
    assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, (clipped, case.loss()[2]))))


def test_the_divergence_pulls_both_sides(case):
    both, none = (case.loss(reward_scale=0.0, kl_scale=scale)[2]['cell'] for scale in (1.0, 0.0))
    for side in ('gaussian', 'filtered'):
        assert (both[side]['mean']['kernel'] != none[side]['mean']['kernel']).any()


def test_the_balance_shares_the_divergence_s_gradient_between_prior_and_posterior(stochastic_case):
    model, chunk = stochastic_case.model, stochastic_case.chunk

    @jax.jit
    @jax.grad
    def shared(params, to_prior, to_posterior):
        """The divergence of which a part of the gradient goes to each side, by the definition."""
        embeddings = jax.vmap(model.encode, (None, 0))(params, chunk.observation)
        prior, posterior = world_model.observe(model, params, jax.random.split(KEY)[1], embeddings, chunk.action,
                                               model.initial())
        stopped = jax.lax.stop_gradient((prior, posterior))

        def beyond(q, p):
            kl = (jnp.log(p.std / q.std) - 0.5 + (q.std**2 + (q.mean - p.mean)**2) / (2 * p.std**2)).sum(1)
            return jnp.maximum(kl - 0.1, 0).mean()

        return to_prior * beyond(stopped[1], prior) + to_posterior * beyond(posterior, stopped[0])

    settings = dict(image_scale=0.0, reward_scale=0.0, free_nats=0.1)
    plain = stochastic_case.loss(**settings)
    for balance, parts in [(dict(kl_balance=0.0), (0.0, 1.0)), (dict(kl_balance=0.3), (0.3, 0.7)),
                           (dict(kl_balance=1.0), (1.0, 0.0)), ({}, (1.0, 1.0))]:
        loss, metrics, gradient = stochastic_case.loss(**settings, **balance)
        assert loss == pytest.approx(plain[0], rel=1e-5) and metrics == pytest.approx(plain[1], rel=1e-5)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6),
                     gradient, shared(stochastic_case.params, *parts))


def test_the_first_row_is_trained(case):
    _, _, gradient = case.loss(case.chunk.replace(length=np.int32(1)))
    for name in ('encoder', 'cell', 'decoder', 'reward'):
        assert any((leaf != 0).any() for leaf in jax.tree.leaves(gradient[name])), name


# A batch.


@pytest.fixture(scope='module')
def two_chunks():
    """An RSSM that sees images, two chunks, and the mean of their losses, metrics and gradients."""
    case = Case('rssm', 'image')
    settings = Objective(reward_scale=2.0, kl_scale=1.0, free_nats=0.1)
    chunks = [case.chunk, case.chunk.replace(observation=np.flip(case.chunk.observation, 1).copy(),
                                             length=np.int32(LENGTH - 2))]

    def by_chunk(params, key):
        losses, metrics = zip(*[objective.loss(case.model, params, key, chunk, settings)
                                for key, chunk in zip(jax.random.split(key, 2), chunks, strict=True)], strict=True)
        return sum(losses) / 2, jax.tree.map(lambda *values: sum(values) / 2, *metrics)

    expected = jax.jit(jax.value_and_grad(by_chunk, has_aux=True))(case.params, KEY)
    return case, settings, jax.tree.map(lambda *leaves: np.stack(leaves), *chunks), expected


@pytest.mark.parametrize('most', [1, pytest.param(4, marks=pytest.mark.slow), 1e9])
def test_the_loss_of_a_batch_is_the_mean_over_its_chunks_in_slices_of_any_size(two_chunks, most, monkeypatch):
    case, settings, batch, ((expected, metrics), gradient) = two_chunks
    monkeypatch.setattr(objective, '_OBSERVATION_BYTES', most * case.chunk.observation[0].size * 4)

    def at_once(params, key):
        return objective.batch_loss(case.model, params, key, batch, settings)

    (loss, found), slopes = jax.jit(jax.value_and_grad(at_once, has_aux=True))(case.params, KEY)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert set(found) == METRICS
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, metrics)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max() + 1e-7),
                 slopes, gradient)


def test_a_large_batch_is_encoded_chunk_by_chunk_on_a_cpu(two_chunks, monkeypatch):
    case, settings, batch, ((expected, _), gradient) = two_chunks

    def trace(most):
        monkeypatch.setattr(objective, '_ENCODED_BYTES', most)
        return jax.jit(lambda *given: objective.batch_gradient(case.model, *given, settings)).trace(
            case.params, KEY, batch)

    large, small = trace(0), trace(1e9)
    assert 'remat' in str(large.jaxpr) and 'remat' not in str(small.jaxpr)
    # An accelerator computes no layer twice.
    assert len({traced.lower(lowering_platforms=('cuda',)).as_text().count('stablehlo.convolution')
                for traced in (large, small)}) == 1
    slopes, metrics = large.lower().compile()(case.params, KEY, batch)
    np.testing.assert_allclose(metrics['loss'], expected, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max() + 1e-7),
                 slopes, gradient)


def test_chunk_by_chunk_only_the_first_layer_is_computed_again():
    config, spec, (batch, length) = preset('planet').resolve(), Spec((64, 64, 3), 'uint8', 1, 20), (2, 3)
    model = make_world_model(config.model, spec)
    chunks = Trajectory(*(jax.ShapeDtypeStruct((batch, *shape), dtype) for shape, dtype in (
        ((length, *spec.observation_shape), jnp.uint8), ((length, 1), jnp.float32), ((length,), jnp.float32),
        ((), jnp.int32))))

    def flops(apart):
        def gradient(params, key, chunks):
            return jax.grad(lambda params: objective.batch_loss(
                model, params, key, chunks, config.objective, apart)[0])(params)

        return gigaflops(gradient, jax.eval_shape(model.init, KEY), KEY, chunks) * 1e9

    # 31 x 31 patches of 4 x 4 x 3 numbers, for 32 channels.
    assert flops(True) - flops(False) == pytest.approx(2 * batch * length * 31**2 * 48 * 32)


@pytest.mark.parametrize('most', [0, 1e9])
def test_the_gradients_of_the_terms_add_up_and_are_those_of_the_terms_alone(two_chunks, most, monkeypatch):
    monkeypatch.setattr(objective, '_ENCODED_BYTES', most)
    case, settings, batch, (_, gradient) = two_chunks
    terms = jax.jit(lambda *given: objective.term_gradients(case.model, *given, settings))(case.params, KEY, batch)
    assert set(terms) == {'image', 'reward', 'kl'}
    jax.tree.map(lambda total, *parts: np.testing.assert_allclose(
        sum(parts), total, rtol=1e-3, atol=1e-4 * np.abs(total).max() + 1e-7), gradient, *terms.values())
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(
        [terms['image']['reward'], terms['reward']['decoder'], terms['kl']['decoder']]))
    assert all(np.any(leaf) for leaf in jax.tree.leaves(
        [terms['image']['decoder'], terms['reward']['reward'], terms['kl']['cell']['gaussian']]))
