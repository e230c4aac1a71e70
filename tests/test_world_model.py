"""Scans over the world model: compared with single steps, for every cell."""

import functools

import jax
import numpy as np
import pytest

from planet_jax import planning, world_model
from planet_jax.config import CELLS, Model, Spec
from planet_jax.networks import make_world_model

LENGTH = 5
OBSERVE_KEY, IMAGINE_KEY = np.asarray(jax.random.split(jax.random.PRNGKey(0)))


def compiled(function, **options):
    """Jitted, with NumPy results: looking at parts of JAX arrays would compile a program for each shape."""
    jitted = jax.jit(function, **options)
    return lambda *arguments, **named: jax.tree.map(np.asarray, jitted(*arguments, **named))


class Case:
    """A cell with parameters, a sequence and its compiled scans."""

    def __init__(self, cell):
        sizes = dict(stochastic=4, deterministic=6, hidden=8, vector_units=8, reward_layers=1, reward_units=8)
        self.cell = cell
        self.model = make_world_model(Model(cell=cell, **sizes), Spec((3,), 'float32', 2, 10))
        rng = np.random.default_rng(0)
        self.params = jax.tree.map(lambda leaf: rng.normal(0, 0.5, leaf.shape).astype('float32'),
                                   jax.eval_shape(self.model.init, OBSERVE_KEY))
        self.observations = rng.normal(size=(LENGTH, 3)).astype('float32')
        self.actions = rng.uniform(-1, 1, (LENGTH, 2)).astype('float32')
        encode = jax.jit(jax.vmap(self.model.encode, (None, 0)))
        self.embeddings = np.asarray(encode(self.params, self.observations))
        self.step = compiled(self.one_step)
        self.observe = compiled(lambda *arguments: world_model.observe(self.model, self.params, *arguments))
        self.imagine = compiled(lambda *arguments: world_model.imagine(self.model, self.params, *arguments))
        self.dynamics = world_model.latent_dynamics(self.model)
        self.initial = jax.tree.map(np.asarray, self.model.initial())
        self.priors, self.posteriors = self.observe(OBSERVE_KEY, self.embeddings, self.actions, self.initial)
        self.start = jax.tree.map(lambda leaf: leaf[-1], self.posteriors)

    def one_step(self, key, latent, action, embedding):
        prior_key, posterior_key = jax.random.split(key)
        prior = self.model.prior(self.params, prior_key, latent, action)
        return prior, self.model.posterior(self.params, posterior_key, prior, embedding)


@pytest.fixture(scope='module', params=list(CELLS))
def case(request):
    return Case(request.param)


def assert_close(first, second):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), first, second)


def row(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


def test_shapes_and_finite_values(case):
    imagined = case.imagine(IMAGINE_KEY, case.actions, case.start)
    deterministic = 0 if case.cell == 'ssm' else 6
    for latents in (case.priors, case.posteriors, imagined):
        assert latents.mean.shape == latents.std.shape == latents.stochastic.shape == (LENGTH, 4)
        assert latents.deterministic.shape == (LENGTH, deterministic)
        assert latents.features.shape == (LENGTH, 4 + deterministic)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(latents))
        assert (latents.std > 0).all()


def test_a_chunk_of_one_row_is_one_step(case):
    [key] = jax.random.split(OBSERVE_KEY, 1)
    observed = case.observe(OBSERVE_KEY, case.embeddings[:1], case.actions[:1], case.initial)
    assert_close(row(observed, 0), case.step(key, case.initial, case.actions[0], case.embeddings[0]))


def test_a_chunk_is_its_steps_one_by_one(case):
    latent = case.initial
    for index, key in enumerate(jax.random.split(OBSERVE_KEY, LENGTH)):
        prior, latent = case.step(key, latent, case.actions[index], case.embeddings[index])
        assert_close((row(case.priors, index), row(case.posteriors, index)), (prior, latent))


def test_rows_depend_on_the_past_only(case):
    changed = case.embeddings.copy()
    changed[3] += 1
    priors, posteriors = case.observe(OBSERVE_KEY, changed, case.actions, case.initial)
    assert_close(row((priors, posteriors), slice(3)), row((case.priors, case.posteriors), slice(3)))
    assert_close(row(priors, 3), row(case.priors, 3))
    assert (posteriors.mean[3] != case.posteriors.mean[3]).all()
    assert (priors.mean[4] != case.priors.mean[4]).any()


def test_an_action_acts_on_its_own_row(case):
    actions = case.actions.copy()
    actions[2] += 0.5
    priors, _ = case.observe(OBSERVE_KEY, case.embeddings, actions, case.initial)
    assert_close(row(priors, slice(2)), row(case.priors, slice(2)))
    assert (priors.mean[2] != case.priors.mean[2]).any()


def test_imagining_is_the_dynamics_step_by_step(case):
    imagined = case.imagine(IMAGINE_KEY, case.actions, case.start)
    latent, step, head = case.start, compiled(case.dynamics), compiled(case.model.reward)
    for index, key in enumerate(jax.random.split(IMAGINE_KEY, LENGTH)):
        latent, reward = step(case.params, key, latent, case.actions[index])
        assert_close(row(imagined, index), latent)
        assert_close(reward, head(case.params, imagined.features[index]))
        assert reward.shape == ()


def test_noise_is_of_the_key_and_of_stochastic_cells_only(case):
    first, second = (case.imagine(key, case.actions, case.start).stochastic for key in jax.random.split(IMAGINE_KEY))
    if case.cell.startswith('rnn'):
        np.testing.assert_array_equal(first, second)
    else:
        assert (first != second).all()


def test_jit_changes_nothing(case):
    with jax.disable_jit():
        plain = world_model.observe(case.model, case.params, OBSERVE_KEY, case.embeddings[:2], case.actions[:2],
                                    case.initial)
    jitted = case.observe(OBSERVE_KEY, case.embeddings[:2], case.actions[:2], case.initial)
    assert_close(jitted, plain)


def test_a_batch_is_its_rows_one_by_one(case):
    keys = np.asarray(jax.random.split(OBSERVE_KEY, 3))
    scales = np.array([1.0, -0.5, 0.1], 'float32')[:, None, None]
    embeddings, actions = case.embeddings * scales, case.actions * scales
    observe = functools.partial(world_model.observe, case.model, case.params)
    together = compiled(jax.vmap(observe, (0, 0, 0, None)))(keys, embeddings, actions, case.initial)
    for index in range(3):
        alone = case.observe(keys[index], embeddings[index], actions[index], case.initial)
        assert_close(row(together, index), alone)


def test_the_planner_takes_it(case):
    plan = compiled(lambda: planning.cem(case.params, IMAGINE_KEY, case.start, case.dynamics, action_size=2, horizon=3,
                                        iterations=2, candidates=8, elites=2))()
    assert np.isfinite(plan.mean).all() and np.abs(plan.mean).max() <= 1
    assert np.isfinite(plan.returns).all()


def test_open_loop_is_the_filter_then_imagination(case):
    context = 3
    open_loop = compiled(lambda *arguments: world_model.open_loop(case.model, case.params, *arguments, context))
    latents = open_loop(OBSERVE_KEY, case.observations, case.actions)
    _, observe_key, imagine_key = jax.random.split(OBSERVE_KEY, 3)
    _, filtered = case.observe(observe_key, case.embeddings[:context], case.actions[:context], case.initial)
    assert_close(row(latents, slice(context)), filtered)
    imagined = case.imagine(imagine_key, case.actions[context:], row(filtered, -1))
    assert_close(row(latents, slice(context, None)), imagined)
    # What comes after the context is not looked at.
    others = np.concatenate([case.observations[:context], np.ones_like(case.observations[context:])])
    jax.tree.map(np.testing.assert_array_equal, open_loop(OBSERVE_KEY, others, case.actions), latents)
