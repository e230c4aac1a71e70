"""The precision of matrix products and convolutions: where it applies, and that bfloat16 stays close to float32."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from planet_jax import algorithm, keys, learner
from planet_jax.config import Config, Env, Learner, Model, Planner, Spec
from planet_jax.networks import make_world_model
from planet_jax.types import LearnerState, Trajectory

SPEC = Spec((16, 16, 3), 'uint8', 2, 20)
KEY = keys.root(0)


def config(precision):
    model = Model(stochastic=8, deterministic=16, hidden=16, encoder_channels=(8, 16), decoder_channels=(16,),
                  decoder_kernels=(6, 6), decoder_units=32, reward_layers=2, reward_units=16, precision=precision)
    return Config(env=Env(size=16), model=model, planner=Planner(horizon=2, iterations=1, candidates=8, elites=2),
                  learner=Learner(batch=2, chunk_length=4)).resolve()


@pytest.mark.parametrize('precision, stated', [('float32', 'HIGHEST'), ('bfloat16', 'DEFAULT')])
def test_it_reaches_every_product_of_learning_and_planning_on_an_accelerator(precision, stated):
    steps = algorithm.make_steps(config(precision), SPEC, slots=1, updates_per_call=1)
    state = jax.eval_shape(steps.init, KEY)
    acting = (state.learner.params, KEY, jax.eval_shape(steps.begin, state.learner.params),
              jax.ShapeDtypeStruct(SPEC.observation_shape, SPEC.observation_dtype))
    for step, arguments, least in [(steps.learn, (state,), 30), (steps.act, acting, 12)]:
        # Lowered for another platform than this one, as nothing is run.
        program = jax.jit(step).trace(*arguments).lower(lowering_platforms=('cuda',)).as_text()
        products = [line for line in program.splitlines() if re.search(r'stablehlo\.(dot_general|convolution)', line)]
        assert len(products) >= least
        assert all(re.findall(r'DEFAULT|HIGHEST', line) == [stated] * 2 for line in products)
        # What stays float32 are the last layers of the heads and their gradients.
        small = sum('bf16>' in line for line in products) / len(products)
        assert small > 0.6 if precision == 'bfloat16' else small == 0


@pytest.fixture(scope='module')
def updates():
    """What one update of each precision makes of the same parameters and batch: outputs, gradient and metrics."""
    rng = np.random.default_rng(0)
    batch = Trajectory(rng.integers(0, 256, (2, 4, *SPEC.observation_shape)).astype('uint8'),
                       rng.uniform(-1, 1, (2, 4, 2)).astype('float32'), rng.random((2, 4)).astype('float32'),
                       np.full(2, 4, 'int32'))
    descent = optax.sgd(1.0)

    def made(precision):
        model = make_world_model(config(precision).model, SPEC)
        params = jax.tree.map(lambda leaf: np.random.default_rng(leaf.size).normal(
            0, 1 / np.sqrt(max(leaf.shape[0], leaf.size // leaf.shape[-1])), leaf.shape).astype('float32'),
            jax.eval_shape(model.init, KEY))

        def run(state):
            embedding = model.encode(params, model.prepare(KEY, batch.observation[0, 0]))
            prior = model.prior(params, KEY, model.initial(), batch.action[0, 0])
            latent = model.posterior(params, KEY, prior, embedding)
            outputs = prior, latent, model.decode(params, latent.features), model.reward(params, latent.features)
            return outputs, *learner.make_update(model, descent, config(precision).objective)(state, KEY, batch)

        outputs, after, metrics = jax.jit(run)(LearnerState(params, descent.init(params), jnp.int32(0)))
        return outputs, after, jax.tree.map(jnp.subtract, params, after.params), metrics

    return {precision: made(precision) for precision in ('float32', 'bfloat16')}


@pytest.mark.slow
def test_bfloat16_is_close_to_float32(updates):
    def difference(left, right):
        """Of all numbers together, over their size."""
        squares = [sum(float(jnp.square(leaf).sum()) for leaf in jax.tree.leaves(tree))
                   for tree in (jax.tree.map(jnp.subtract, left, right), right)]
        return np.sqrt(squares[0] / squares[1])

    (outputs, _, gradient, metrics), (expected, _, slope, told) = updates['bfloat16'], updates['float32']
    # A bfloat16 has eight bits, so each rounding costs up to 0.4%.
    for left, right in zip(outputs, expected, strict=True):
        assert 0 < difference(left, right) < 0.02
    for name in slope:
        assert 0 < difference(gradient[name], slope[name]) < 0.1, name
    for name in ('loss', 'image_loss', 'reward_loss', 'kl', 'prior_entropy'):
        np.testing.assert_allclose(metrics[name], told[name], rtol=0.02, err_msg=name)


@pytest.mark.slow
def test_what_counts_stays_float32(updates):
    for outputs, after, gradient, metrics in updates.values():
        for leaf in jax.tree.leaves((outputs, after.params, gradient, metrics)):
            assert leaf.dtype == jnp.float32 and jnp.isfinite(leaf).all()
        assert metrics['skipped'] == 0 and after.updates == 1
