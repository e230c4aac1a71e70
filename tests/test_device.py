"""What must hold on whatever device JAX computes: `planet-jax verify` runs this on an accelerator, beside its CPU.

Where there is no accelerator, the device is a CPU too, and some of it is plain.
"""

import dataclasses
import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import algorithm, keys, objective, planning, replay, seeds, world_model
from planet_jax.config import Spec, preset
from planet_jax.networks import make_world_model
from planet_jax.ops import convolutions
from planet_jax.storage import checkpoint
from planet_jax.types import Trajectory

pytestmark = pytest.mark.device

SPEC = Spec((32, 32, 3), 'uint8', 2, 20)
CLOSE = {'float32': 1e-4, 'default': 0.05, 'tensorfloat32': 0.05, 'bfloat16': 0.2}
"""By precision, how far a gradient may be from the CPU's in float32, as a part of its norm. A TF32 number has 11 bits
and a bfloat16 number 8; the bounds allow for what adds up over a chunk's rows."""


def configuration(precision):
    """Small."""
    config = preset('debug')
    return dataclasses.replace(
        config, model=dataclasses.replace(config.model, precision=precision),
        learner=dataclasses.replace(config.learner, batch=3, chunk_length=6)).resolve()


@functools.cache
def make_steps(precision='float32'):
    return algorithm.make_steps(configuration(precision), SPEC, slots=3, updates_per_call=2)


def episodes():
    """Three, of which the last is shorter."""
    rng = np.random.default_rng(0)
    return [Trajectory(rng.integers(0, 256, (1, 21, 32, 32, 3)).astype(np.uint8),
                       rng.uniform(-1, 1, (1, 21, 2)).astype(np.float32), rng.random((1, 21)).astype(np.float32),
                       np.array([length], np.int32)) for length in (21, 21, 9)]


@functools.cache  # Nobody changes it.
def filled(steps, seed=0):
    """A state with episodes, as NumPy arrays."""
    with jax.default_device(cpu()):
        state = jax.jit(steps.init)(keys.root(seed))
        for episode in episodes():
            state = jax.jit(steps.add)(state, episode)
    return jax.tree.map(np.array, state)


def cpu():
    return jax.local_devices(backend='cpu')[0]


def device():
    return jax.devices()[0]


def on(where, function, *arguments):
    """The results of a compiled function on a device, as NumPy arrays."""
    with jax.default_device(where):
        return jax.tree.map(np.asarray, jax.jit(function)(*jax.device_put(arguments, where)))


def gradient(precision):
    """(params, key, batch) -> gradient of the loss, in one vector, and metrics."""
    config = configuration(precision)
    model = make_world_model(config.model, SPEC)

    def function(params, key, batch):
        with jax.default_matmul_precision(precision):
            slope, metrics = jax.grad(lambda params: objective.batch_loss(model, params, key, batch, config.objective),
                                      has_aux=True)(params)
        return jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(slope)]), metrics

    return function


def batch_of(state):
    return replay.cut(state.replay, replay.draw(state.replay, keys.root(4), 3, 6))


@pytest.fixture(scope='module')
def arguments():
    """Of `gradient`."""
    state = filled(make_steps())
    with jax.default_device(cpu()):
        return jax.tree.map(np.array, (state.learner.params, keys.root(3), batch_of(state)))


@pytest.fixture(scope='module')
def expected(arguments):
    """On the CPU, in float32."""
    return on(cpu(), gradient('float32'), *arguments)


def distance(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


@pytest.mark.slow  # on a CPU it is compared with itself
@pytest.mark.parametrize('precision', CLOSE)
def test_the_gradient_is_the_cpu_s(precision, arguments, expected):
    slope, metrics = on(device(), gradient(precision), *arguments)
    assert slope.dtype == np.float32 and np.isfinite(slope).all()
    assert distance(slope, expected[0]) < CLOSE[precision]
    for name, value in expected[1].items():
        np.testing.assert_allclose(metrics[name], value, rtol=CLOSE[precision], atol=1e-3 * CLOSE[precision])


@pytest.mark.slow  # on a CPU other tests hold it
def test_one_call_of_learn_is_the_cpu_s():
    steps = make_steps()
    state = filled(steps)
    (actual, metrics), (wanted, wanted_metrics) = (on(where, steps.learn, state) for where in (device(), cpu()))
    for name, value in wanted_metrics.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
    change, wanted_change = (np.concatenate([(new - old).reshape(-1) for new, old in zip(
        jax.tree.leaves(after.learner.params), jax.tree.leaves(state.learner.params))]) for after in (actual, wanted))
    assert distance(change, wanted_change) < 1e-2  # Adam makes much of the smallest numbers.
    assert actual.learner.updates == 2


@pytest.mark.slow  # on a CPU other tests hold it
def test_without_jit_it_is_the_same(arguments):
    """One step of the model. A whole update, operation by operation, would be a minute's work for a compiler."""
    model = make_world_model(configuration('float32').model, SPEC)

    def step(params, key, image):
        with jax.default_matmul_precision('float32'):
            latent = model.prior(params, key, model.initial(), jnp.ones(2))
            latent = model.posterior(params, key, latent, model.encode(params, model.prepare(key, image)))
            return latent, model.decode(params, latent.features), model.reward(params, latent.features)

    given = arguments[0], arguments[1], arguments[2].observation[0, 0]
    compiled = on(device(), step, *given)
    with jax.disable_jit(), jax.default_device(device()):
        eager = step(*jax.device_put(given, device()))
    for one, other in zip(jax.tree.leaves(eager), jax.tree.leaves(compiled), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.slow  # on a CPU other tests hold it
def test_seeds_side_by_side_are_a_loop():
    steps = make_steps()
    states = [filled(steps, seed) for seed in range(2)]
    both, metrics = on(device(), jax.vmap(steps.learn), jax.tree.map(lambda *leaves: np.stack(leaves), *states))
    for seed, state in enumerate(states):
        alone, alone_metrics = on(device(), steps.learn, state)
        for name, value in alone_metrics.items():
            np.testing.assert_allclose(metrics[name][seed], value, rtol=1e-3, atol=1e-5, err_msg=name)
        for several, one in zip(jax.tree.leaves(both.learner.params), jax.tree.leaves(alone.learner.params)):
            np.testing.assert_allclose(several[seed], one, atol=1e-4)


def same(state, other):
    for one, two in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))


@pytest.mark.parametrize('precision', ['float32', pytest.param('default', marks=pytest.mark.slow)])
def test_the_same_call_gives_the_same_bits(precision):
    steps = make_steps(precision)
    state = filled(steps)
    learn = jax.jit(steps.learn)
    same(*(jax.tree.map(np.asarray, learn(jax.device_put(state, device()))) for _ in range(2)))


@pytest.mark.slow  # on a CPU other tests hold it
def test_a_checkpoint_goes_on_exactly(tmp_path):
    """As a run does: what was learned comes from the checkpoint, and the episodes are added again."""
    steps = make_steps()
    learn, add = jax.jit(steps.learn), jax.jit(steps.add)
    before, _ = learn(jax.device_put(filled(steps), device()))
    checkpoint.save(tmp_path / 'saved', before, {'updates': 2})
    straight = learn(before)
    with jax.default_device(device()):
        restored, told = checkpoint.restore(tmp_path / 'saved', jax.jit(steps.init)(keys.root(7)))
        restored = jax.device_put(restored, device())
        for episode in episodes():
            restored = add(restored, episode)
        same(learn(restored), straight)
    assert told == {'updates': 2}


@pytest.mark.slow  # on a CPU other tests hold it
def test_a_replay_on_the_host_gives_the_same_bits():
    steps, results = make_steps('default'), []
    for placement in ('device', 'host'):
        compiled = seeds.over_seeds(steps, [device()], 1, placement)
        state = compiled.init(keys.root(0)[None])
        for episode in episodes():
            state = compiled.add(state, jax.tree.map(lambda leaf: leaf[None], episode))
        for _ in range(2):
            state, metrics = compiled.learn(state)
        results.append((jax.tree.map(np.array, state.learner), jax.tree.map(np.array, metrics)))
    same(*results)


@pytest.mark.slow  # on a CPU other tests hold it
def test_learning_copies_no_replay():
    steps = make_steps()
    compiled = seeds.over_seeds(steps, [device()], 1)
    state = compiled.init(keys.root(0)[None])
    for episode in episodes():
        state = compiled.add(state, jax.tree.map(lambda leaf: leaf[None], episode))
    before = state.replay[0].data.observation.unsafe_buffer_pointer()
    state, _ = compiled.learn(state)
    assert state.replay[0].data.observation.unsafe_buffer_pointer() == before


def test_filtering_and_imagining_are_the_cpu_s():
    config = configuration('float32')
    model = make_world_model(config.model, SPEC)

    def predict(params, key, observations, actions):
        with jax.default_matmul_precision('float32'):
            latents = world_model.open_loop(model, params, key, observations, actions, 5)
            return latents.features, jax.vmap(model.reward, (None, 0))(params, latents.features), jax.vmap(
                model.decode, (None, 0))(params, latents.features)

    episode = episodes()[0]
    arguments = filled(make_steps()).learner.params, np.asarray(keys.root(1)), episode.observation[0], episode.action[0]
    for actual, wanted in zip(*(on(where, predict, *arguments) for where in (device(), cpu()))):
        np.testing.assert_allclose(actual, wanted, rtol=1e-3, atol=1e-4)


def test_a_search_is_the_cpu_s():
    """Over scores that are exact in float32 and different for all candidates: no rank turns on rounding."""
    def score(key, actions):
        places = jnp.arange(actions.shape[0])
        return -jnp.abs(jnp.round(actions[:, :, 0] * 64)).sum(1) * 1024 - places

    search = partial(planning.search, score=score, action_size=2, horizon=4, iterations=3, candidates=100, elites=10)
    plans = [on(where, lambda key: search(key), np.asarray(keys.root(2))) for where in (device(), cpu())]
    np.testing.assert_allclose(plans[0].mean, plans[1].mean, atol=1e-5)
    np.testing.assert_array_equal(plans[0].returns, plans[1].returns)


@pytest.mark.parametrize('function, image, kernel', [
    (convolutions.conv, (31, 31, 3), (4, 4, 3, 8)), (convolutions.conv_transpose, (13, 13, 8), (6, 6, 4, 8)),
    (convolutions.conv, (32, 32, 3), (4, 4, 3, 8)), (convolutions.conv_transpose, (5, 5, 8), (2, 2, 4, 8))])
def test_convolutions_are_the_cpu_s(function, image, kernel):
    rng = np.random.default_rng(0)
    operands = [rng.normal(size=shape).astype(np.float32) for shape in ((5, *image), kernel)]

    def values(x, kernel):
        with jax.default_matmul_precision('float32'):
            return function(x, kernel), jax.grad(lambda *xs: jnp.sin(function(*xs)).sum(), (0, 1))(x, kernel)

    for actual, wanted in zip(*(jax.tree.leaves(on(where, values, *operands)) for where in (device(), cpu()))):
        np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_noise_of_images_is_the_same_on_every_device():
    model = make_world_model(configuration('float32').model, SPEC)
    image = episodes()[0].observation[0]
    same(*(on(where, model.prepare, np.asarray(keys.root(5)), image) for where in (device(), cpu())))
