"""The task of a data set without an environment: data_32x32x3_a1_t125 has images of 32 x 32 x 3, A = 1 and T = 125.

Observations in several parts have their names: data_camera=32x32x3+joints=5_a1_t125.
`fit` gives this task to a model if no other is named. The name says all that the model must know. There is no
simulator: `reset` raises.
"""

import math
import re

import gymnasium

from planet_jax.config import Env, Spec
from planet_jax.envs import spaces
from planet_jax.envs.family import Family, Task

_PART = r'[\w-]+=\d+(?:x\d+x\d+)?'
NAME = re.compile(rf'data_(\d+(?:x\d+x\d+)?|{_PART}(?:\+{_PART})+)_a([1-9]\d*)_t([1-9]\d*)', re.ASCII)


def task_name(spec: Spec) -> str:
    """The name of the task of episodes with these shapes."""
    def told(shape):
        return 'x'.join(map(str, shape))

    seen = '+'.join(f'{name}={told(shape)}' for name, shape, _ in spec.parts) or told(spec.observation_shape)
    return f'data_{seen}_a{spec.action_size}_t{spec.steps}'


def resolve(name: str) -> Task | None:
    """See `family.Resolve`."""
    return Task(name, 'data', name, 1) if NAME.fullmatch(name) else None


class DataAlone(gymnasium.Env):
    """A `family.Simulator` with the spaces of the episodes, which cannot be stepped.

    Attributes:
        steps: of the longest episode
        metadata: with `render_fps`, 20, since the data do not say it
    """

    metadata = {'render_fps': 20}

    def __init__(self, task: Task, config: Env, blind: bool = False):
        """Args: see `family.Make`.

        Raises:
            ValueError: the configuration asks for observations of another kind.
        """
        seen, actions, steps = NAME.fullmatch(task.name).groups()
        self.steps = int(steps)
        self.action_space = spaces.actions(int(actions))
        if '=' in seen:
            parts = [part.split('=') for part in seen.split('+')]
            self.observation_space = spaces.parts({name: _space(_shape(shape)) for name, shape in parts})
            return
        shape = _shape(seen)
        wanted = (config.size,) * 2 + (3,) if config.observation == 'pixels' and config.image == 'square' else shape
        if wanted != shape or (len(shape) == 3) != (config.observation == 'pixels'):
            raise ValueError(f'The observations of {task.name} have shape {shape}, but env.observation is '
                             f'{config.observation} and env.size {config.size}.')
        self.observation_space = _space(shape)

    def reset(self, *, seed=None, options=None):
        """Raises, since there is no environment.

        Raises:
            ValueError: always.
        """
        raise ValueError('This model was fitted to data without a task, so there is no environment to act in: name '
                         'the task by --task when you fit it.')


def _shape(told: str) -> tuple[int, ...]:
    return tuple(map(int, told.split('x')))


def _space(shape: tuple[int, ...]) -> gymnasium.Space:
    return spaces.images(shape) if len(shape) == 3 else spaces.vectors(math.prod(shape))


def names() -> tuple[str, ...]:
    """Empty: names follow from the data."""
    return ()


FAMILY = Family(resolve, names, DataAlone)
"""Tasks of data sets without an environment."""
