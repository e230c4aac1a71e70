"""Algorithm 1 as a whole: its order, its independence of how the work is split, and that it learns."""

import collections
import dataclasses
import functools

import jax
import numpy as np
import pytest

from planet_jax import algorithm, collector, envs, keys, seeds
from planet_jax.config import Collector, Config, Env, EvaluationPlanner, Learner, Model, Objective, Planner
from planet_jax.types import Steps

CONFIG = Config(
    env=Env(observation='state'),
    model=Model(stochastic=3, deterministic=5, hidden=6, vector_layers=1, vector_units=6, reward_layers=1,
                reward_units=6),
    objective=Objective(free_nats=0.0),
    planner=Planner(horizon=3, iterations=2, candidates=8, elites=2),
    learner=Learner(batch=3, chunk_length=5),
    collector=Collector(seed_episodes=2, collect_interval=4))
EPISODES = 4
ROOT = keys.root(1)[None]


TRACES = collections.Counter()
"""Of each step, how often it was traced for any of the runs with `EPISODES` slots."""


def counted(steps):
    """The steps, each of which counts its traces."""
    def count(name, function):
        def traced(*arguments, **options):
            TRACES[(name, options.get('updates'))] += 1
            return function(*arguments, **options)
        return traced
    return steps._replace(**{
        name: count(name, function) for name, function in steps._asdict().items() if callable(function)})


WHILE_LEARNING = dataclasses.replace(CONFIG, collector=dataclasses.replace(CONFIG.collector, while_learning=True))


@functools.cache  # Steps keep nothing, so a run that begins anew may use those of another.
def compiled_steps(slots):
    spec = envs.spec('toy_point', CONFIG.env)
    steps = algorithm.make_steps(CONFIG, spec, slots=slots, updates_per_call=2)
    return seeds.over_seeds(counted(steps) if slots == EPISODES else steps, jax.devices()[:1])


def make_steps(updates_per_call=2, slots=EPISODES):
    # `train` names the length of each call.
    return compiled_steps(slots)._replace(updates_per_call=updates_per_call)


def units_of(steps, restart_after=(), state=None):
    """The units of a run of `EPISODES` episodes as NumPy arrays; the generator is made anew after some of them."""
    vector, state, units = envs.make_vector(['toy_point'], CONFIG.env), state or steps.init(ROOT), []
    running = algorithm.train(steps, vector, state, CONFIG)
    while True:
        unit = next(running)
        units.append(jax.tree.map(np.array, unit))
        if units[-1].state.replay[0].count == EPISODES:
            return units
        if len(units) in restart_after:
            # From copies, as after a checkpoint: of the run before, only numbers remain.
            state = jax.tree.map(jax.device_put, units[-1].state)
            running = algorithm.train(steps, envs.make_vector(['toy_point'], CONFIG.env), state, CONFIG)


@pytest.fixture(scope='module')
def units():
    return units_of(make_steps(2))


def kind(unit):
    if unit.episodes is None:
        return f'learn {unit.metrics["loss"].shape[1]}'
    return 'collect' if unit.metrics['expected_return'].any() else 'seed'


def same(left, right):
    return jax.tree.structure(left) == jax.tree.structure(right) and all(
        one.tobytes() == other.tobytes() for one, other in zip(jax.tree.leaves(left), jax.tree.leaves(right)))


@pytest.mark.parametrize('episodes, updates, expected', [
    (0, 0, 'seed'), (4, 0, 'seed'), (5, 0, 'learn'), (5, 99, 'learn'), (5, 100, 'collect'), (6, 100, 'learn'),
    (6, 199, 'learn'), (6, 200, 'collect'), (7, 200, 'learn'), (105, 10000, 'learn'), (105, 10100, 'collect'),
    (6, 250, 'collect')])
def test_what_is_due(episodes, updates, expected):
    assert algorithm.due(episodes, updates, Collector(seed_episodes=5, collect_interval=100)) == expected


def test_seed_episodes_first_then_updates_before_every_further_episode(units):
    assert [kind(unit) for unit in units] == ['seed'] * 2 + ['learn 2', 'learn 2', 'collect'] * 2
    assert [int(unit.state.replay[0].count[0]) for unit in units] == [1, 2, 2, 2, 3, 3, 3, 4]
    assert [int(unit.state.learner.updates[0]) for unit in units] == [0, 0, 2, 4, 4, 6, 8, 8]
    assert all(np.array_equal(unit.state.key, ROOT) for unit in units)


def test_every_episode_is_in_the_replay_and_is_another_one(units):
    episodes = [unit.episodes for unit in units if unit.episodes is not None]
    for number, episode in enumerate(episodes):
        assert same(jax.tree.map(lambda leaf: leaf[0, 0], episode),
                    jax.tree.map(lambda leaf, number=number: leaf[0, number], units[-1].state.replay[0].data))
    assert len({episode.observation[0, 0, 0].tobytes() for episode in episodes}) == EPISODES
    assert len({episode.action.tobytes() for episode in episodes}) == EPISODES


def test_updates_change_the_parameters_and_episodes_do_not(units):
    for before, after in zip(units, units[1:]):
        assert same(before.state.learner, after.state.learner) == (after.episodes is not None)
        assert all(np.isfinite(values).all() for values in after.metrics.values())


@pytest.mark.parametrize('restart_after', [(1,), (2,), (3,), (5,), tuple(range(1, 9))])
def test_stopping_after_any_unit_changes_nothing(restart_after, units):
    again = units_of(make_steps(2), restart_after)
    assert len(again) == len(units) and all(map(same, again, units))


def test_another_split_into_calls_gives_the_same_numbers(units):
    again = units_of(make_steps(1))
    assert [kind(unit) for unit in again] == ['seed'] * 2 + (['learn 1'] * 4 + ['collect']) * 2
    pairs = zip(*([unit for unit in run if unit.episodes is not None] for run in (again, units)), strict=True)
    for left, right in pairs:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), left, right)
    losses, expected = (np.concatenate([unit.metrics['loss'][0] for unit in run if unit.episodes is None])
                        for run in (again, units))
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


@pytest.mark.parametrize('updates_per_call, kinds', [
    (2, ['learn 2', 'learn 1']), (100, ['learn 3'])])
def test_calls_of_any_length_end_where_an_episode_is_due(updates_per_call, kinds, units):
    # One update is done of the four, as after a stop; calls of another length go on.
    begun = make_steps(1)
    running = algorithm.train(begun, envs.make_vector(['toy_point'], CONFIG.env), begun.init(ROOT), CONFIG)
    state = jax.tree.map(jax.device_put, jax.tree.map(np.array, [next(running) for _ in range(3)][-1].state))
    rest = units_of(make_steps(updates_per_call), state=state)
    assert [kind(unit) for unit in rest[:len(kinds) + 1]] == [*kinds, 'collect']
    episodes = [[unit for unit in run if unit.episodes is not None] for run in (rest, units)]
    for left, right in zip(episodes[0], episodes[1][2:], strict=True):
        assert left.state.learner.updates == right.state.learner.updates
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), left, right)


def test_another_number_of_slots_gives_the_same_numbers(units):
    again = units_of(make_steps(slots=EPISODES + 3))
    for left, right in zip(again, units, strict=True):
        assert same(left.state.learner, right.state.learner) and same(left[1:], right[1:])


@functools.cache
def actions(**changes):
    """Of one step with each kind of agent, all with the same key, parameters and observation."""
    steps = algorithm.make_steps(dataclasses.replace(CONFIG, **changes), envs.spec('toy_point', CONFIG.env), slots=1,
                                 updates_per_call=1)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.5, leaf.shape).astype('float32'),
                          jax.eval_shape(steps.init, ROOT[0]).learner.params)
    observation = rng.normal(size=jax.eval_shape(steps.init, ROOT[0]).replay[0].data.observation.shape[2:])

    def all_three(params, observation):
        return [act(params, ROOT[0], steps.begin(params), observation).action
                for act in (steps.random, steps.act, steps.evaluate)]

    return [tuple(np.asarray(action).tolist()) for action in jax.jit(all_three)(params, observation)]


def test_random_collection_leaves_evaluation_to_the_planner():
    quiet = dataclasses.replace(CONFIG.collector, noise=0)
    random, planned, evaluated = actions(collector=quiet)
    assert planned == evaluated != random
    assert actions(collector=dataclasses.replace(quiet, agent='random')) == [random, random, evaluated]


def test_evaluation_may_plan_otherwise_than_collection():
    quiet = dataclasses.replace(CONFIG.collector, noise=0)
    random, planned, _ = actions(collector=quiet)
    shooting = EvaluationPlanner(iterations=1, elites=1)
    *_, shot = actions(planner=shooting.over(CONFIG.planner))
    assert actions(collector=quiet, evaluation_planner=shooting) == [random, planned, shot] and shot != planned


def test_what_report_raises_ends_the_training():
    class Enough(Exception):
        pass

    def report(step):
        if step == 7:
            raise Enough

    steps = make_steps(2)
    running = algorithm.train(steps, envs.make_vector(['toy_point'], CONFIG.env), steps.init(ROOT), CONFIG,
                              report=report)
    with pytest.raises(Enough):
        next(running)


@functools.cache
def while_learning(updates_per_call=2):
    steps = algorithm.make_steps(WHILE_LEARNING, envs.spec('toy_point', CONFIG.env), slots=EPISODES,
                                 updates_per_call=updates_per_call)
    return seeds.over_seeds(steps, jax.devices()[:1])


def run_while_learning(state=None, report=lambda step: None):
    """Units as NumPy arrays, until the data has all episodes or `report` raises."""
    steps, units = while_learning(), []
    running = algorithm.train(steps, envs.make_vector(['toy_point'], CONFIG.env), state or steps.init(ROOT),
                              WHILE_LEARNING, report=report)
    while not units or units[-1].state.replay[0].count < EPISODES:
        try:
            units.append(jax.tree.map(np.array, next(running)))
        except InterruptedError:
            break
    return units


def test_an_episode_may_be_collected_while_the_next_updates_are_made():
    units, steps = run_while_learning(), while_learning()
    assert [kind(unit) for unit in units] == ['seed'] * 2 + ['learn 2'] * 2 + ['learn 4', 'collect'] * 2
    # The same by hand, one after the other.
    state, vector = jax.tree.map(jax.device_put, units[1].state), envs.make_vector(['toy_point'], CONFIG.env)
    state, _ = steps.learn(state, updates=4)
    for unit in units[5::2]:
        params, grid = jax.tree.map(np.array, state.learner.params), algorithm.episode_keys(state, 'collect', 1)
        for _ in range(2):
            state, _ = steps.learn(state, updates=2)
        episodes, _ = collector.collect(steps.act, steps.begin, vector, params, grid)
        state = steps.add(state, episodes)
        assert same(jax.tree.map(np.array, episodes), unit.episodes)
        assert same(jax.tree.map(np.array, state.learner.params), unit.state.learner.params)


def test_stopping_while_collecting_and_learning_changes_nothing():
    expected = run_while_learning()
    for stop in (1, 20, envs.spec('toy_point', CONFIG.env).steps):
        seen = []

        def report(step, stop=stop, seen=seen):
            seen.append(step)
            # In the second episode that is planned.
            if seen.count(1) == 4 and step >= stop:
                raise InterruptedError

        begun = run_while_learning(report=report)
        assert begun[-1].state.replay[0].count == EPISODES - 1
        rest = run_while_learning(jax.tree.map(jax.device_put, begun[-1].state))
        assert same(rest[-1], expected[-1])
        losses = [np.concatenate([unit.metrics['loss'] for unit in run if unit.episodes is None], 1)
                  for run in (begun + rest, expected)]
        np.testing.assert_array_equal(*losses)


def test_each_step_is_traced_once_in_all_runs(units):
    state, steps = units_of(make_steps(2), (3,))[-1].state, make_steps(2)
    vector = envs.make_vector(['toy_point'] * 2, CONFIG.env)
    for counter in range(2):
        grid = algorithm.episode_keys(state, 'evaluate', 2, np.array([counter]))
        collector.collect(steps.evaluate, steps.begin, vector, state.learner.params, grid)
    # The parameters and the belief are the same whether they come from an update, a checkpoint or the beginning.
    # Drawing beforehand serves replays on the host.
    assert {name for name, _ in TRACES} == {name for name in Steps._fields if name not in ('draw', 'updates_per_call')}
    assert set(TRACES.values()) == {1}, TRACES


def test_keys_of_episodes_differ_by_seed_environment_count_and_purpose():
    state = make_steps(2).init(ROOT)
    grids = [algorithm.episode_keys(state, purpose, 3, np.array([count]))
             for purpose in ('collect', 'evaluate') for count in (0, 1)]
    assert all(grid.shape == (1, 3, 2) for grid in grids)
    assert len({key.tobytes() for grid in grids for key in np.asarray(grid[0])}) == 12
    assert np.array_equal(algorithm.episode_keys(state, 'collect', 3), grids[0])


LEARNING = Config(
    env=Env(size=16),
    model=Model(stochastic=8, deterministic=32, hidden=32, encoder_channels=(8, 16), decoder_channels=(16,),
                decoder_kernels=(6, 6), decoder_units=32, vector_layers=1, vector_units=32, reward_layers=1,
                reward_units=32, image_bits=8),
    objective=Objective(reward_scale=100.0, free_nats=1.0),
    planner=Planner(horizon=6, iterations=4, candidates=60, elites=8),
    learner=Learner(batch=32, chunk_length=10, learning_rate=6e-3, adam_epsilon=1e-5, updates_per_call=100),
    collector=Collector(seed_episodes=20, collect_interval=100))


def learned_returns(seed, observation, optimizing, episodes=26):
    """Mean returns of ten episodes after training on the toy task: of the agent, and of the zero policy."""
    config = dataclasses.replace(LEARNING, env=dataclasses.replace(LEARNING.env, observation=observation))
    steps = seeds.over_seeds(algorithm.make_steps(config, envs.spec('toy_point', config.env), slots=episodes,
                                                  updates_per_call=100), jax.devices()[:1])
    vector = envs.make_vector(['toy_point'], config.env)

    def learn(state, updates):  # All other steps take longer to compile than to run.
        with optimizing():
            return steps.learn(state, updates=updates)

    for unit in algorithm.train(steps._replace(learn=learn), vector, steps.init(keys.root(seed)[None]), config):
        if unit.state.replay[0].count == episodes:
            break
    vector = envs.make_vector(['toy_point'] * 10, config.env, workers=0)
    found = [collector.collect(act, steps.begin, vector, unit.state.learner.params,
                               algorithm.episode_keys(unit.state, 'evaluate', 10))[0].reward.sum(-1).mean()
             for act in (steps.evaluate, lambda params, key, belief, observation: belief)]
    print(found)
    return found


# The zero policy, better than the uniform one, has 6.3 from anywhere, the best possible one 23.8: see `ToyPoint`.
@pytest.mark.parametrize('observation, more', [('state', 4), pytest.param('pixels', 8, marks=pytest.mark.slow)])
def test_a_tiny_task_is_learned(observation, more, optimizing):
    learned, zero = learned_returns(0, observation, optimizing)
    assert learned > zero + more
