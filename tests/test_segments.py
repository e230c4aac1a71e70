"""Chunks that are predicted open loop in segments: which rows, from which states, and what is added to the loss."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import keys, objective, world_model
from planet_jax.config import CELLS, Config, Learner, Model, Objective, Spec
from planet_jax.networks import make_world_model
from tests.chunk import KEY, SIZES, Filtered

LENGTH = 8


class Case(Filtered):
    """A cell with random parameters, a chunk, and its filtered states."""

    def __init__(self, cell):
        super().__init__(cell, LENGTH)

    def segments(self, steps):
        function = partial(world_model.segments, self.model, steps=steps)
        return jax.jit(function)(self.params, keys.stream(KEY, 'open_loop'), self.posteriors, self.chunk.action)

    def loss(self, steps, chunk):
        """The loss and its metrics."""
        settings = Objective(open_loop_steps=steps, image_scale=0.5, reward_scale=3.0)
        return jax.jit(partial(objective.loss, self.model, config=settings))(self.params, KEY, chunk)


@pytest.fixture(scope='module', params=list(CELLS))
def case(request):
    return Case(request.param)


@pytest.fixture(scope='module')
def rssm():
    return Case('rssm')


@pytest.mark.parametrize(('steps', 'first'), [(1, 1), (2, 2), (3, 2), (4, 4), (7, 1)])
def test_each_segment_is_imagined_from_the_posterior_before_it(case, steps, first):
    predicted = case.segments(steps)
    rows = LENGTH - first
    assert predicted.mean.shape[0] == rows
    imagine = jax.jit(partial(world_model.imagine, case.model))
    split = jax.random.split(keys.stream(KEY, 'open_loop'), rows // steps)
    for number, key in enumerate(split):
        begin = first + number * steps
        start = jax.tree.map(lambda leaf, row=begin - 1: leaf[row], case.posteriors)
        ahead = imagine(case.params, key, case.chunk.action[begin:begin + steps], start)
        part = jax.tree.map(lambda leaf, at=begin - first: leaf[at:at + steps], predicted)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), part, ahead)


@pytest.mark.parametrize('valid', [LENGTH, 5])
def test_the_errors_of_valid_rows_are_added_with_the_same_factors(rssm, valid):
    chunk = rssm.chunk.replace(length=np.int32(valid))
    plain, before = rssm.loss(0, chunk)
    total, after = rssm.loss(3, chunk)
    features = rssm.segments(3).features
    rows = slice(2, valid)
    kept = features[:valid - 2]
    image = jax.vmap(rssm.model.decode, (None, 0))(rssm.params, kept)
    reward = jax.vmap(rssm.model.reward, (None, 0))(rssm.params, kept)
    images = 0.5 * 0.5 * np.square(chunk.observation[rows] - image).sum() / LENGTH
    rewards = 0.5 * 3 * np.square(chunk.reward[rows] - reward).sum() / LENGTH
    np.testing.assert_allclose(after['image_loss'] - before['image_loss'], images, rtol=1e-3)
    np.testing.assert_allclose(after['reward_loss'] - before['reward_loss'], rewards, rtol=1e-3)
    np.testing.assert_allclose(total - plain, images + rewards, rtol=1e-3)
    assert after['kl'] == before['kl']


def test_the_last_error_trains_through_all_steps_of_a_segment(rssm):
    """Only the last row has an error, and an action at the begin of its segment matters."""

    def last(first_action):
        actions = jnp.asarray(rssm.chunk.action).at[1].set(first_action)
        predicted = world_model.segments(rssm.model, rssm.params, KEY, rssm.posteriors, actions, 7)
        return rssm.model.reward(rssm.params, predicted.features[-1])

    assert np.abs(jax.grad(last)(jnp.zeros(2))).max() > 1e-6


def test_batches_and_shares_of_terms_agree_with_single_chunks(rssm):
    settings = Objective(open_loop_steps=3)
    batch = jax.tree.map(lambda *rows: np.stack(rows), *[
        rssm.chunk.replace(reward=rssm.chunk.reward + n) for n in range(2)])
    one = jax.jit(partial(objective.loss, rssm.model, config=settings))
    single = [one(rssm.params, key, jax.tree.map(lambda leaf, n=n: leaf[n], batch))[0]
              for n, key in enumerate(jax.random.split(KEY, 2))]
    (total, _), whole = jax.jit(jax.value_and_grad(
        lambda params: objective.batch_loss(rssm.model, params, KEY, batch, settings), has_aux=True))(rssm.params)
    np.testing.assert_allclose(total, np.mean(single), rtol=1e-4)
    terms = jax.jit(lambda params: objective.term_gradients(rssm.model, params, KEY, batch, settings))(rssm.params)
    jax.tree.map(lambda a, *parts: np.testing.assert_allclose(a, sum(parts), rtol=1e-3, atol=1e-3), whole,
                 *terms.values())


def test_values_and_ends_are_learned_beside_it():
    model = make_world_model(Model(value_discount=0.9, **SIZES), Spec((3,), 'float32', 2, 10, ends=True))
    params, chunk = model.init(KEY), Case('rssm').chunk.replace(terminated=np.bool_(True))
    plain, total = (jax.jit(partial(objective.loss, model, config=Objective(open_loop_steps=steps)))(
        params, KEY, chunk)[1] for steps in (0, 3))
    assert total['value_loss'] == plain['value_loss'] and total['end_loss'] == plain['end_loss']
    assert total['image_loss'] > plain['image_loss']


@pytest.mark.parametrize('steps', [0, LENGTH])
def test_impossible_numbers_of_steps_are_refused(rssm, steps):
    with pytest.raises(ValueError, match=f'1 to {LENGTH - 1}.*not {steps}'):
        rssm.segments(steps)


def test_segments_longer_than_a_chunk_are_refused_with_the_nearest_valid_number():
    with pytest.raises(ValueError, match='open_loop_steps is 10.*nearest valid value is 9'):
        Config(objective=Objective(open_loop_steps=10), learner=Learner(chunk_length=10))
