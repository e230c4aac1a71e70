"""The table of spaces: what a user's environment may observe and do, and how it is converted."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

from planet_jax import envs
from planet_jax.config import Env

TASK = f'{__name__}:Still'
PICTURE, RENDERED = (16, 16, 3), 77


class Still(gymnasium.Env):
    """Observes what it is told to."""

    metadata = {'render_modes': ['rgb_array']}
    space, observation, actions = Box(-1, 1, (2,)), np.zeros(2, np.float32), Box(-1, 1, (1,))

    def __init__(self, render_mode=None):
        self.render_mode, self.observation_space, self.action_space = render_mode, self.space, self.actions

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation, {}

    def step(self, action):
        assert action in self.action_space
        return self.observation, 0.0, False, False, {}

    def render(self):
        return np.full((20, 30, 3), RENDERED, np.uint8)


def pixels(*shape, dtype=np.uint8, low=0, high=255):
    return Box(low, high, shape, dtype)


@pytest.fixture
def make(monkeypatch):
    def make(kind, image='square', keys=(), **changes):
        for name, value in changes.items():
            monkeypatch.setattr(Still, name, value)
        return envs.make(TASK, Env(observation=kind, image=image, keys=keys, size=16, steps=5))
    return make


@pytest.mark.parametrize('space, given, expected', [
    (Box(-1, 1, (2,)), [0.5, 0.25], [0.5, 0.25]),
    (Box(-1, 1, (2, 1), np.float64), [[0.5], [0.25]], [0.5, 0.25]),
    (Box(-1, 1, ()), 0.5, [0.5]),
    (Box(-1, 1, (1,), np.float16), [0.5], [0.5]),
    (Box(0, 255, (2,), np.uint8), [255, 3], [255, 3]),
    (Box(-10**9, 10**9, (1,), np.int64), [10**9], [1e9]),
    (Box(0, 1, (2,), bool), [True, False], [1, 0]),
    (Discrete(3), 1, [0, 1, 0]),
    (Discrete(3, start=5), 7, [0, 0, 1]),
    (MultiDiscrete([2, 3]), [1, 0], [0, 1, 1, 0, 0]),
    (MultiBinary(3), [1, 0, 1], [1, 0, 1]),
    (Dict(b=Box(-1, 1, (1,)), a=Discrete(2)), {'b': [0.5], 'a': 1}, [0.5, 0, 1]),
    (Dict(a=Dict(c=Box(-1, 1, (1,)))), {'a': {'c': [0.5]}}, [0.5]),
    (Tuple([Box(-1, 1, (1,)), Discrete(2)]), ([0.5], 0), [0.5, 1, 0]),
])
def test_vectors(space, given, expected, make):
    env = make('state', space=space, observation=given)
    observation, _ = env.reset(seed=0)
    assert observation.dtype == np.float32 and observation.tolist() == expected
    assert env.observation_space.shape == (len(expected),)


@pytest.mark.parametrize('space, told', [
    (Text(5), 'Text.*: set --env.observation pixels'),
    (Dict(a=Box(-1, 1, (1,)), b=Text(5)), 'leave the rest out by --env.keys'),
    (Box(-1, 1, (0,)), 'at least one number'),
])
def test_what_is_no_vector(space, told, make):
    with pytest.raises(ValueError, match=told):
        make('state', space=space)


@pytest.mark.parametrize('space, given, expected', [
    (pixels(20, 30, 3), 200, 200), (pixels(20, 30), 200, 200), (pixels(20, 30, 1), 200, 200),
    (pixels(1, 20, 30), 200, 200), (pixels(3, 20, 30), 200, 200),
    (pixels(20, 30, 3, dtype=np.float32, high=1), 0.4, 102),
    (pixels(3, 20, 30, dtype=np.float64, low=-1, high=1), 0, 128),
    (pixels(20, 30, dtype=np.float32), 200, 200),
])
def test_own_pictures_of_an_environment_that_renders_none(space, given, expected, make):
    env = make('pixels', metadata={}, space=space, observation=np.full(space.shape, given, space.dtype))
    image, _ = env.reset(seed=0)
    assert image.dtype == np.uint8 and image.shape == PICTURE and (image == expected).all()


def test_channels_stay_what_they_are(make):
    image = np.zeros((3, 16, 16), np.uint8)
    image[1, :8] = 100
    seen, _ = make('pixels', metadata={}, space=pixels(3, 16, 16), observation=image).reset(seed=0)
    assert np.array_equal(seen, np.moveaxis(image, 0, 2))


@pytest.mark.parametrize('space, shape', [
    (pixels(20, 30, 3), (20, 30, 3)), (pixels(84, 84, 4), (84, 84, 4)), (pixels(4, 84, 84), (84, 84, 4)),
    (pixels(20, 30), (20, 30, 1)), (pixels(20, 16, 12), (20, 16, 12)), (pixels(4, 20, 30, 3), (20, 30, 12)),
    (pixels(2, 20, 30, dtype=np.float32, high=1), (20, 30, 2)),
])
def test_own_pictures_as_they_are(space, shape, make):
    numbers = np.arange(np.prod(space.shape)).reshape(space.shape) % (int(space.high.max()) + 1)
    observation = numbers.astype(space.dtype)
    env = make('pixels', image='own', space=space, observation=observation)
    assert envs.spec(TASK, Env(image='own', steps=5))[:2] == (shape, 'uint8') and env.observation_space.shape == shape
    seen, _ = env.reset(seed=0)
    assert seen.dtype == np.uint8 and seen.shape == shape
    at = observation[7, 9] if len(space.shape) == 2 or space.shape[-1] == shape[-1] else observation[:, 7, 9]
    np.testing.assert_array_equal(seen[7, 9], np.round(at.ravel() / space.high.max() * 255))  # Frame after frame.


SEVERAL = Dict(left=pixels(20, 30, 3), right=pixels(2, 20, 30), joints=Box(-1, 1, (2,)), goal=Discrete(3),
               text=Text(5))
SEEN = {'left': np.full((20, 30, 3), 7, np.uint8), 'right': np.full((2, 20, 30), 9, np.uint8),
        'joints': np.array([0.5, -0.5], np.float32), 'goal': 1, 'text': 'a'}


@pytest.mark.parametrize('kind, image, keys, shapes', [
    ('pixels', 'own', ('joints', 'left'), {'left': (20, 30, 3), 'joints': (2,)}),
    ('pixels', 'square', ('left', 'goal'), {'left': (16, 16, 3), 'goal': (3,)}),
    ('pixels', 'own', ('left', 'right', 'joints', 'goal'),
     {'left': (20, 30, 3), 'right': (20, 30, 2), 'joints': (2,), 'goal': (3,)}),
    ('pixels', 'own', ('right',), (20, 30, 2)), ('pixels', 'square', ('left',), (16, 16, 3)),
    ('state', 'square', ('goal', 'joints'), (5,)), ('state', 'square', ('joints',), (2,)),
])
def test_parts_that_are_named(kind, image, keys, shapes, make):
    env = make(kind, image, keys, space=SEVERAL, observation=SEEN)
    spec = envs.spec(TASK, Env(observation=kind, image=image, keys=keys, size=16, steps=5))
    seen, _ = env.reset(seed=0)
    again = env.step(np.zeros(1))[0]
    if isinstance(shapes, dict):
        assert list(seen) == list(shapes) and {name: part.shape for name, part in seen.items()} == shapes
        assert spec.parts == tuple((name, part.shape, str(part.dtype)) for name, part in seen.items())
        assert 'joints' not in seen or seen['joints'].tolist() == [0.5, -0.5]
        assert 'left' not in seen or (seen['left'] == 7).all()
        seen['left'][:] = 0  # A copy.
        assert (again['left'] == 7).all() and env.observation_space.contains(again)
    else:
        assert seen.shape == spec.observation_shape == shapes and seen.dtype == spec.observation_dtype
        assert not spec.parts
    if kind == 'state':
        assert seen.tolist() == [*SEEN['joints'], 0, 1, 0][:len(seen)]


@pytest.mark.parametrize('space, kind, keys, told', [
    (Box(-1, 1, (2,)), 'state', ('a',), 'not a Dict'),
    (SEVERAL, 'state', ('up',), r"names 'up', but .*--env\.keys left right joints goal text, or"),
    (SEVERAL, 'pixels', ('joints', 'goal'), 'none of these parts.*set --env.observation state'),
    (SEVERAL, 'pixels', ('left', 'text'), 'Text.*: set --env.observation pixels, or leave the rest out'),
    (Dict({'a/b': pixels(20, 30, 3)}), 'pixels', ('a/b',), 'must consist of letters'),
])
def test_parts_that_cannot_be_named(space, kind, keys, told, make):
    with pytest.raises(ValueError, match=told):
        make(kind, 'square', keys, space=space)
    with pytest.raises(ValueError, match='observations of toy_point have no named parts'):
        envs.spec('toy_point', Env(keys=('a',)))


@pytest.mark.parametrize('space', [Box(-1, 1, (2,)), Text(5), pixels(20, 30, 13), pixels(4, 4, 3),
                                   Box(-np.inf, np.inf, (20, 30, 3)), pixels(5, 20, 30, 3)])
def test_what_is_no_picture_is_not_taken_as_it_is(space, make):
    with pytest.raises(ValueError, match='but --env.image own needs a Box of images.*Set --env.image square'):
        make('pixels', image='own', space=space)


@pytest.mark.parametrize('space', [
    Box(-1, 1, (2,)), Discrete(4), Text(5), Dict(a=pixels(20, 30, 3)), Tuple([Discrete(2)]), pixels(20, 30, 4),
    pixels(20, 30, 9), pixels(4, 20, 30, 3), pixels(4, 4, 3, dtype=np.float32), pixels(20, 30),
    Box(-np.inf, np.inf, (20, 30, 3)),
])
def test_what_is_rendered(space, make):
    observation = np.zeros(space.shape, space.dtype) if isinstance(space, Box) else space.sample()
    image, _ = make('pixels', space=space, observation=observation).reset(seed=0)
    assert image.shape == PICTURE and (image == RENDERED).all()


def test_own_pictures_come_before_rendered_ones(make):
    image, _ = make('pixels', space=pixels(20, 30, 3), observation=np.full((20, 30, 3), 5, np.uint8)).reset(seed=0)
    assert (image == 5).all()


@pytest.mark.parametrize('given', [np.full((20, 30, 3), 7.0), np.full((19, 30, 3), 7, np.uint8)])
def test_pictures_are_what_their_space_says(given, make):
    with pytest.raises(envs.TaskFailure, match=rf'is {given.dtype} .*its space is uint8 \(20, 30, 3\) \(step of'):
        make('pixels', space=pixels(20, 30, 3), observation=given).reset(seed=0)


@pytest.mark.parametrize('space, size', [
    (Box(-1, 1, (2,)), 2), (Box(-2, 3, (2, 3), np.float64), 6), (Box(-2, 2, ()), 1),
    (Box(-0.25, 0.75, (1,), np.float16), 1),
    (Box(np.array([0, 1], np.float32), np.array([0, 2], np.float32)), 2),
])
def test_actions(space, size, make):
    env = make('state', actions=space)
    assert env.action_space == Box(-1, 1, (size,), np.float32)
    env.reset(seed=0)
    for action in (-1, 0.3, 1):
        env.step(np.full(size, action))


@pytest.mark.parametrize('space, choices, action, taken', [
    (Discrete(3), (3,), [0, 1, 0], 1),
    (Discrete(3, start=5), (3,), [0, 0, 1], 7),
    (Discrete(1), (1,), [1], 0),
    (MultiDiscrete([2, 3]), (2, 3), [0, 1, 0, 0, 1], [1, 2]),
    (MultiDiscrete([[2, 3]], start=[[4, 5]]), (2, 3), [0, 1, 1, 0, 0], [[5, 5]]),
    (MultiBinary(2), (2, 2), [0, 1, 1, 0], [1, 0]),
    (Box(-5, 5, (1,), np.int32), (11,), np.eye(11)[3], [-2]),
    (Box(0, 1, (2,), bool), (2, 2), [1, 0, 0, 1], [False, True]),
    (Dict(b=Discrete(2), a=Tuple([Discrete(3), MultiBinary(1)])), (2, 3, 2), [0, 1, 0, 0, 1, 1, 0],
     {'a': (2, [0]), 'b': 1}),
    (Dict(b=Box(-1, 1, (2,)), a=Box(0, 10, ())), (), [0.5, -1, 0], {'a': 5.0, 'b': [0.5, -1.0]}),
    (Tuple([Box(-2, 2, (1, 2), np.float64), Box(0, 1, (1,))]), (), [0.5, -0.5, 1], ([[1.0, -1.0]], [1.0])),
    (Dict(a=Dict(c=Box(-3, 3, (1,)))), (), [1], {'a': {'c': [3.0]}}),
])
def test_actions_of_other_kinds(space, choices, action, taken, make, monkeypatch):
    seen = []
    step = Still.step
    monkeypatch.setattr(Still, 'step', lambda self, action: seen.append(action) or step(self, action))
    env = make('state', actions=space)
    size = sum(choices) or len(action)
    assert env.env.choices == choices and env.action_space == Box(0 if choices else -1, 1, (size,), np.float32)
    assert envs.spec(TASK, Env(observation='state', steps=5))[2:6] == (size, 5, choices, True)
    env.reset(seed=0)
    env.step(np.array(action, np.float32))

    def plain(value):
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        return tuple(map(plain, value)) if isinstance(value, tuple) else value.tolist()

    assert plain(seen[0]) == taken
    env.step(np.zeros(size))  # The zero policy takes the first of each choice.
    assert seen[1] in space
    with pytest.raises(ValueError, match='every number must be within'):
        env.step(np.full(size, np.nan))


@pytest.mark.parametrize('space, told', [
    (Text(5), 'must be Box, Discrete, MultiDiscrete or MultiBinary, or a Dict or Tuple'),
    (Tuple([Box(-1, 1, (1,)), Text(5)]), 'convert Text.* by gymnasium.wrappers.TransformAction'),
    (Dict(a=Box(-1, 1, (1,)), b=Discrete(2)), 'real numbers and choices cannot be planned together'),
    (Tuple([Box(-1, 1, (1,)), Box(0, 3, (1,), np.int8)]), 'real numbers and choices cannot be planned together'),
    (Box(-1, 1, (0,)), 'an action needs at least one number'), (Dict(), 'an action needs at least one number'),
    (Box(0, np.inf, (1,)), 'needs finite bounds'),
    (Tuple([Box(-1, 1, (1,)), Box(-np.inf, 1, (1,))]), 'needs finite bounds'),
    (Discrete(2000), 'have 2000 categories in all, more than 1024'),
    (Box(0, 255, (8, 8), np.uint8), 'have 16384 categories'),
    (Box(-2**63, 2**63 - 1, (1,), np.int64), 'have 18446744073709551616 categories'),
])
def test_what_cannot_be_acted(space, told, make):
    with pytest.raises(ValueError, match=told):
        make('state', actions=space)
