"""A task that is known by its episodes alone: data_32x32x3_a1_t125 has such images, one action and 125 steps.

A model that was fitted to somebody's data belongs to such a task where no other was named. All that must be known of a
task is in its name; there is no simulator, and whoever asks for one is told so.
"""

import math
import re

import gymnasium

from planet_jax.config import Env, Spec
from planet_jax.envs import spaces
from planet_jax.envs.family import Family, Task

NAME = re.compile(r'data_(\d+(?:x\d+x\d+)?)_a([1-9]\d*)_t([1-9]\d*)')


def task_name(spec: Spec) -> str:
    """The name of the task of episodes of a kind."""
    return f'data_{"x".join(map(str, spec.observation_shape))}_a{spec.action_size}_t{spec.steps}'


def resolve(name: str) -> Task | None:
    """See `family.Resolve`."""
    return Task(name, 'data', name, 1) if NAME.fullmatch(name) else None


class DataAlone(gymnasium.Env):
    """The spaces of episodes, and nothing that could make more of them. It is a `family.Simulator`.

    Attributes:
        steps: of the longest episode
        metadata: with `render_fps`, which nobody has told: 20
    """

    metadata = {'render_fps': 20}

    def __init__(self, task: Task, config: Env, blind: bool = False):
        """Args: see `family.Make`.

        Raises:
            ValueError: the configuration asks for observations of another kind.
        """
        shape, actions, steps = NAME.fullmatch(task.name).groups()
        shape = tuple(map(int, shape.split('x')))
        wanted = (config.size,) * 2 + (3,) if config.observation == 'pixels' and config.image == 'square' else shape
        if wanted != shape or (len(shape) == 3) != (config.observation == 'pixels'):
            raise ValueError(f'The observations of {task.name} are {shape}, but env.observation is '
                             f'{config.observation} and env.size {config.size}.')
        self.steps = int(steps)
        self.action_space = spaces.actions(int(actions))
        self.observation_space = spaces.images(shape) if len(shape) == 3 else spaces.vectors(math.prod(shape))

    def reset(self, *, seed=None, options=None):
        """There is nothing to reset.

        Raises:
            ValueError: always.
        """
        raise ValueError('This model was fitted to episodes without a task, so there is no environment to act in: name '
                         'one by --task when it is fitted.')


def names() -> tuple[str, ...]:
    """None: they follow from data."""
    return ()


FAMILY = Family(resolve, names, DataAlone)
"""Tasks that are data alone."""
