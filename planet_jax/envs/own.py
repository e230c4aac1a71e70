"""Tasks of the user's own: any `gymnasium.Env` with bounded Box actions, by import path or registered name."""

import importlib
import math
import os
import sys

import gymnasium
import numpy as np

from planet_jax.config import Env
from planet_jax.envs import spaces
from planet_jax.envs.tasks import GYMNASIUM, Task


class OwnTask(gymnasium.Wrapper):
    """A `gymnasium.Env` as the suite's tasks are: actions [A] in [-1, 1], action repeat, one kind of observation.

    Observations are uint8 [size, size, 3]: the environment's own if they are uint8 [height, width, 3], else what it
    renders with `render_mode='rgb_array'`; either is stretched to a square by averaging areas. Or they are float32 [n]:
    its own, flattened; a Dict of Boxes is joined in the order of its space.

    What it tells in `info` is dropped. An episode follows from its seed if the environment draws from nothing but
    `self.np_random`.

    Attributes:
        action_repeat: R, environment steps per agent step
        steps: T, agent steps in an episode
        metadata: the environment's own, with `render_fps`, agent steps in a second; 20 / R where it tells none
    """

    def __init__(self, task: Task, config: Env):
        """Import and make the environment; the code of its module runs.

        Args:
            task: which task.
            config: what is observed; the action repeat; the length of an episode, if not the environment's own.

        Raises:
            ValueError: there is no such module or environment, it tells no length, its spaces do not fit, or it has no
                pictures where these are asked for.
        """
        self._name = task.name
        env = _make(task, config)
        steps = config.steps or _limit(env)
        if steps is None:
            raise ValueError(f'{task.name} does not tell how long its episodes may be: set --env.steps, register it '
                             f'with max_episode_steps, or wrap it in gymnasium.wrappers.TimeLimit.')
        space = env.observation_space
        self._is_image = isinstance(space, gymnasium.spaces.Box) and space.dtype == np.uint8 and (
            len(space.shape) == 3 and space.shape[2] == 3)
        pixels = config.observation == 'pixels'
        if pixels and not self._is_image and env.render_mode != 'rgb_array':
            env.close()
            env = _make(task, config, render_mode='rgb_array')
        if not pixels and not _is_vector(space):
            raise ValueError(f'{task.name} has the observation space {space}, but vectors are made of a Box, or of a '
                             f'Dict of nothing else.')
        super().__init__(env)
        self.action_repeat = config.action_repeat or task.action_repeat
        self.steps = spaces.episode_steps(steps, self.action_repeat)
        self.metadata = {**env.metadata, 'render_fps': env.metadata.get('render_fps', 20) / self.action_repeat}
        self._low, self._high = _bounds(task.name, env.action_space)
        self.action_space = spaces.actions(self._low.size)
        self._size = config.size if pixels else None
        self.observation_space = spaces.images(config.size) if pixels else spaces.vectors(
            gymnasium.spaces.flatdim(space))
        self._left = 0

    def reset(self, *, seed=None, options=None):
        """Begin an episode: (observation, {}).

        Raises:
            RuntimeError: pictures cannot be rendered here, or an observation is not finite.
        """
        observation, _ = self.env.reset(seed=None if seed is None else int(seed), options=options)
        self._left = self.steps
        return self._observe(observation), {}

    def step(self, action):
        """One agent step, R environment steps: (observation, summed reward, terminated, truncated, {}).

        The repeat stops early where the environment ends the episode, which is truncated at step T at the latest.

        Raises:
            ValueError: the action is not [A] within [-1, 1].
            RuntimeError: the episode is over or has not begun, or the reward or the observation is not finite.
        """
        action = spaces.check_action(action, self._low.size)
        if not self._left:
            raise RuntimeError('The episode is over or has not begun: call reset before step.')
        left, self._left = self._left - 1, 0  # an error on the way ends the episode
        space = self.env.action_space
        control = spaces.rescale(action, self._low, self._high).reshape(space.shape).astype(space.dtype)
        reward = 0.0
        for _ in range(self.action_repeat):
            observation, gained, terminated, truncated, _ = self.env.step(control)
            reward += float(gained)
            if terminated or truncated:
                break
        if not math.isfinite(reward):
            raise RuntimeError(f'The reward of {self._name} is {reward}, but must be a finite number.')
        self._left = 0 if terminated or truncated else left
        return self._observe(observation), reward, bool(terminated), self._left == 0 and not terminated, {}

    def _observe(self, observation):
        if self._size is None:
            vector = gymnasium.spaces.flatten(self.env.observation_space, observation).astype(np.float32)
            if not np.isfinite(vector).all():
                raise RuntimeError(f'An observation of {self._name} is {vector.tolist()}, but must be finite numbers.')
            return vector
        return _square(observation if self._is_image else self._render(), self._size)

    def _render(self):
        try:
            picture = self.env.render()
        except Exception as error:  # each renderer fails in its own way
            raise RuntimeError(f'Pictures of {self._name} cannot be rendered here ({error}): install what it says is '
                               f'missing, or train with --env.observation state.') from error
        if not (isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.shape[2:] == (3,)):
            raise RuntimeError(f'{self._name} renders {type(picture).__name__} {np.shape(picture)}, but pictures are '
                               f'uint8 (height, width, 3): set --env.observation state.')
        return picture


def _make(task, config, **options):
    """The environment as it is; what fails is a sentence, but errors in the user's own code keep their traceback."""
    folder = os.getcwd()
    if task.domain != GYMNASIUM and folder not in sys.path:
        sys.path.append(folder)  # As `python -m` has it; last, so that nothing there stands in for a library.
    try:
        module = importlib.import_module(task.domain)
    except ImportError as error:
        raise ValueError(f'The task {task.name!r} cannot be made, since {task.domain} cannot be imported here: '
                         f'{error}.') from error
    try:
        if task.domain == GYMNASIUM or not task.task.isidentifier():
            return gymnasium.make(task.task, max_episode_steps=config.steps, disable_env_checker=True, **options)
        if not hasattr(module, task.task):
            raise ValueError(f'The task {task.name!r} cannot be made: {task.domain} has no {task.task}.')
        env = getattr(module, task.task)(**options)
    except (gymnasium.error.Error, ImportError) as error:
        raise ValueError(f'The task {task.name!r} cannot be made: {error}') from error
    except TypeError as error:
        if not options:
            raise
        raise ValueError(f'{task.name} observes no pictures and cannot be made with render_mode="rgb_array" '
                         f'({error}): let it take that, or set --env.observation state.') from error
    if not isinstance(env, gymnasium.Env):
        raise ValueError(f'{task.name} makes a {type(env).__name__}, but a task must be a gymnasium.Env.')
    return env


def _limit(env):
    """Environment steps in an episode, as registered or as the wrapper `TimeLimit` has it; none if neither tells."""
    if env.spec is not None and env.spec.max_episode_steps:
        return env.spec.max_episode_steps
    return env.get_wrapper_attr('_max_episode_steps') if env.has_wrapper_attr('_max_episode_steps') else None


def _is_vector(space):
    if isinstance(space, gymnasium.spaces.Dict):
        return all(map(_is_vector, space.values()))
    return isinstance(space, gymnasium.spaces.Box)


def _bounds(name, space):
    """Of the actions, float64 [A] each."""
    if not isinstance(space, gymnasium.spaces.Box) or not np.issubdtype(space.dtype, np.floating):
        raise ValueError(f'{name} has the action space {space}, but the planner needs a Box of real numbers: discrete '
                         f'and other actions cannot be planned.')
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        raise ValueError(f'{name} has the action space {space}, but the planner needs finite bounds: give it some, '
                         f'as gymnasium.wrappers.TransformAction can.')
    return space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)


def _square(image, size):
    """uint8 [height, width, 3] as a new uint8 [size, size, 3], each pixel the mean of the area that it covers."""
    from PIL import Image
    return np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BOX))
