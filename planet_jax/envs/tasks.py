"""Names of tasks, and the table of the families of environments."""

import difflib
import re

from planet_jax.envs import data, toy
from planet_jax.envs.family import Family, Task
from planet_jax.envs.own import environment as own
from planet_jax.envs.suite import environment as suite
from planet_jax.envs.suite.tasks import PAPER

FAMILIES: dict[str, Family] = {'suite': suite.FAMILY, 'toy': toy.FAMILY, 'data': data.FAMILY, 'gymnasium': own.FAMILY}
"""A new family is a file and a row here. The first family that knows a name makes the task."""

ALL = 'all'
"""Stands for the paper's six tasks, learned by one agent."""


def task_names() -> list[str]:
    """The names that can be listed: the paper's tasks (its appendix A), the rest of the suite, the toy."""
    return [name for family in FAMILIES.values() for name in family.names()]


def resolve_several(names: str) -> tuple[str, tuple[Task, ...]]:
    """What one agent is to learn: one task, several, or the six of the paper (its figure 7).

    Args:
        names: a name that `resolve` accepts, several with commas between them, or `all`.

    Returns:
        the names as in a run folder's path, and the tasks.

    Raises:
        ValueError: as `resolve`, or a task is named twice.
    """
    if names == ALL:
        return ALL, PAPER
    tasks = tuple(resolve(name) for name in names.split(','))
    if len(set(tasks)) < len(tasks):
        raise ValueError(f'The tasks are {names!r}, but each can be named only once.')
    return ','.join(task.name for task in tasks), tasks


def file_name(names: str) -> str:
    """One or several tasks as the name of a file or folder: a plus replaces the slash of gymnasium:space/Name-v0."""
    return names.replace('/', '+')


def foreign_modules(names: str) -> tuple[str, ...]:
    """Modules of the user's own that would be imported, and so run, to make these tasks.

    Args:
        names: as `resolve_several` takes them.
    """
    return tuple(task.domain for task in resolve_several(names)[1] if task.is_own and task.domain != own.GYMNASIUM)


def resolve(name: str) -> Task:
    """The task of a name, without importing the simulator or a module of the user's own.

    Args:
        name: a name of the paper's tasks (`cup_catch`), `domain_task` of the suite (`ball_in_cup_catch`,
            `cartpole_balance_sparse`), or `toy_point`; or MODULE:NAME for a `gymnasium.Env`. If NAME is a Python
            identifier, it is a class or function in MODULE that makes one. Otherwise it is registered with gymnasium,
            at the latest when MODULE is imported. `gymnasium:NAME` is always registered.

    Raises:
        ValueError: there is no such task, or it has neither action bounds nor an end (lqr).
    """
    return _find(name)[1]


def family_of(task: Task) -> Family:
    """The family that makes a task."""
    return _find(task.name)[0]


def _find(name):
    for family in FAMILIES.values():
        if task := family.resolve(name):
            return family, task
    nearest = difflib.get_close_matches(name, task_names(), cutoff=0.0)
    registered = f' For a task of gymnasium, write gymnasium:{name}.' if re.search(r'-v\d+$', name) else ''
    raise ValueError(f'There is no task {name!r}: the nearest names are {", ".join(nearest)}.{registered}')
