"""Tasks of the user's own, on environments of this file, which workers import too."""

import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from gymnasium.wrappers import TimeLimit

from planet_jax import envs
from planet_jax.config import Env, Spec

STATE = Env(observation='state')
HERE = 'test_own'


class Walk(gymnasium.Env):
    """Adds its actions up. Ends at a sum of 9 or more; the reward is the action."""

    def __init__(self, space=None, actions=None, render_mode=None):
        self.observation_space = space or Box(-np.inf, np.inf, (1, 2))
        self.action_space = actions or Box(np.array([-1, 0], np.float32), np.array([3, 10], np.float32))
        self.render_mode, self.sum = render_mode, np.zeros(2)
        self.factor = 1.0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.sum = self.np_random.uniform(-1, 0, 2)
        return self._observation(), {'lost': 1}

    def step(self, action):
        assert action in self.action_space
        self.sum = self.sum + action
        return self._observation(), self.factor * action[0], self.sum.max() >= 9, False, {'lost': object()}

    def render(self):
        # The left half is dark, the right half has the sum's brightness; above it is a bright line.
        picture = np.zeros((64, 128, 3), np.uint8)
        picture[:, 64:] = 100 + 10 * int(self.sum[0])
        picture[:8] = 200
        return picture

    def _observation(self):
        if isinstance(self.observation_space, Dict):
            return {'b': self.sum[:1], 'a': np.full((2, 1), 7.0)}
        return self.render() if self.observation_space.dtype == np.uint8 else self.sum[None].astype(np.float32)


def limited(**options):
    return TimeLimit(Walk(**options), 20)


def picture():
    return limited(space=Box(0, 255, (64, 128, 3), np.uint8))


def joined():
    return limited(space=Dict(b=Box(-1, 99, (1,)), a=Box(-9, 9, (2, 1))))


def choices():
    return limited(actions=Discrete(3))


def unbounded():
    return limited(actions=Box(-np.inf, np.inf, (2,)))


def mixed():
    return limited(actions=Dict(a=Discrete(2), b=Box(-1, 1, (1,))))


def pair():
    return limited(actions=MultiDiscrete([2, 4]))


def number():
    return 3


gymnasium.register('walk/Walk-v3', limited, max_episode_steps=7)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])


@pytest.mark.parametrize('name, domain, task', [
    ('gymnasium:Pendulum-v1', 'gymnasium', 'Pendulum-v1'), ('a.b_c:MyEnv', 'a.b_c', 'MyEnv'),
    ('mine:space/Name-v0', 'mine', 'space/Name-v0')])
def test_names(name, domain, task):
    assert envs.resolve(name) == envs.Task(name, domain, task, 1)
    assert envs.resolve_several(f'toy_point,{name}')[0] == f'toy_point,{name}'
    assert envs.foreign_modules(f'toy_point,{name}') == (() if domain == 'gymnasium' else (domain,))


@pytest.mark.parametrize('name', ['a:b:c', ':Name', 'a/b:c', '../a:b', 'a:../b', 'a:b/c/d', 'a:', 'a b:c', 'ä:b',
                                  'a.:b'])
def test_what_is_no_name(name):
    with pytest.raises(ValueError, match='There is no task'):
        envs.resolve(name)


def test_specs():
    assert envs.spec(f'{HERE}:limited', STATE) == Spec((2,), 'float32', 2, 20, ends=True)
    assert envs.spec(f'{HERE}:limited', Env(observation='state', action_repeat=3)).steps == 6
    assert envs.spec(f'{HERE}:limited', Env(size=32)) == Spec((32, 32, 3), 'uint8', 2, 20, ends=True)
    assert envs.spec(f'{HERE}:joined', STATE).observation_shape == (3,)
    assert envs.spec(f'{HERE}:walk/Walk-v3', STATE).steps == 7
    assert envs.spec(f'{HERE}:walk/Walk-v3', Env(observation='state', steps=9)).steps == 9
    assert envs.spec(f'{HERE}:Walk', Env(observation='state', steps=9)).steps == 9
    assert envs.spec('gymnasium:Pendulum-v1', STATE) == Spec((3,), 'float32', 1, 200, ends=True)
    assert envs.spec('toy_point', Env(steps=10)).steps == 10


def test_several_tasks_with_choices_share_the_most_of_each():
    names = [f'{HERE}:choices', f'{HERE}:pair']
    shared = envs.spec(names, STATE)
    assert (shared.choices, shared.action_size) == ((3, 4), 7)
    one, two = (envs.make(name, STATE, shared) for name in names)
    for env in (one, two):
        assert env.action_space == Box(0, 1, (7,), np.float32)
        env.reset(seed=0)
    taken = []
    for env in (one, two):
        env.unwrapped.step = lambda action: taken.append(action.tolist()) or (np.zeros((1, 2)), 0.0, False, False, {})
        env.step([0, 1, 0, 0, 0, 0, 1])
        env.step([0, 0, 1, 0, 1, 0, 0])
    assert taken == [1, 2, [1, 3], [0, 1]]  # The third category, which the second task lacks, is its first.


def test_choices_and_real_numbers_are_not_one_agents():
    with pytest.raises(ValueError, match=f'The actions of {HERE}:choices are choices, and those of toy_point are real'):
        envs.spec([f'{HERE}:choices', 'toy_point'], STATE)


@pytest.mark.parametrize('name, config, told', [
    (f'{HERE}:Walk', STATE, 'does not say how long its episodes may be: set --env.steps'),
    (f'{HERE}:mixed', STATE, 'real numbers and choices cannot be planned together'),
    (f'{HERE}:unbounded', STATE, 'needs finite bounds'),
    (f'{HERE}:number', STATE, 'makes a int, but a task must be a gymnasium.Env'),
    (f'{HERE}:Wlak', STATE, f"'{HERE}:Wlak' cannot be made: {HERE} has no Wlak"),
    ('no.such.module:Walk', STATE, "no.such.module cannot be imported here: No module named 'no'"),
    ('gymnasium:Pendulun-v1', STATE, "'gymnasium:Pendulun-v1' cannot be made: .*Pendul"),
    ('gymnasium:make', STATE, "'gymnasium:make' cannot be made"),
    ('toy_point', Env(steps=26), 'env.steps is 26.*nearest valid value is 25'),
])
def test_what_cannot_be_a_task(name, config, told):
    with pytest.raises(ValueError, match=told):
        envs.spec(name, config)


def test_without_pictures():
    with pytest.raises(ValueError, match='render_mode.*making of test_own:joined.* accept this argument, or set --env'):
        envs.make(f'{HERE}:joined', Env(size=32))


def test_actions_and_rewards():
    env = envs.make(f'{HERE}:limited', Env(observation='state', action_repeat=2))
    start, _ = env.reset(seed=np.int64(3))
    after, reward, terminated, truncated, info = env.step([0.5, -1.0])
    np.testing.assert_allclose(after, start + [4, 0], rtol=1e-6)
    assert after.dtype == np.float32 and (reward, terminated, truncated) == (4.0, False, False)
    assert info == {'length': 1, 'terminated': False}
    # Ends in the first of two environment steps; then nothing is simulated until T.
    after, reward, *_ = env.step([-1.0, 1.0])
    assert reward == -1.0 and after[1] >= 9
    for _ in range(8):
        again, reward, terminated, truncated, info = env.step([1, 1])
        assert again.tolist() == after.tolist() and (reward, terminated, info) == (
            0.0, False, {'length': 2, 'terminated': True})
    assert truncated
    assert env.reset(seed=3)[0].tolist() == start.tolist() != env.reset(seed=4)[0].tolist()
    with pytest.raises(ValueError, match='The action'):
        env.step([0, 2])


@pytest.mark.parametrize('name, speed', [('gymnasium:Pendulum-v1', 30), (f'{HERE}:limited', 20)])
def test_agent_steps_in_a_second(name, speed):
    assert envs.make(name, Env(observation='state', action_repeat=4)).metadata['render_fps'] == speed / 4


def test_the_setting_may_end_an_episode_early():
    env = envs.make(f'{HERE}:limited', Env(observation='state', steps=3))
    env.reset(seed=0)
    assert [env.step([0, -1])[3] for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize('name', ['limited', 'picture'])
def test_pictures_of_the_environment_or_rendered(name):
    env = envs.make(f'{HERE}:{name}', Env(size=16))
    image, _ = env.reset(seed=0)
    assert image in env.observation_space
    assert (image[2:, :8] == 0).all() and (image[2:, 8:] == 100).all() and (image[:2] == 200).all()
    assert (env.step([1, -1])[0][2:, 8:] == 120).all()


def test_areas_are_averaged():
    image, _ = envs.make(f'{HERE}:picture', Env(size=8)).reset(seed=0)
    assert (image[0] == 200).all()
    image, _ = envs.make(f'{HERE}:picture', Env(size=9)).reset(seed=0)  # The middle column is half of each.
    assert (image[2:, 3] == 0).all() and (image[2:, 4] == 50).all() and (image[2:, 5] == 100).all()


def test_vectors_of_a_dict_in_the_order_of_its_space():
    start, _ = envs.make(f'{HERE}:joined', STATE).reset(seed=0)
    assert start[1:].tolist() == [7, 7] and -1 <= start[0] <= 0


# Departures that are taken as they are meant.


@pytest.mark.parametrize('metadata', [None, {}, {'render_fps': None}, {'render_fps': 0}, {'render_fps': '30'}])
def test_metadata_that_tell_no_speed(metadata, monkeypatch):
    monkeypatch.setattr(Walk, 'metadata', metadata)
    assert envs.make(f'{HERE}:limited', STATE).metadata['render_fps'] == 20


@pytest.mark.parametrize('given', [np.array([1.5], np.float32), np.float64(1.5), np.array([[1.5]])])
def test_a_reward_is_one_number(given, monkeypatch):
    env = odd(monkeypatch, lambda walk, action: (np.zeros((1, 2), np.float32), given, False, np.array([False]), {}))
    assert env.step([0, 0])[1:4] == (1.5, False, False)


def test_large_bounds_that_a_motor_may_have(monkeypatch):
    monkeypatch.setattr(sys.modules[HERE], 'choices', lambda: limited(actions=Box(5e5, 1e6, (1,))))
    assert envs.spec(f'{HERE}:choices', STATE).action_size == 1


# Mistakes, told with the task, the method and the line of the file.


def odd(monkeypatch, step=None, reset=None):
    """An environment of which one method is another; it was reset, if that is not the one."""
    if step:
        monkeypatch.setattr(Walk, 'step', step)
    if reset:
        monkeypatch.setattr(Walk, 'reset', reset)
    env = envs.make(f'{HERE}:limited', STATE)
    if not reset:
        env.reset(seed=0)
    return env


def place(method, line):
    return rf'\({method} of test_own:limited, {Path(__file__)}:{line}\)'


OBSERVATION = np.zeros((1, 2), np.float32)


def raises(walk, action):
    return np.linalg.inv(np.zeros((2, 2)))  # The innermost line is numpy's.


FIRST = raises.__code__.co_firstlineno


@pytest.mark.parametrize('step, told', [
    (raises, 'LinAlgError: Singular matrix ' + place('step', FIRST + 1)),
    (lambda walk, action: (OBSERVATION, 1.0, False, {}), r'ValueError: not enough values.*:\d+\): step returns \(obs'),
    (lambda walk, action: (OBSERVATION, 1.0, False, False, 3), r'TypeError: info is int .*: step returns \(obs'),
    (lambda walk, action: (OBSERVATION, None, False, False, {}), r'The reward of test_own:limited is None.*py:\d+\)'),
    (lambda walk, action: (OBSERVATION, np.ones(2), False, False, {}), r'must be one number \(step of test_own'),
    (lambda walk, action: (OBSERVATION, np.nan, False, False, {}), r'is nan, but must be a finite number \(step of'),
    (lambda walk, action: (OBSERVATION, 1e39, False, False, {}), r'is 1e\+39, but must be a finite .* 3.4e\+38 at'),
    (lambda walk, action: (np.zeros(3), 1.0, False, False, {}), 'has 3 numbers, but its space Box.* has 2'),
    (lambda walk, action: (np.full((1, 2), 1e300), 1.0, False, False, {}), r'\[inf, inf\].* must be finite'),
])
def test_mistakes_in_step(step, told, monkeypatch):
    env = odd(monkeypatch, step)
    with pytest.raises(RuntimeError, match=told):
        env.step([0, 0])
    with pytest.raises(RuntimeError, match='call reset'):
        env.step([0, 0])


@pytest.mark.parametrize('reset, told', [
    (lambda walk: (OBSERVATION, {}), "TypeError: .*argument 'seed'.*: reset takes seed and options by name"),
    (lambda walk, *, seed=None, options=None: OBSERVATION, 'ValueError: not enough values.*: reset takes seed'),
    (lambda walk, *, seed=None, options=None: np.zeros(2), r'TypeError: info is float64 .*: reset takes seed'),
])
def test_mistakes_in_reset(reset, told, monkeypatch):
    env = odd(monkeypatch, reset=reset)
    with pytest.raises(envs.TaskFailure, match=told) as caught:
        env.reset(seed=0)
    assert 'test_own:limited' in str(caught.value) and 'Traceback' in caught.value.trace


def test_mistakes_in_making(monkeypatch):
    def begin(walk):
        raise ValueError('the gripper is not attached')

    monkeypatch.setattr(Walk, '__init__', begin)
    line = begin.__code__.co_firstlineno + 1
    with pytest.raises(ValueError, match=rf'^ValueError: the gripper is not attached {place("making", line)}\.$'):
        envs.spec(f'{HERE}:limited', STATE)


def test_a_module_that_fails(tmp_path, monkeypatch):
    (tmp_path / 'failing_module.py').write_text('import gymnasium\n\n{}["size"]\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"KeyError: 'size' \(import of failing_module:It, {tmp_path}/.*py:3\)"):
        envs.spec('failing_module:It', STATE)


@pytest.mark.parametrize('low, high', [(-np.inf, np.inf), (0, np.inf), (-1e10, 1e10), (-1.7e308, 1.7e308)])
def test_bounds_that_no_motor_has(low, high, monkeypatch):
    monkeypatch.setattr(sys.modules[HERE], 'choices', lambda: limited(actions=Box(low, high, (1,), np.float64)))
    with pytest.raises(ValueError, match=r'needs finite bounds, 1e\+08 at most'):
        envs.spec(f'{HERE}:choices', STATE)


def test_without_actions(monkeypatch):
    monkeypatch.setattr(sys.modules[HERE], 'choices', lambda: limited(actions=Box(-1, 1, (0,))))
    with pytest.raises(ValueError, match='an action needs at least one number'):
        envs.spec(f'{HERE}:choices', STATE)


def test_pictures_of_classic_control_without_pygame(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pygame', None)
    with pytest.raises(RuntimeError, match=r"rendered here \(.*pygame.*pip install 'planet-jax\[pygame\]', or"):
        envs.make('gymnasium:Pendulum-v1', Env(size=16)).reset(seed=0)


# MuJoCo without its renderer.


@pytest.mark.parametrize('settings, remedy', [
    ({'MUJOCO_GL': 'egl', 'PYOPENGL_PLATFORM': 'osmesa'}, '`unset PYOPENGL_PLATFORM`'),
    ({'MUJOCO_GL': 'bogus'}, '`export MUJOCO_GL=egl`'),
])
def test_gymnasiums_mujoco_without_a_renderer(settings, remedy, fresh_python):
    printed = fresh_python(
        'import gc, sys; import planet_jax.envs as envs; from planet_jax.config import Env\n'
        'sys.unraisablehook = lambda left: print("Exception ignored in", left.object)\n'
        'task = "gymnasium:InvertedPendulum-v5"\n'
        'env = envs.make(task, Env(observation="state"))\n'
        'print(env.reset(seed=0)[0].shape, env.step([0.0])[1], envs.spec(task, Env()).action_size)\n'
        'try: envs.make(task, Env()).reset(seed=0)\n'
        'except RuntimeError as error: print(error)\n'
        'gc.collect()\n', **settings).splitlines()
    assert printed[0] == '(4,) 1.0 1'
    assert len(printed) == 2 and printed[1].startswith('Images of gymnasium:InvertedPendulum-v5 cannot be rendered')
    assert remedy in printed[1]


# What is not observed.


def test_pictures_need_no_vectors_and_nothing_is_observed_blindly(monkeypatch):
    monkeypatch.setattr(sys.modules[HERE], 'choices', lambda **options: limited(space=Discrete(4), **options))
    monkeypatch.setattr(Walk, '_observation', lambda walk: 3)
    assert envs.spec(f'{HERE}:choices', Env(size=32)) == Spec((32, 32, 3), 'uint8', 2, 20, ends=True)
    assert envs.make(f'{HERE}:choices', Env(size=32)).reset(seed=0)[0].shape == (32, 32, 3)
    monkeypatch.setattr(Walk, 'render', None)
    vector = envs.make_vector([f'{HERE}:choices'], Env(size=32), blind=True)
    assert vector.reset(seed=[1])[0].shape == (1, 0)
    assert vector.step(np.ones((1, 2), np.float32))[1] == 3
    vector.close()


def test_beside_another_task_in_workers():
    names = [f'{HERE}:limited', 'gymnasium:MountainCarContinuous-v0']
    config = Env(observation='state', action_repeat=4)
    rows = []
    for workers in (0, 2):
        vector = envs.RestartingVectorEnv(lambda workers=workers: envs.make_vector(names, config, workers))
        assert vector.single_action_space.shape == (2,)
        observation, _ = vector.reset(seed=[1, 2])
        after = vector.step(np.full((2, 2), 0.5, np.float32))
        rows.append([observation.tolist(), *(part.tolist() for part in after[:4]), after[4]['length'].tolist()])
        vector.close()
    assert rows[0] == rows[1] and rows[0][-1] == [1, 1]
