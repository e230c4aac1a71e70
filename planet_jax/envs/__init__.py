"""Environments as `gymnasium`'s, with actions in [-1, 1] or one-hot: dm_control's suite, a toy task, the user's own.

Importing this package leaves jax and dm_control unimported and sets no environment variable. Images of the suite need
OpenGL: on Linux set `MUJOCO_GL=egl` before the first environment is made.
"""

import functools
import multiprocessing
import signal
from collections.abc import Sequence

import gymnasium
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from planet_jax.config import Env, Spec
from planet_jax.envs.family import Task
from planet_jax.envs.own.environment import OwnTask
from planet_jax.envs.own.failures import TaskFailure
from planet_jax.envs.suite.environment import Suite
from planet_jax.envs.tasks import ALL, family_of, file_name, foreign_modules, resolve, resolve_several, task_names
from planet_jax.envs.toy import ToyPoint
from planet_jax.envs.wrappers import opengl
from planet_jax.envs.wrappers.agent_steps import AgentSteps
from planet_jax.envs.wrappers.fixed_length import FixedLength
from planet_jax.envs.wrappers.padded_actions import PaddedActions, shared_choices
from planet_jax.envs.wrappers.restarting import EnvironmentFailure, RestartingVectorEnv
from planet_jax.machine import cores

__all__ = ['ALL', 'AgentSteps', 'EnvironmentFailure', 'FixedLength', 'OwnTask', 'PaddedActions',
           'RestartingVectorEnv', 'Suite', 'Task', 'TaskFailure', 'ToyPoint', 'cores', 'file_name', 'foreign_modules',
           'make', 'make_vector', 'resolve', 'resolve_several', 'spec', 'task_names']


def make(task_name: str, config: Env, shared: Spec | None = None, blind: bool = False) -> gymnasium.Env:
    """A task whose episodes last exactly T agent steps.

    `reset(seed=...)` begins an episode that depends on the seed only. Rewards are finite floats, summed over the action
    repeat; `info['length']` counts the steps simulated so far (see `FixedLength`). Other renderers in this process do
    not change the frames, if these renderers draw with EGL (`MUJOCO_GL=egl`).

    Args:
        task_name: see `resolve`.
        config: what is observed.
        shared: the `spec` of several tasks, whose action size and T this one takes. Default: its own.
        blind: make observations empty, float32 [0], so that no renderer is needed.

    Raises:
        ValueError: there is no such task, it has no such camera, or it does not fit `shared`.
        RuntimeError: images cannot be rendered here; the message says what to do.
    """
    env = _bare(task_name, config, blind)
    if shared is None:
        return FixedLength(env, env.steps, _can_end(task_name))
    if (env.action_space.shape[0], env.choices) != (shared.action_size, shared.choices):
        env = PaddedActions(env, shared.action_size, shared.choices)
    return FixedLength(env, shared.steps, shared.ends)


def spec(task_names: str | Sequence[str], config: Env) -> Spec:
    """What the model must know of a task, or of several at once. It needs no OpenGL.

    Args:
        task_names: one name or several. Action size and T are the largest of all.
        config: what is observed.

    Raises:
        ValueError: a task does not exist, no task is given, the observations of several tasks have different shapes, or
            the actions are choices in some tasks and real numbers in others.
    """
    names = [task_names] if isinstance(task_names, str) else list(dict.fromkeys(task_names))
    if not names:
        raise ValueError('No task is given: name at least one.')
    pixels = config.observation == 'pixels'
    envs = [_bare(name, config, blind=pixels) for name in names]  # Shapes of images need no renderer.
    observed = {_observed(env, config) for env in envs}
    if len(observed) > 1:
        if any(parts for *_, parts in observed):
            raise ValueError(f'One agent cannot learn {", ".join(names)} together: the shapes or types of '
                             f'{", ".join(config.keys)} differ between them.')
        if pixels:
            raise ValueError(f'The images of {", ".join(names)} have different shapes: set env.image to square to '
                             f'learn them together.')
        raise ValueError(f'The vector observations of {", ".join(names)} have different sizes: set env.observation to '
                         f'pixels to learn them together.')
    if len({bool(env.choices) for env in envs}) > 1:
        discrete = [name for name, env in zip(names, envs) if env.choices]
        raise ValueError(f'The actions of {", ".join(discrete)} are choices, and those of '
                         f'{", ".join(name for name in names if name not in discrete)} are real numbers: train one '
                         f'agent for each kind.')
    choices = shared_choices([env.choices for env in envs])
    action_size = sum(choices) or max(env.action_space.shape[0] for env in envs)
    steps = max(env.steps for env in envs)
    for env in envs:
        env.close()
    shape, dtype, parts = observed.pop()
    return Spec(shape, dtype, action_size, steps, choices, any(map(_can_end, names)), parts)


def make_vector(task_names: Sequence[str], config: Env, workers: int | None = None, shared: Spec | None = None,
                blind: bool = False) -> VectorEnv:
    """One environment for each name, side by side, all with the same T and action size.

    Observations are copies, [E, ...]. There is no automatic reset: all environments truncate at step T together, and
    every episode begins with `reset(seed=[...])`, one int for each. `infos['length']`, int [E], counts the steps that
    were simulated. After an error the vector cannot be used any more; see `RestartingVectorEnv`.

    Args:
        task_names: E names, which may repeat.
        config: what is observed.
        workers: number of processes: 0 (all environments in this one) or E (one for each). Default: 0 for up to two
            environments and on fewer than E cores, else E; always E for images of the user's own environments if they
            are not drawn with EGL. Workers are spawned, never forked, inherit `MUJOCO_GL`, and ignore Ctrl-C. A program
            that starts them guards its entry with `if __name__ == '__main__'`.
        shared: the `spec` whose T and action size all take. Default: `spec(task_names, config)`.
        blind: see `make`.

    Raises:
        ValueError: as `make` and `spec`, or the number of workers is neither 0 nor E.
        RuntimeError: images cannot be rendered here; the message says what to do.
    """
    count = len(task_names)
    if workers is None:
        alone = not blind and config.observation == 'pixels' and not opengl.mixes() and any(
            resolve(name).is_own for name in task_names)
        workers = count if alone or 2 < count <= cores() else 0
    if workers not in (0, count):
        raise ValueError(f'workers is {workers}, but must be 0 or {count}, the number of environments.')
    shared = shared or spec(task_names, config)
    makers = [functools.partial(_make_in_worker, name, config, shared, blind) for name in task_names]
    if workers == 0:
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.DISABLED)
    return AsyncVectorEnv(makers, context='spawn', autoreset_mode=AutoresetMode.DISABLED)


def _can_end(task_name):
    return family_of(resolve(task_name)).ends


def _observed(env, config):
    """Shape, dtype and parts of an environment's observations, as in `Spec`."""
    space = env.env.observation_space
    if isinstance(space, gymnasium.spaces.Dict):
        return (), '', tuple((name, part.shape, str(part.dtype)) for name, part in space.spaces.items())
    if config.observation == 'pixels':
        own = config.image == 'own' and len(space.shape) == 3
        return space.shape if own else (config.size, config.size, 3), 'uint8', ()
    return env.observation_space.shape, 'float32', ()


def _bare(task_name, config, blind):
    task = resolve(task_name)
    if config.keys and not task.is_own:
        raise ValueError(f'env.keys is {", ".join(config.keys)}, but the observations of {task_name} have no named '
                         f'parts: leave env.keys empty.')
    return AgentSteps(task, config, family_of(task).make, blind)


def _make_in_worker(task_name, config, shared, blind):
    # Gymnasium also calls this in the parent, to learn the spaces; only its workers are daemons.
    if multiprocessing.current_process().daemon:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return make(task_name, config, shared, blind)
