"""Latent overshooting: which rows are predicted from which, which entries count, and the weights of distances."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import keys, objective, world_model
from planet_jax.config import CELLS, Config, Learner, Model, Objective
from tests.chunk import KEY, Filtered

LENGTH, DISTANCE = 6, 4


class Case(Filtered):
    """A cell with random parameters, a chunk, and its filtered and overshooting states."""

    def __init__(self, cell):
        super().__init__(cell, LENGTH)
        self.programs = {}
        self.rolled, self.mask = jax.tree.map(np.asarray, jax.jit(
            partial(world_model.overshoot, self.model, distance=DISTANCE))(
                self.params, keys.stream(KEY, 'overshoot'), self.posteriors, self.chunk.action))

    def compiled(self, *program):
        """The loss and its gradient, once for each program; numbers are traced."""
        distance, weights, rewards, prior = program

        def loss(params, chunk, numbers):
            settings = Objective(overshooting_distance=distance, overshooting_weights=weights,
                                 overshooting_reward=rewards, global_prior_scale=prior)
            for name, value in numbers.items():  # Past its validator, which would want to see the traced numbers.
                object.__setattr__(settings, name, value)
            return objective.loss(self.model, params, KEY, chunk, settings)

        if program not in self.programs:
            self.programs[program] = jax.jit(jax.value_and_grad(loss, has_aux=True))
        return self.programs[program]

    def loss(self, chunk=None, *, overshooting_distance=1, overshooting_weights='released', overshooting_reward=False,
             global_prior_scale=0.0, **numbers):
        """Metrics and gradient."""
        numbers = dict(free_nats=0.0, kl_scale=1.0,
                       overshooting_betas=[1.0] * (overshooting_distance - 1)) | numbers
        function = self.compiled(overshooting_distance, overshooting_weights, overshooting_reward, global_prior_scale)
        (_, metrics), gradient = jax.tree.map(np.asarray, function(self.params, chunk or self.chunk, numbers))
        return {name: float(value) for name, value in metrics.items()}, gradient

    def divergences(self):
        """[DISTANCE, LENGTH], by the closed form."""
        q, p = self.posteriors, self.rolled
        return (np.log(p.std / q.std) - 0.5 + (q.std**2 + (q.mean - p.mean)**2) / (2 * p.std**2)).sum(-1)

    def sums(self, free_nats=0.0, valid=LENGTH):
        """[DISTANCE], over the entries that have a start and are valid."""
        counted = self.mask & (np.arange(LENGTH) < valid)
        return np.where(counted, np.maximum(self.divergences() - free_nats, 0), 0).sum(1)


@pytest.fixture(scope='module', params=list(CELLS))
def case(request):
    return Case(request.param)


@pytest.fixture(scope='module')
def stochastic_case():
    return Case('rssm')


def test_distance_one_is_the_prior_of_filtering(case):
    for name in ('mean', 'std', 'deterministic'):
        np.testing.assert_allclose(getattr(case.rolled, name)[0], getattr(case.priors, name), rtol=1e-4, atol=1e-5)


def test_each_distance_goes_on_from_the_one_before(case):
    prior = jax.jit(case.model.prior)
    for distance in range(1, DISTANCE):
        for row in range(distance, LENGTH):
            start = jax.tree.map(lambda rows, d=distance, r=row: rows[d - 1, r - 1], case.rolled)
            ahead = prior(case.params, KEY, start, case.chunk.action[row])
            np.testing.assert_allclose(case.rolled.mean[distance, row], ahead.mean, rtol=1e-4, atol=1e-5)


def test_entries_that_would_start_before_the_chunk_are_masked(case):
    np.testing.assert_array_equal(case.mask, np.arange(LENGTH) >= np.arange(DISTANCE)[:, None])


@pytest.mark.parametrize('distance', [0, LENGTH + 1])
def test_impossible_distances_are_refused(case, distance):
    with pytest.raises(ValueError, match=f'1 to {LENGTH}.*not {distance}'):
        world_model.overshoot(case.model, case.params, KEY, case.posteriors, case.chunk.action, distance)


@pytest.mark.parametrize('free_nats', [0.0, 1.0])
@pytest.mark.parametrize('valid', [LENGTH, 5])
def test_released_weights_divide_the_farther_distances_by_all_rows(stochastic_case, free_nats, valid):
    chunk = stochastic_case.chunk.replace(length=np.int32(valid))
    plain, _ = stochastic_case.loss(chunk, free_nats=free_nats)
    metrics, _ = stochastic_case.loss(chunk, free_nats=free_nats, overshooting_distance=DISTANCE)
    expected = stochastic_case.sums(free_nats, valid)[1:].sum() / (LENGTH * (DISTANCE - 1))
    np.testing.assert_allclose(metrics['loss'] - plain['loss'], expected, rtol=1e-3)
    means = stochastic_case.sums(0, valid) / (valid - np.arange(DISTANCE))
    np.testing.assert_allclose(metrics['overshooting_kl'], means[1:].mean(), rtol=1e-4)


@pytest.mark.parametrize('valid', [LENGTH, 5])
def test_paper_weights_weigh_every_entry_of_every_distance_the_same(stochastic_case, valid):
    chunk = stochastic_case.chunk.replace(length=np.int32(valid))
    plain, _ = stochastic_case.loss(chunk, kl_scale=0.0)
    metrics, _ = stochastic_case.loss(chunk, overshooting_distance=DISTANCE, overshooting_weights='paper')
    expected = stochastic_case.sums(0, valid).sum() / (LENGTH * DISTANCE)
    np.testing.assert_allclose(metrics['loss'] - plain['loss'], expected, rtol=1e-3)


def test_each_distance_has_its_weight(stochastic_case):
    plain, _ = stochastic_case.loss()
    metrics, _ = stochastic_case.loss(overshooting_distance=DISTANCE,
                                      overshooting_betas=[0.0, 3.0, 0.5])
    expected = (stochastic_case.sums()[1:] * [0.0, 3.0, 0.5]).mean() / LENGTH
    np.testing.assert_allclose(metrics['loss'] - plain['loss'], expected, rtol=1e-3)


@pytest.mark.parametrize('weights', ['released', 'paper'])
def test_distance_one_is_the_standard_objective(case, weights):
    jax.tree.map(np.testing.assert_array_equal, case.loss(overshooting_weights=weights), case.loss())


def test_posteriors_are_stopped_as_targets(stochastic_case):
    """A gradient reaches the samples, from which a rollout starts, but not mean and std, which are targets alone."""
    model, params, chunk = stochastic_case.model, stochastic_case.params, stochastic_case.chunk

    def farther(params, posteriors):
        settings = Objective(free_nats=0.0, overshooting_distance=2)
        return objective._overshooting(model, params, KEY, posteriors, chunk, jnp.ones(LENGTH, bool), settings)[0]

    gradient = jax.jit(jax.grad(farther, 1))(params, stochastic_case.posteriors)
    assert not np.any(gradient.mean) and not np.any(gradient.std)
    assert np.any(gradient.stochastic)


def test_rows_after_the_length_count_nothing(stochastic_case):
    chunk = stochastic_case.chunk.replace(length=np.int32(4))
    other = chunk.replace(observation=np.where(np.arange(LENGTH)[:, None] < 4, chunk.observation, 9).astype('float32'),
                          action=np.where(np.arange(LENGTH)[:, None] < 4, chunk.action, -1).astype('float32'))
    settings = dict(overshooting_distance=DISTANCE, overshooting_reward=True)
    first, second = (stochastic_case.loss(c, **settings) for c in (chunk, other))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), first, second)


def test_rewards_on_the_way_add_to_the_loss_and_reach_the_head(stochastic_case):
    settings = dict(overshooting_distance=DISTANCE)
    plain, before = stochastic_case.loss(**settings)
    metrics, after = stochastic_case.loss(overshooting_reward=True, **settings)
    rolled = jax.tree.map(lambda rows: rows[1:], stochastic_case.rolled)
    head = jax.jit(jax.vmap(jax.vmap(stochastic_case.model.reward, (None, 0)), (None, 0)))
    errors = np.where(stochastic_case.mask[1:],
                      5 * np.square(stochastic_case.chunk.reward - head(stochastic_case.params, rolled.features)), 0)
    expected = errors.sum(1).mean() / LENGTH
    np.testing.assert_allclose(metrics['reward_loss'] - plain['reward_loss'], expected, rtol=1e-3)
    assert any(np.any(a != b) for a, b in zip(jax.tree.leaves(before['reward']), jax.tree.leaves(after['reward'])))


def test_global_prior_is_the_divergence_to_a_standard_normal(stochastic_case):
    q = stochastic_case.posteriors
    expected = (-np.log(q.std) - 0.5 + (q.std**2 + q.mean**2) / 2).sum(1).mean()
    plain, _ = stochastic_case.loss()
    metrics, _ = stochastic_case.loss(global_prior_scale=0.5)
    np.testing.assert_allclose(metrics['global_kl'], expected, rtol=1e-4)
    np.testing.assert_allclose(metrics['loss'] - plain['loss'], 0.5 * expected, rtol=1e-3)


@pytest.mark.parametrize('settings, sentence', [
    (dict(objective=Objective(overshooting_distance=20), learner=Learner(chunk_length=10)),
     'overshooting_distance is 20.*10 rows.*nearest valid value is 10'),
    *[(dict(objective=Objective(overshooting_distance=2), model=Model(cell=cell)),
       f'overshooting_distance is 2.*{cell}.*nearest valid value is 1')
      for cell, traits in CELLS.items() if not traits.samples],
])
def test_settings_that_do_not_go_together_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        Config(**settings)


@pytest.mark.parametrize('betas', [(1.0,), (1.0, 1.0, 1.0)])
def test_one_weight_is_needed_for_each_distance(betas):
    with pytest.raises(ValueError, match=f'has {len(betas)} entries.*from 2 to 3, 2 in all'):
        Objective(overshooting_distance=3, overshooting_betas=betas)
