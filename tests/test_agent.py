"""The agent: filtering, planning and exploring, one step at a time."""

import dataclasses
import inspect
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import agent, planning, world_model
from planet_jax.config import Collector, Model, Planner, Spec
from planet_jax.networks import make_world_model
from planet_jax.types import Belief, Latent, Trajectory

KEY = jax.random.PRNGKey(0)
SPEC = Spec((3,), 'float32', 2, 10)
OBSERVATION = np.array([0.3, -1.0, 2.0], 'float32')
SETTINGS = dict(horizon=2, iterations=2, candidates=16, elites=4)


def make(cell='rssm'):
    model = make_world_model(Model(cell=cell, stochastic=4, deterministic=6, hidden=8, vector_units=8, reward_layers=1,
                                   reward_units=8), SPEC)
    rng = np.random.default_rng(0)
    return model, jax.tree.map(lambda leaf: rng.normal(0, 0.5, leaf.shape).astype('float32'),
                               jax.eval_shape(model.init, KEY))


def latent(seed=0):
    rng = np.random.default_rng(seed)
    mean, std, stochastic = rng.normal(size=(3, 4)).astype('float32')
    return Latent(mean, abs(std) + 0.5, stochastic, rng.normal(size=6).astype('float32'))


def belief(action=(0.5, -0.5), seed=0):
    return Belief(latent(seed), np.array(action, 'float32'), np.float32(0), (None,))


def fixed_plan(params, key, latent, state):
    """Takes 0.9 and -0.2, whatever the state."""
    return jnp.array([0.9, -0.2]), jnp.float32(7), state


@pytest.fixture(scope='module')
def rssm():
    return make()


@pytest.fixture(scope='module')
def plans(rssm):
    model, params = rssm

    def make_plan(start):
        plan = jax.jit(agent.make_planner(model, Planner(**SETTINGS, start=start), 2).plan)
        return lambda key, latent: tuple(map(np.asarray, plan(params, key, latent, None)[:2]))

    return {start: make_plan(start) for start in ('shared', 'per_candidate')}


@pytest.fixture(scope='module')
def acts(rssm):
    """By their noise, many keys at once: keys -> Belief."""
    model, params = rssm
    made = {noise: jax.jit(jax.vmap(agent.make_act(model, fixed_plan, explore), (None, 0, None, None)))
            for noise, explore in ((0.0, None), (0.3, agent.add_noise(0.3)))}
    return {noise: lambda keys, act=act: jax.tree.map(np.asarray, act(params, keys, belief(), OBSERVATION))
            for noise, act in made.items()}


KEYS = jax.random.split(KEY, 2000)


# Filtering.


def test_filter_is_one_row_of_observing():
    # The RNN is without noise, so the keys do not matter.
    model, params = make('rnn')
    before = belief()
    filtered = jax.jit(lambda belief: agent.filter(model, params, KEY, belief, OBSERVATION))(before)

    @jax.jit
    def observe(latent, action):
        embeddings = model.encode(params, OBSERVATION)[None]
        return world_model.observe(model, params, KEY, embeddings, action[None], latent)[1]

    observed = observe(before.latent, before.action)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[0], rtol=1e-4, atol=1e-6), filtered, observed)


def test_filter_uses_the_previous_action_state_and_the_observation(rssm):
    model, params = rssm
    run = jax.jit(lambda key, belief, observation: agent.filter(model, params, key, belief, observation))
    plain = run(KEY, belief(), OBSERVATION)
    for changed in (run(KEY, belief(action=(0.5, 0.5)), OBSERVATION), run(KEY, belief(seed=1), OBSERVATION)):
        assert (changed.deterministic != plain.deterministic).all()
    seen = run(KEY, belief(), OBSERVATION + 1)
    np.testing.assert_array_equal(seen.deterministic, plain.deterministic)
    assert (seen.mean != plain.mean).any()
    sampled = run(jax.random.PRNGKey(1), belief(), OBSERVATION)
    np.testing.assert_array_equal(sampled.mean, plain.mean)
    assert (sampled.stochastic != plain.stochastic).all()


@pytest.mark.parametrize('cell, deterministic', [('rssm', 6), ('ssm', 0), ('rnn', 6), ('rnn_official', 6)])
def test_an_episode_begins_with_a_zero_state_and_action(cell, deterministic):
    first = jax.tree.map(np.asarray, agent.begin(make(cell)[0], 2))
    assert first.action.shape == (2,) and first.expected_return.shape == ()
    assert first.latent.deterministic.shape == (deterministic,)
    assert not any(leaf.any() for leaf in jax.tree.leaves(first))


# Planning.


def test_a_plan_is_an_action_and_its_expected_return(plans):
    action, value = plans['shared'](KEY, latent())
    assert action.shape == (2,) and np.abs(action).max() <= 1
    assert value.shape == () and np.isfinite(value)


def test_a_plan_is_the_first_action_of_the_best_sequence():
    # A made-up model whose reward is known: the first step wants (0.5, -0.5), the second one the opposite.
    def prior(params, key, latent, action):
        miss = jnp.square(action - params * jnp.where(latent.deterministic[0] == 0, 1, -1)).sum()
        return latent.replace(deterministic=jnp.stack([latent.deterministic[0] + 1, miss]))

    model = make()[0]._replace(prior=prior, reward=lambda params, features: -features[-1])
    settings = Planner(horizon=2, iterations=12, candidates=300, elites=30)
    start = latent().replace(deterministic=np.zeros(2, 'float32'))
    action, value, _ = jax.jit(agent.make_planner(model, settings, 2).plan)(
        np.array([0.5, -0.5], 'float32'), KEY, start, None)
    np.testing.assert_allclose(action, [0.5, -0.5], atol=0.02)
    np.testing.assert_allclose(value, 0, atol=0.01)


def test_candidates_start_from_one_sample_or_from_one_each(plans):
    here = latent()
    elsewhere = here.replace(stochastic=here.stochastic + 1)
    wider = here.replace(std=2 * here.std)
    shared, each = ({name: plans[start](KEY, state)[1] for name, state in
                     [('here', here), ('elsewhere', elsewhere), ('wider', wider)]}
                    for start in ('shared', 'per_candidate'))
    assert shared['here'] != each['here']
    # The shared start is the sample; otherwise the sample does not matter, only what it was drawn from.
    assert shared['here'] == shared['wider'] != shared['elsewhere']
    assert each['here'] == each['elsewhere'] != each['wider']


# Acting.


def test_evaluation_takes_the_planned_action(acts):
    after = acts[0.0](KEYS)
    np.testing.assert_array_equal(after.action, np.tile(fixed_plan(None, None, None, None)[0], (2000, 1)))
    assert (after.expected_return == 7).all()


def test_evaluation_plans_in_the_filtered_state(rssm):
    model, params = rssm

    def plan(params, key, latent, state):
        return latent.mean[:2], latent.stochastic[0], state

    after = jax.jit(agent.make_act(model, plan))(params, KEY, belief(), OBSERVATION)
    np.testing.assert_array_equal(after.action, after.latent.mean[:2])
    assert after.expected_return == after.latent.stochastic[0]
    assert (after.latent.deterministic != belief().latent.deterministic).all()


def test_collection_adds_noise_and_clips(acts):
    actions = acts[0.3](KEYS).action
    assert actions.min() >= -1 and actions.max() == 1
    # P(0.9 + 0.3 x > 1) is 0.369; the other action is clipped in 0.4% of the cases only.
    np.testing.assert_allclose((actions[:, 0] == 1).mean(), 0.369, atol=0.03)
    np.testing.assert_allclose([actions[:, 1].mean(), actions[:, 1].std()], [-0.2, 0.3], atol=0.02)
    assert abs(np.corrcoef(actions.T)[0, 1]) < 0.06


def test_noise_acts_on_the_action_only(acts):
    quiet, noisy = acts[0.0](KEYS), acts[0.3](KEYS)
    jax.tree.map(np.testing.assert_array_equal, (quiet.latent, quiet.expected_return),
                 (noisy.latent, noisy.expected_return))
    assert (quiet.action != noisy.action).all()


@pytest.mark.parametrize('cell, method', [
    ('rssm', 'cem'), ('ssm', 'cem'), ('rnn', 'icem'), ('rnn_official', 'random_shooting'),
    pytest.param('rssm', 'icem', marks=pytest.mark.slow), ('rssm', 'mppi')])
def test_a_whole_step_of_every_cell_and_planner(cell, method):
    model, params = make(cell)
    planner = agent.make_planner(model, Planner(**SETTINGS, method=method), 2)
    act = jax.jit(agent.make_act(model, planner.plan, agent.add_noise(0.3)))

    first = act(params, KEY, agent.begin(model, 2, [planner]), OBSERVATION)
    second = act(params, KEY, first, OBSERVATION)
    assert jax.tree.map(jnp.shape, first) == jax.tree.map(jnp.shape, second)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((first, second)))
    assert np.abs(second.action).max() <= 1
    assert (first.latent.mean != second.latent.mean).any()
    # Case 9 of docs/reliability.md: a simulator takes no action that is not a number.
    broken = act(jax.tree.map(lambda leaf: leaf * np.nan, params), KEY, first, OBSERVATION)
    assert np.isnan(broken.latent.mean).all() and np.abs(broken.action).max() <= 1


def test_seed_episodes_are_uniform_over_the_box():
    act = jax.jit(jax.vmap(agent.uniform(2), (None, 0, None, None)))
    actions = np.asarray(act(None, jax.random.split(KEY, 4000), belief(), OBSERVATION).action)
    shares = np.histogram(actions, bins=10, range=(-1, 1))[0] / actions.size
    np.testing.assert_allclose(shares, np.full(10, 0.1), atol=0.015)
    assert np.abs(actions).max() <= 1
    assert abs(np.corrcoef(actions.T)[0, 1]) < 0.05


def test_agents_without_a_model_leave_the_state_alone():
    before = belief()
    for act in (agent.uniform(2), agent.zero):
        after = act(None, KEY, before, OBSERVATION)
        jax.tree.map(np.testing.assert_array_equal, (after.latent, after.expected_return),
                     (before.latent, before.expected_return))
        assert after.action.shape == (2,)


def test_the_zero_agent_does_nothing():
    np.testing.assert_array_equal(agent.zero(None, KEY, belief(), OBSERVATION).action, np.zeros(2))


def test_random_actions_are_uniform_or_normal_and_clipped():
    belief = Belief(None, jnp.zeros(2), jnp.zeros(()))
    drawn = {kind: np.asarray(jax.jit(jax.vmap(lambda key, kind=kind: kind(2)(None, key, belief, None).action))(
        jax.random.split(jax.random.PRNGKey(0), 4000))) for kind in (agent.uniform, lambda size: agent.normal())}
    for actions, std, at_bounds in zip(drawn.values(), [3**-0.5, 0.7184], [0, 0.3173]):
        assert np.abs(actions).max() <= 1
        assert actions.std() == pytest.approx(std, rel=0.02)
        assert (np.abs(actions) == 1).mean() == pytest.approx(at_bounds, abs=0.02)


@pytest.mark.parametrize('collector, std', [(Collector(correlation=0.8), 3**-0.5),
                                            (Collector(correlation=0.8, random='normal'), 0.7184)])
def test_random_actions_may_be_correlated_from_step_to_step(collector, std):
    act, start = agent.random(collector, 2), Belief(None, jnp.zeros(2), jnp.zeros(()), (), jnp.zeros(2))

    def step(belief, key):
        belief = act(None, key, belief, None)
        return belief, (belief.action, belief.noise)

    actions, noise = jax.jit(lambda keys: jax.lax.scan(step, start, keys))(jax.random.split(KEY, 20000))[1]
    assert np.std(actions) == pytest.approx(std, rel=0.05) and np.std(noise) == pytest.approx(1, rel=0.05)
    for lag in 1, 3:
        assert np.corrcoef(noise[lag:, 0], noise[:-lag, 0])[0, 1] == pytest.approx(0.8**lag, abs=0.05)
    assert abs(np.corrcoef(np.transpose(noise))[0, 1]) < 0.05


def test_exploration_noise_may_be_correlated_and_the_belief_carries_it():
    explore = agent.exploration(Collector(noise=0.3, correlation=0.8))
    before = belief(action=(0.1, -0.2)).replace(noise=jnp.array([1.0, -2]))
    after = jax.vmap(explore, (0, None))(KEYS, before)
    np.testing.assert_allclose(after.action, np.clip(np.array([0.1, -0.2]) + 0.3 * after.noise, -1, 1), rtol=1e-5)
    np.testing.assert_allclose(after.noise.mean(0), [0.8, -1.6], atol=0.05)
    np.testing.assert_allclose(after.noise.std(0), [0.6, 0.6], atol=0.03)


# Actions that are choices: one of three, and one of two.


def test_random_choices_are_uniform_over_their_categories():
    act = jax.jit(jax.vmap(agent.uniform(5, (3, 2)), (None, 0, None, None)))
    actions = np.asarray(act(None, KEYS, belief().replace(action=jnp.zeros(5)), OBSERVATION).action)
    assert set(actions.ravel()) == {0, 1} and (actions[:, :3].sum(1) == 1).all() and (actions[:, 3:].sum(1) == 1).all()
    np.testing.assert_allclose(actions.mean(0), [1 / 3] * 3 + [1 / 2] * 2, atol=0.04)


def test_exploration_replaces_a_share_of_the_choices():
    planned = jnp.array([1.0, 0, 0, 0, 1])
    explore = agent.exploration(Collector(random_share=0.3, noise=9.0), (3, 2))
    actions = np.asarray(jax.jit(jax.vmap(explore, (0, None)))(KEYS, belief().replace(action=planned)).action)
    assert (actions[:, :3].sum(1) == 1).all() and (actions[:, 3:].sum(1) == 1).all()
    # A random choice may be the planned one.
    np.testing.assert_allclose(actions.mean(0), [0.8, 0.1, 0.1, 0.15, 0.85], atol=0.03)
    changed = (actions != planned)
    assert abs(np.corrcoef(changed[:, 0], changed[:, 4])[0, 1]) < 0.06
    assert agent.exploration(Collector(random_share=0.0), (3, 2)) is None
    assert agent.exploration(Collector(noise=0.0)) is None


@pytest.mark.parametrize('method, warm, refits', [('cem', False, 3), ('icem', True, 3), ('random_shooting', False, 1)])
def test_choices_are_planned_by_every_method_but_one(method, warm, refits):
    settings = Planner(method=method, horizon=4, iterations=3, candidates=60, elites=6)
    made = agent.make_method(settings, 5, choices=(3, 2))
    wanted = jnp.array([0.0, 0, 1, 1, 0])
    plan, left = jax.jit(lambda key: made.step(key, lambda key, actions: (actions * wanted).sum((1, 2)), made.init()))(
        KEY)
    np.testing.assert_array_equal(plan.actions[0], wanted)
    assert (left is not None) == warm and len(plan.returns) == refits


def test_path_integrals_of_choices_are_refused():
    with pytest.raises(ValueError, match='planner.method is mppi.*set it to cem, icem or random_shooting'):
        agent.make_method(Planner(method='mppi'), 3, choices=(3,))


# How plans fit together.


def test_the_change_of_actions_is_of_the_steps_that_were_taken():
    # The row of the reset and the padding after the end count nothing.
    action = np.array([[9, 9], [0, 1], [0.5, 0], [0.5, 0], [-0.5, 1], [0, 0], [0, 0]], 'float32')
    episode = Trajectory(np.zeros((7, 3)), action, np.zeros(7), np.int32(5))
    np.testing.assert_allclose(agent.action_change(episode), (0.5 + 1 + 0 + 0 + 1 + 1) / 6)
    assert agent.action_change(episode.replace(length=np.int32(2))) == 0


def test_every_method_has_a_name_in_the_settings_and_takes_its_own_settings():
    fields = {field.name: field for field in dataclasses.fields(Planner)}
    assert set(planning.METHODS) == {*typing.get_args(fields['method'].type)}
    taken = set()
    for name, make in planning.METHODS.items():
        parameters = set(inspect.signature(make).parameters) & set(fields)
        assert {'horizon', 'candidates'} <= parameters, name
        taken |= parameters
    # `rollout_arguments` takes all but the first.
    assert set(fields) - taken == {'method', 'start', 'rollout', 'terminal_value'}


def test_a_method_is_made_with_its_settings(monkeypatch):
    given = {}

    def make_mine(*, action_size, horizon, temperature, colour, patience=3):
        given.update(action_size=action_size, horizon=horizon, temperature=temperature, colour=colour,
                     patience=patience)
        return 'mine'

    monkeypatch.setitem(planning.METHODS, 'mppi', make_mine)
    assert agent.make_method(Planner(method='mppi', horizon=5, temperature=0.7), 2, colour=1.5) == 'mine'
    assert given == {'action_size': 2, 'horizon': 5, 'temperature': 0.7, 'colour': 1.5, 'patience': 3}
    agent.make_method(Planner(method='mppi', colour=0.5), 2, colour=1.5)
    assert given['colour'] == 0.5
