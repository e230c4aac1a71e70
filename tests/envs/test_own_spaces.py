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
    def make(kind, **changes):
        for name, value in changes.items():
            monkeypatch.setattr(Still, name, value)
        return envs.make(TASK, Env(observation=kind, size=16, steps=5))
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
    (Dict(a=Box(-1, 1, (1,)), b=Text(5)), 'leave the rest out, as gymnasium.wrappers.FilterObservation'),
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
    with pytest.raises(envs.TaskFailure, match=rf'is {given.dtype} .*its space says uint8 \(20, 30, 3\) \(step of'):
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


@pytest.mark.parametrize('space, told', [
    (Discrete(3), 'a Box of real numbers'), (MultiDiscrete([2, 2]), 'a Box of real numbers'),
    (Box(-5, 5, (1,), np.int32), 'a Box of real numbers'), (Dict(a=Box(-1, 1, (1,))), 'a Box of real numbers'),
    (Box(-1, 1, (0,)), 'at least one number to act with'), (Box(0, np.inf, (1,)), 'needs finite bounds'),
])
def test_what_cannot_be_acted(space, told, make):
    with pytest.raises(ValueError, match=told):
        make('state', actions=space)
