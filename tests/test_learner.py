"""The learner: the optimizer's formulae, and that its calls learn the same however they are split."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from planet_jax import learner, objective, replay, world_model
from planet_jax.config import Learner, Model, Objective, Spec
from planet_jax.networks import make_world_model
from planet_jax.types import LearnerState, TrainState, Trajectory

KEY = jax.random.PRNGKey(0)
SPEC = Spec((2,), 'float32', 1, 20)
SETTINGS = Learner(batch=8, chunk_length=10, learning_rate=3e-3)
OBJECTIVE = Objective(reward_scale=10, kl_scale=1, free_nats=1)


def point_episode(seed):
    """A point that an action moves; the reward is its closeness to the origin."""
    rng = np.random.default_rng(seed)
    action = np.concatenate([[0], rng.uniform(-1, 1, SPEC.steps)]).astype('float32')
    position = (rng.uniform(-1, 1) + 0.5 * action.cumsum()).astype('float32')
    reward = np.exp(-np.square(position))
    reward[0] = 0
    return Trajectory(np.stack([position, np.sin(3 * position)], 1), action[:, None], reward, np.int32(SPEC.steps + 1))


def to_chunks(episodes):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *episodes)


class Setting:
    """A tiny world model, its update, and a train state that has seen ten episodes."""

    def __init__(self):
        self.model = make_world_model(Model(stochastic=4, deterministic=16, hidden=16, vector_layers=1,
                                            vector_units=16, reward_layers=1, reward_units=16), SPEC)
        self.optimizer = learner.make_optimizer(SETTINGS)
        self.update = learner.make_update(self.model, self.optimizer, OBJECTIVE)
        rng = np.random.default_rng(0)
        params = jax.tree.map(lambda leaf: rng.normal(0, 0.25, leaf.shape).astype('float32'),
                              jax.eval_shape(self.model.init, KEY))
        opt_state = jax.tree.map(np.asarray, jax.jit(self.optimizer.init)(params))
        store, add = replay.init(SPEC, 10, SETTINGS.chunk_length), jax.jit(replay.add)
        for seed in range(10):
            store = add(store, point_episode(seed))
        self.state = TrainState(LearnerState(params, opt_state, np.int32(0)), (store,), np.asarray(KEY))
        self.compiled = {}
        self.batch = to_chunks([point_episode(seed) for seed in range(4)])
        self.update_once = jax.jit(self.update)

    def learn(self, state, updates):
        if updates not in self.compiled:
            # Traced once for the whole module, however far the state is.
            self.compiled[updates] = jax.jit(chex.assert_max_traces(
                learner.make_learn(self.update, SETTINGS, updates), n=1))
        return jax.tree.map(np.asarray, self.compiled[updates](state))


@pytest.fixture(scope='module')
def setting():
    return Setting()


@pytest.fixture(scope='module')
def learned(setting):
    state = setting.state
    for _ in range(60):
        state, metrics = setting.learn(state, 10)
    return state, metrics


# One update.


def test_the_average_follows_the_parameters_and_nothing_learns_from_it(setting):
    update = jax.jit(learner.make_update(setting.model, setting.optimizer, OBJECTIVE, Learner(average=0.8)))
    plain = setting.state.learner
    state, seen = plain.replace(average=jax.tree.map(np.zeros_like, plain.params)), []
    for _ in range(60):
        plain, _ = setting.update_once(plain, KEY, setting.batch)
        state, _ = update(state, KEY, setting.batch)
        seen.append(np.asarray(state.params['reward']['Dense_0']['bias'], np.float64))
    chex.assert_trees_all_close(state.params, plain.params, rtol=1e-4, atol=1e-5)
    expected = seen[0]
    for count, value in enumerate(seen[1:], 1):
        weight = min(0.8, count / (count + 10))
        expected = weight * expected + (1 - weight) * value
    np.testing.assert_allclose(state.acting['reward']['Dense_0']['bias'], expected, rtol=1e-4, atol=1e-6)
    assert plain.acting is plain.params


def test_the_rate_falls_with_the_count_of_updates(setting):
    falling = jax.jit(learner.make_update(setting.model, setting.optimizer, OBJECTIVE, Learner(rate_halves_after=20)))
    before = setting.state.learner
    constant, _ = setting.update_once(before, KEY, setting.batch)
    for updates, factor in (0, 1), (20, 0.5), (60, 0.25):
        # Told by the count alone, so a run that was stopped goes on with the rate that it had.
        after, _ = falling(before.replace(updates=np.int32(updates)), KEY, setting.batch)
        for old, slow, fast in zip(*map(jax.tree.leaves, (before.params, after.params, constant.params))):
            np.testing.assert_allclose(slow - old, factor * (fast - old), rtol=1e-3, atol=1e-6)


def test_updates_reduce_the_loss_of_a_fixed_batch(setting):
    state, losses = setting.state.learner, []
    for _ in range(30):
        state, metrics = setting.update_once(state, KEY, setting.batch)
        losses.append(float(metrics['loss']))
    assert losses[-1] < 0.7 * losses[0]
    assert all(later < first for first, later in zip(losses, losses[10:]))
    assert state.updates == 30
    assert set(metrics) == {'loss', 'image_loss', 'reward_loss', 'kl', 'free_rows', 'prior_entropy',
                            'posterior_entropy', 'gradient_norm', 'skipped'}
    assert metrics['skipped'] == 0


def test_an_update_is_a_step_down_the_gradient_of_the_mean_over_the_batch(setting):
    @jax.jit
    @jax.value_and_grad
    def one_loss(params, key, chunk):
        return objective.loss(setting.model, params, key, chunk, OBJECTIVE)[0]

    before = setting.state.learner
    rows = [one_loss(before.params, key, jax.tree.map(lambda leaf, row=row: leaf[row], setting.batch))
            for row, key in enumerate(jax.random.split(KEY, 4))]
    loss, gradient = jax.tree.map(lambda *values: np.mean(values, 0), *rows)
    after, metrics = jax.tree.map(np.asarray, setting.update_once(before, KEY, setting.batch))
    norm = np.sqrt(sum(np.square(leaf).sum() for leaf in jax.tree.leaves(gradient)))
    np.testing.assert_allclose(metrics['loss'], loss, rtol=1e-4)
    np.testing.assert_allclose(metrics['gradient_norm'], norm, rtol=1e-4)
    # Adam's first step.
    jax.tree.map(lambda old, new, slope: np.testing.assert_allclose(
        old - new, 3e-3 * slope / (np.abs(slope) + 1e-4), rtol=1e-2, atol=3e-5), before.params, after.params, gradient)


# Case 8 of docs/reliability.md: loss or gradient is not finite.


@pytest.mark.parametrize('field, value', [('observation', np.nan), ('reward', np.inf), ('action', -np.inf)])
def test_an_update_that_is_not_finite_changes_nothing_and_is_counted(setting, field, value):
    values = getattr(setting.batch, field).copy()
    values[1, 2] = value
    before = setting.update_once(setting.state.learner, KEY, setting.batch)[0]
    after, metrics = setting.update_once(before, KEY, setting.batch.replace(**{field: values}))
    assert metrics['skipped'] == 1 and not np.isfinite(metrics['gradient_norm'] + metrics['loss'])
    assert after.updates == before.updates + 1
    chex.assert_trees_all_equal((after.params, after.opt_state), (before.params, before.opt_state), strict=True)


def test_a_gradient_that_is_not_finite_is_skipped_though_the_loss_is(setting, monkeypatch):
    def root(model, params, key, batch, settings, apart):
        return jnp.sqrt(params['x']), {'loss': jnp.sqrt(params['x'])}

    monkeypatch.setattr(objective, 'batch_loss', root)
    params = {'x': np.float32(0)}
    before = LearnerState(params, setting.optimizer.init(params), np.int32(0))
    update = learner.make_update(setting.model, setting.optimizer, OBJECTIVE)
    after, metrics = jax.jit(update)(before, KEY, setting.batch)
    assert metrics['loss'] == 0 and metrics['gradient_norm'] == np.inf and metrics['skipped'] == 1
    chex.assert_trees_all_equal((after.params, after.opt_state), (before.params, before.opt_state), strict=False)


def test_a_call_shows_every_update_it_skipped(setting):
    replay, = setting.state.replay
    damaged = replay.replace(data=replay.data.replace(reward=np.full_like(replay.data.reward, np.nan)))
    state, metrics = setting.learn(setting.state.replace(replay=(damaged,)), 2)
    assert metrics['skipped'].tolist() == [1, 1] and state.learner.updates == 2
    jax.tree.map(np.testing.assert_array_equal, state.learner.params, setting.state.learner.params)
    assert setting.learn(state.replace(replay=setting.state.replay), 2)[1]['skipped'].tolist() == [0, 0]


def with_rows(setting, rows):
    """The state of `setting`, whose episodes have only so many rows."""
    replay, = setting.state.replay
    data = jax.tree.map(np.array, replay.data)
    for values in (data.observation, data.action, data.reward):
        values[:, rows:] = 0
    data = data.replace(length=np.full_like(data.length, rows))
    return setting.state.replace(replay=(replay.replace(data=data),))


# Case 13 of docs/reliability.md: an episode shorter than a chunk, and an empty replay.


def test_episodes_shorter_than_a_chunk_are_learned_from(setting):
    assert SETTINGS.chunk_length > 3
    state, metrics = setting.learn(with_rows(setting, 3), 2)
    assert metrics['skipped'].tolist() == [0, 0] and (metrics['gradient_norm'] > 0).all()
    full = setting.learn(setting.state, 2)[1]
    assert (metrics['loss'] < 0.6 * full['loss']).all()  # Its rows that are not there count nothing.
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.learner))


def test_from_an_empty_replay_nothing_is_learned(setting):
    empty = jax.tree.map(np.zeros_like, setting.state.replay)
    state, metrics = setting.learn(setting.state.replace(replay=empty), 2)
    assert not metrics['loss'].any() and not metrics['gradient_norm'].any()
    jax.tree.map(np.testing.assert_array_equal, state.learner.params, setting.state.learner.params)


def test_what_is_finite_is_learned_from_as_without_the_check(setting, optimized):
    def unchecked(state, key, batch):
        def loss(params):
            return objective.batch_loss(setting.model, params, key, batch, OBJECTIVE)

        gradient, _ = jax.grad(loss, has_aux=True)(state.params)
        change, opt_state = setting.optimizer.update(gradient, state.opt_state, state.params)
        return LearnerState(optax.apply_updates(state.params, change), opt_state, state.updates + 1)

    # Not `update_once`, which may be compiled already.
    checked, _ = jax.jit(lambda *given: setting.update(*given))(setting.state.learner, KEY, setting.batch)
    jax.tree.map(np.testing.assert_array_equal, checked,
                 jax.jit(unchecked)(setting.state.learner, KEY, setting.batch))


# The optimizer.


def steps_of(settings, gradients):
    """The changes that an optimizer makes of these gradients, one after another."""
    optimizer = learner.make_optimizer(settings)
    update = jax.jit(optimizer.update)
    state, changes = jax.jit(optimizer.init)(gradients[0]), []
    for gradient in gradients:
        change, state = update(gradient, state)
        changes.append(np.asarray(change))
    return np.stack(changes)


# As small as epsilon, so that it matters where epsilon is added.
GRADIENTS = (1e-3 * np.random.default_rng(0).normal(size=(6, 5))).astype('float32')


def moments():
    first, second = np.zeros(5), np.zeros(5)
    for step, gradient in enumerate(GRADIENTS.astype('float64'), 1):
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        yield step, first, second


def test_adam_is_optax_s():
    changes = steps_of(Learner(learning_rate=0.01, adam_epsilon=1e-4), GRADIENTS)
    optimizer = optax.adam(0.01, eps=1e-4)
    update, state = jax.jit(optimizer.update), jax.jit(optimizer.init)(GRADIENTS[0])
    for gradient, change in zip(GRADIENTS, changes):
        expected, state = update(gradient, state)
        np.testing.assert_allclose(change, expected, rtol=1e-5)
    written_out = [-0.01 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-4)
                   for step, first, second in moments()]
    np.testing.assert_allclose(changes, written_out, rtol=1e-4)


def test_epsilon_hat_is_tensorflow_s_formula():
    changes = steps_of(Learner(learning_rate=0.01, adam_epsilon=1e-4, adam_epsilon_hat=True), GRADIENTS)
    written_out = [-0.01 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step) * first / (np.sqrt(second) + 1e-4)
                   for step, first, second in moments()]
    np.testing.assert_allclose(changes, written_out, rtol=1e-3)
    plain = steps_of(Learner(learning_rate=0.01, adam_epsilon=1e-4), GRADIENTS)
    assert (np.abs(plain) > 1.5 * np.abs(changes)).all()


@pytest.mark.parametrize('norm, factor', [(10.0, 0.1), (0.5, 1.0)])
def test_large_gradients_are_clipped_by_their_norm(norm, factor):
    gradient = np.array([0.6, 0.0, 0.8], 'float32') * norm
    # With an epsilon this large Adam is nearly linear, so the clipped norm can be read from the step.
    [change] = steps_of(Learner(learning_rate=1.0, adam_epsilon=1e4, clip_norm=1.0), [gradient])
    np.testing.assert_allclose(change * -1e4, gradient * factor, rtol=1e-3)


def test_learning_rate_scales_the_step():
    one, ten = (steps_of(Learner(learning_rate=rate), GRADIENTS) for rate in (1e-3, 1e-2))
    np.testing.assert_allclose(10 * one, ten, rtol=1e-4)


# Calls of several updates.


def test_any_split_into_calls_gives_the_same_numbers(setting):
    whole, metrics = setting.learn(setting.state, 10)
    assert whole.learner.updates == 10
    assert all(values.shape == (10,) for values in metrics.values())
    state, parts = setting.state, []
    for _ in range(5):
        state, part = setting.learn(state, 2)
        parts.append(part)
    joined = jax.tree.map(lambda *values: np.concatenate(values), *parts)
    # Bit-equal on the machine it was written on, but another program may round otherwise.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), (whole.learner, metrics),
                 (state.learner, joined))
    assert np.unique(metrics['loss']).size == 10


def test_every_update_draws_chunks_and_noise_of_its_own(setting):
    def record(state, key, batch):
        return state.replace(updates=state.updates + 1), {'key': key, 'reward': batch.reward}

    def drawn(calls, updates):
        learn, state, parts = jax.jit(learner.make_learn(record, SETTINGS, updates)), setting.state, []
        for _ in range(calls):
            state, metrics = learn(state)
            parts.append(jax.tree.map(np.asarray, metrics))
        return jax.tree.map(lambda *values: np.concatenate(values), *parts)

    once = drawn(1, 6)
    jax.tree.map(np.testing.assert_array_equal, once, drawn(3, 2))
    for values in once.values():
        assert len({value.tobytes() for value in values}) == 6
    assert once['reward'].shape == (6, SETTINGS.batch, SETTINGS.chunk_length)
    draw = jax.jit(lambda state, number: learner.draw(state, number, SETTINGS))
    for number in range(6):
        key, drawn = draw(setting.state, number)
        np.testing.assert_array_equal(once['key'][number], key)
        np.testing.assert_array_equal(once['reward'][number], replay.cut(setting.state.replay, drawn).reward)


def test_learning_changes_the_learner_only(setting):
    state, _ = setting.learn(setting.state, 2)
    jax.tree.map(np.testing.assert_array_equal, (state.replay, state.key), (setting.state.replay, setting.state.key))
    for path, leaf in jax.tree.leaves_with_path(jax.tree.map(
            lambda old, new: bool((old != new).any()), setting.state.learner.params, state.learner.params)):
        assert leaf, jax.tree_util.keystr(path)


def test_another_key_draws_other_chunks(setting):
    first = setting.learn(setting.state, 2)[1]['loss']
    second = setting.learn(setting.state.replace(key=jax.random.PRNGKey(1)), 2)[1]['loss']
    assert (first != second).all()


def test_a_learned_model_beats_the_zero_predictor(setting, learned):
    state, metrics = learned
    assert state.learner.updates == 600
    unseen = to_chunks([point_episode(seed) for seed in range(100, 120)])
    model, params = setting.model, state.learner.params

    @jax.jit
    def errors(episode, key):
        """Squared errors of reward and observation, filtered over ten rows and then imagined over ten."""
        embeddings = jax.vmap(model.encode, (None, 0))(params, episode.observation[:11])
        _, seen = world_model.observe(model, params, key, embeddings, episode.action[:11], model.initial())
        last = jax.tree.map(lambda leaf: leaf[-1], seen)
        ahead = world_model.imagine(model, params, key, episode.action[11:], last)
        features = jnp.concatenate([seen.features, ahead.features])
        return (jnp.square(jax.vmap(model.reward, (None, 0))(params, features) - episode.reward),
                jnp.square(jax.vmap(model.decode, (None, 0))(params, features) - episode.observation).sum(1))

    reward, observation = map(np.asarray, jax.vmap(errors)(unseen, jax.random.split(KEY, 20)))
    zero_reward, zero_observation = np.square(unseen.reward), np.square(unseen.observation).sum(2)
    constant_reward = np.square(unseen.reward - unseen.reward.mean())
    for rows in (slice(1, 11), slice(11, 16)):
        assert reward[:, rows].mean() < 0.5 * min(zero_reward[:, rows].mean(), constant_reward[:, rows].mean())
        assert observation[:, rows].mean() < 0.5 * zero_observation[:, rows].mean()
    assert metrics['loss'][-1] < 0.5 * setting.learn(setting.state, 10)[1]['loss'][0]


def test_shares_are_those_of_the_terms_in_the_gradient_of_the_next_update(setting):
    state = setting.state
    shares = jax.jit(learner.make_shares(setting.model, OBJECTIVE, SETTINGS))
    found = {name: float(value) for name, value in shares(state).items()}
    assert set(found) == {'image_share', 'reward_share', 'kl_share'}
    assert sum(found.values()) == pytest.approx(1) and min(found.values()) > 0.001
    key, draws = jax.jit(lambda state: learner.draw(state, 0, SETTINGS))(state)
    batch = replay.cut(state.replay, draws)
    gradients = jax.jit(lambda *given: objective.term_gradients(setting.model, *given, OBJECTIVE))(
        state.learner.params, key, batch)
    norms = {name: float(optax.tree.norm(gradient)) for name, gradient in gradients.items()}
    assert found['reward_share'] == pytest.approx(norms['reward'] / sum(norms.values()), rel=1e-3)
