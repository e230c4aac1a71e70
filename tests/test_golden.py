"""RSSM and SSM against numbers of the authors' released code: see tests/golden/README.md."""

import importlib.util
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from flax import traverse_util

from planet_jax import config, keys, objective, world_model
from planet_jax.config import Model, Spec
from planet_jax.networks import make_world_model
from planet_jax.types import Trajectory

pytestmark = pytest.mark.device
FOLDER = Path(__file__).parent / 'golden'
TOLERANCE, OF_GRADIENTS = 1e-5, 1e-4
"""Of the loss and an output's largest value, and of a gradient's norm, where 2e-5 was measured: float32's rounding."""


@pytest.fixture(scope='module', params=['rssm', 'ssm'])
def compared(request):
    """What the released code computes, what this project computes from the same, and the parameters."""
    cell = request.param
    module = importlib.util.spec_from_file_location('rule', FOLDER / 'rule.py')
    rule = importlib.util.module_from_spec(module)
    module.loader.exec_module(rule)
    flat, images, actions, rewards, noise = rule.make(cell)
    model = make_world_model(Model(cell=cell), Spec((64, 64, 3), 'uint8', rule.ACTIONS, 50))
    params = traverse_util.unflatten_dict(flat, sep='/')
    shapes = jax.eval_shape(model.init, keys.root(0))
    chex.assert_trees_all_equal_shapes_and_dtypes(params, shapes)

    # The noise of a sample is found by the key that would have made it.
    chunk_keys = jax.random.split(keys.root(0), rule.BATCH)
    observe_keys = jax.vmap(lambda key: jax.random.split(key)[1])(chunk_keys)
    sample_keys = jax.vmap(lambda key: jax.vmap(jax.random.split)(jax.random.split(key, rule.LENGTH)))(observe_keys)
    sample_keys, noise = sample_keys.reshape(-1, 2), noise.reshape(-1, rule.STOCHASTIC)

    def given(function):
        def with_noise(params, key, *arguments):
            latent, drawn = function(params, key, *arguments), (sample_keys == key).all(-1)
            return latent.replace(stochastic=latent.mean + latent.std * (drawn[:, None] * noise).sum(0))
        return with_noise

    model = model._replace(prepare=lambda key, image: image, prior=given(model.prior),
                           posterior=given(model.posterior))
    batch = Trajectory(images, actions, rewards, np.full(rule.BATCH, rule.LENGTH, 'int32'))

    @jax.jit
    def ours(params):
        def filtered(key, chunk):
            embeddings = jax.vmap(model.encode, (None, 0))(params, chunk.observation)
            priors, posteriors = world_model.observe(model, params, key, embeddings, chunk.action, model.initial())
            heads = [jax.vmap(head, (None, 0))(params, posteriors.features) for head in (model.decode, model.reward)]
            return priors, posteriors, *heads

        value = jax.value_and_grad(lambda params: objective.batch_loss(
            model, params, keys.root(0), batch, config.preset('planet').resolve().objective), has_aux=True)(params)
        return jax.vmap(filtered)(observe_keys, batch), value

    with jax.default_matmul_precision('float32'):  # Which an accelerator may not have by default.
        outputs, ((loss, metrics), gradient) = jax.tree.map(np.asarray, ours(params))
    gradient = traverse_util.flatten_dict(gradient, sep='/')
    with np.load(FOLDER / f'official_{cell}.npz') as official:
        return dict(official), outputs, loss, metrics, gradient, flat


def assert_close(found, expected):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


def test_filtering_and_predictions_are_those_of_the_released_code(compared):
    official, (priors, posteriors, image, reward), *_ = compared
    for name, latents in [('prior', priors), ('posterior', posteriors)]:
        for part in ('mean', 'std', 'stochastic'):
            assert_close(getattr(latents, part), official[f'{name}_{part}'])
    if 'deterministic' in official:
        assert_close(posteriors.deterministic, official['deterministic'])
    assert_close(image[:, :, ::8, ::8], official['image'])
    assert_close(reward, official['reward'])


def test_the_objective_is_that_of_the_released_code(compared):
    official, _, loss, metrics, *_ = compared
    np.testing.assert_allclose(loss, official['loss'], rtol=TOLERANCE)
    np.testing.assert_allclose(metrics['kl'], official['divergence'].mean(), rtol=TOLERANCE)


def test_the_gradient_of_every_parameter_is_that_of_the_released_code(compared):
    official, *_, gradient, params = compared
    assert {name for name in official if '/' in name} == {
        f'gradient_{kind}/{name}' for kind in ('norm', 'dot') for name in gradient}
    for name, slope in gradient.items():
        norm, dot = official[f'gradient_norm/{name}'], official[f'gradient_dot/{name}']
        assert norm > 0
        np.testing.assert_allclose(np.linalg.norm(slope.astype(float)), norm, rtol=OF_GRADIENTS, err_msg=name)
        np.testing.assert_allclose((slope.astype(float) * params[name]).sum(), dot, rtol=0,
                                   atol=OF_GRADIENTS * norm * np.linalg.norm(params[name]), err_msg=name)
