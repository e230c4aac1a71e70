"""Tasks of the user's own: any `gymnasium.Env`, by import path or registered name."""

import importlib
import math
import os
import re
import sys
import traceback
import types

import gymnasium
import numpy as np

from planet_jax.config import Env
from planet_jax.envs import spaces
from planet_jax.envs.family import Family, Task
from planet_jax.envs.own import seen
from planet_jax.envs.own.actions import Flat
from planet_jax.envs.own.failures import located, located_error, wrong
from planet_jax.envs.suite import rendering

GYMNASIUM = 'gymnasium'
"""The module in front of names that are registered with gymnasium already."""

# ASCII characters that a folder's name can hold, and the slash behind a namespace.
_NAME = re.compile(r'([a-z_]\w*(?:\.[a-z_]\w*)*):((?:[\w-]+/)?[\w.-]+)', re.ASCII | re.IGNORECASE)

_SPEED = 20
"""Environment steps per second, where the metadata do not say."""


class OwnTask(gymnasium.Wrapper):
    """A `gymnasium.Env` as a `family.Simulator`.

    Observations depend on `config`:

    - pixels: uint8 [size, size, 3]. The environment's own images if they are uint8 [height, width, 3], else what it
      renders with `render_mode='rgb_array'`, else its own images of another kind (`images.converter`); stretched to a
      square by averaging areas.
    - pixels with `image` own: the environment's own images, uint8 [height, width, channels], even if it can render.
    - state: float32 [n], the environment's own, flattened. The parts of a Dict are joined in the order of its space,
      and discrete values are one-hot.
    - `keys`: a dict of images and vectors.

    `info` is dropped. An episode depends on its seed only if all randomness comes from `self.np_random` and no state is
    left of earlier episodes.

    Attributes:
        steps: environment steps in an episode
        metadata: the environment's own, with `render_fps`, environment steps per second (20 where it does not say)
    """

    def __init__(self, task: Task, config: Env, blind: bool = False):
        """Import the module, which runs its code, and make the environment.

        Args:
            task: which task.
            config: what is observed; the length of an episode, if not the environment's own.
            blind: whether nothing is observed.

        Raises:
            ValueError: the module or the environment does not exist, making it fails, the length of its episodes is not
                known, its spaces are not supported, or images are asked for and it has none.
        """
        self._task = task
        env = _make(task, config)
        steps = config.steps or _limit(env)
        if steps is None:
            raise ValueError(f'{task.name} does not say how long its episodes may be: set --env.steps, register it '
                             f'with max_episode_steps, or wrap it in gymnasium.wrappers.TimeLimit.')
        space = env.observation_space
        renders = 'rgb_array' in ((env.metadata or {}).get('render_modes') or ())
        self._seen = seen.of_space(task.name, space, config, renders)
        if self._seen is None and not blind and env.render_mode != 'rgb_array':
            env.close()
            env = _make(task, config, render_mode='rgb_array')
        super().__init__(env)
        self.steps = steps
        told = env.metadata or {}
        self.metadata = {**told, 'render_fps': _speed(told.get('render_fps'))}
        self._actions = Flat(task.name, env.action_space)
        self.action_space = self._actions.space
        self._size = config.size
        self.observation_space = self._seen.space if self._seen else spaces.images(config.size)

    def reset(self, *, seed=None, options=None):
        """Begin an episode: (observation, {}).

        Raises:
            TaskFailure: the environment failed.
        """
        with located(self._task, 'reset', self.env):
            observation, info = self.env.reset(seed=seed, options=options)
            if not isinstance(info, dict):
                raise TypeError(f'info is {type(info).__name__}')
            _aim_anew(self.env)
        return observation, {}

    def step(self, action: np.ndarray):
        """One environment step: (observation, reward, terminated, truncated, {}).

        Args:
            action: an element of `action_space`, which is flat.

        Raises:
            TaskFailure: the environment failed, or its reward is not one finite number.
        """
        with located(self._task, 'step', self.env):
            observation, gained, terminated, truncated, info = self.env.step(self._actions.native(action))
            if not isinstance(info, dict):
                raise TypeError(f'info is {type(info).__name__}')
            ends = bool(terminated), bool(truncated)
        reward = np.asarray(gained)
        if reward.size != 1 or reward.dtype.kind not in 'biuf':
            raise wrong(self._task, 'step', self.env, f'The reward of {self._task.name} is {gained!r}, but must be one '
                                                      f'number')
        if not np.isfinite(reward).all():
            raise wrong(self._task, 'step', self.env, f'The reward of {self._task.name} is {reward.item()}, but must '
                                                      f'be a finite number')
        return observation, float(reward.item()), *ends, {}

    def observe(self, raw):
        """The observation of the last reset or step, or the image rendered after it.

        Raises:
            TaskFailure: it is not finite, or does not fit the space.
            RuntimeError: images cannot be rendered here.
        """
        if self._seen is None:
            return seen.square(self._render(), self._size)
        try:
            with located(self._task, 'step', self.env, (seen.Mismatch,)):
                return self._seen.see(raw)
        except seen.Mismatch as error:
            raise wrong(self._task, 'step', self.env, f'An observation of {self._task.name} {error}') from None

    def close(self):
        """Free what it holds."""
        self.env.close()
        renderer = getattr(self.env.unwrapped, 'mujoco_renderer', None)
        if hasattr(renderer, '_viewers'):  # It keeps closed viewers, and would draw with them.
            renderer.viewer, renderer._viewers = None, {}

    def _render(self):
        try:
            picture = self.env.render()
        except Exception as error:  # each renderer fails in its own way
            _let_it_go(error)
            remedy = 'install what it says is missing'
            if hasattr(self.env.unwrapped, 'mujoco_renderer'):
                remedy = rendering.remedy()
            elif isinstance(error, gymnasium.error.DependencyNotInstalled) and 'pygame' in str(error):
                remedy = "pip install 'planet-jax[pygame]'"
            raise RuntimeError(f'Images of {self._task.name} cannot be rendered here ({error}): {remedy}, or train '
                               f'with --env.observation state.') from error
        if not (isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.shape[2:] == (3,)):
            raise wrong(self._task, 'render', self.env, f'{self._task.name} renders {type(picture).__name__} '
                                                        f'{np.shape(picture)}, but images must be uint8 (height, '
                                                        f'width, 3): set --env.observation state')
        return picture


def _make(task, config, **options):
    """The environment as it is.

    Raises:
        ValueError: it cannot be made, with the line of the user's file where there is one.
    """
    folder = os.getcwd()
    if task.domain != GYMNASIUM and folder not in sys.path:
        sys.path.append(folder)  # As `python -m` does, but last, so that no file there shadows a library.
    if sys.platform == 'linux' and not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        os.environ.setdefault('SDL_VIDEODRIVER', 'dummy')  # Else pygame complains that there is no screen.
    try:
        env = _call(task, config, options)
    except Exception:
        # MuJoCo cannot be imported if the renderer that MUJOCO_GL names is missing; without MUJOCO_GL it can.
        if rendering.library()[1] is None:
            raise
        env = _call(task, config, options)
    if not isinstance(env, gymnasium.Env):
        raise ValueError(f'{task.name} makes a {type(env).__name__}, but a task must be a gymnasium.Env.')
    return env


def _call(task, config, options):
    try:
        module = importlib.import_module(task.domain)
    except ImportError as error:
        raise ValueError(f'The task {task.name!r} cannot be made, since {task.domain} cannot be imported here: '
                         f'{error}.') from error
    except Exception as error:  # a module may raise anything
        raise located_error(task, 'import', error) from error
    registered = task.domain == GYMNASIUM or not task.task.isidentifier()
    if not registered and not hasattr(module, task.task):
        raise ValueError(f'The task {task.name!r} cannot be made: {task.domain} has no {task.task}.')
    try:
        if registered:
            return gymnasium.make(task.task, max_episode_steps=config.steps, disable_env_checker=True, **options)
        return getattr(module, task.task)(**options)
    except (gymnasium.error.Error, ImportError) as error:
        raise ValueError(f'The task {task.name!r} cannot be made: {error}') from error
    except Exception as error:  # the user's code may raise anything
        hint = ' Images need render_mode="rgb_array": accept this argument, or set --env.observation state.'
        raise located_error(task, 'making', error, hint if options else '') from error


def _let_it_go(error):
    """Give a viewer of gymnasium's MuJoCo that could not be made something to free.

    It would free the context that it has not got, and Python would print that as a traceback of its own.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        viewer = frame.f_locals.get('self')
        if type(viewer).__name__ == 'OffScreenViewer' and not hasattr(viewer, 'opengl_context'):
            viewer.opengl_context = types.SimpleNamespace(free=lambda: None)


def _aim_anew(env):
    """Point the camera of gymnasium's MuJoCo tasks as a new environment would.

    Gymnasium points it once, at the bodies in the first frame that it ever draws. So the images of an episode would
    depend on the first episode.
    """
    renderer = getattr(env.unwrapped, 'mujoco_renderer', None)
    viewer = getattr(renderer, 'viewer', None)
    if hasattr(viewer, '_init_camera'):
        viewer._init_camera()
        renderer._set_cam_config()


def _speed(told):
    """Environment steps per second, from `render_fps` of the metadata."""
    return told if isinstance(told, (int, float)) and math.isfinite(told) and told > 0 else _SPEED


def _limit(env):
    """Environment steps in an episode, as registered or as the wrapper `TimeLimit` has it; None if not known."""
    if env.spec is not None and env.spec.max_episode_steps:
        return env.spec.max_episode_steps
    return env.get_wrapper_attr('_max_episode_steps') if env.has_wrapper_attr('_max_episode_steps') else None


def _resolve(name):
    match = _NAME.fullmatch(name)
    return Task(name, *match.groups(), 1) if match else None


FAMILY = Family(_resolve, lambda: (), OwnTask, ends=True)
"""Whatever a module makes or gymnasium has registered, written MODULE:NAME."""
