"""Names of tasks, and what they stand for.

The table of the suite is written out, so that a name is accepted or refused without importing the simulator; a test
holds it against `dm_control.suite.ALL_TASKS`.
"""

import difflib
import re
from dataclasses import dataclass

DEFAULT_ACTION_REPEAT = 2
"""R of suite tasks for which the paper names none."""

TOY = 'toy_point'
"""The built-in task, which needs no simulator."""

GYMNASIUM = 'gymnasium'
"""The module in front of names that are registered with gymnasium already."""

# ASCII, and nothing that a folder's name could not hold, but for the slash behind a namespace.
_OWN = re.compile(r'([a-z_]\w*(?:\.[a-z_]\w*)*):((?:[\w-]+/)?[\w.-]+)', re.ASCII | re.IGNORECASE)

_SUITE = {
    'acrobot': ('swingup', 'swingup_sparse'),
    'ball_in_cup': ('catch',),
    'cartpole': ('balance', 'balance_sparse', 'swingup', 'swingup_sparse', 'two_poles', 'three_poles'),
    'cheetah': ('run',),
    'dog': ('stand', 'walk', 'trot', 'run', 'fetch'),
    'finger': ('spin', 'turn_easy', 'turn_hard'),
    'fish': ('upright', 'swim'),
    'hopper': ('stand', 'hop'),
    'humanoid': ('stand', 'walk', 'run', 'run_pure_state'),
    'humanoid_CMU': ('stand', 'walk', 'run'),
    'lqr': ('lqr_2_1', 'lqr_6_2'),
    'manipulator': ('bring_ball', 'bring_peg', 'insert_ball', 'insert_peg'),
    'pendulum': ('swingup',),
    'point_mass': ('easy', 'hard'),
    'quadruped': ('walk', 'run', 'escape', 'fetch'),
    'reacher': ('easy', 'hard'),
    'stacker': ('stack_2', 'stack_4'),
    'swimmer': ('swimmer6', 'swimmer15'),
    'walker': ('stand', 'walk', 'run'),
}


@dataclass(frozen=True)
class Task:
    """A task and the action repeat that goes with it.

    Attributes:
        name: as it is written in a command.
        domain: of `dm_control.suite`; 'toy' for the built-in task; the module of a task of the user's own.
        task: of that domain; what is behind the colon of a task of the user's own.
        action_repeat: R, environment steps per agent step, where the configuration asks for none.
    """

    name: str
    domain: str
    task: str
    action_repeat: int

    @property
    def is_own(self) -> bool:
        """Whether it is of the user's own, and not built in."""
        return ':' in self.name


ALL = 'all'
"""Stands for the paper's six tasks, learned by one agent."""

_PAPER = {task.name: task for task in (
    Task('cartpole_swingup', 'cartpole', 'swingup', 8),
    Task('reacher_easy', 'reacher', 'easy', 4),
    Task('cheetah_run', 'cheetah', 'run', 4),
    Task('finger_spin', 'finger', 'spin', 2),
    Task('cup_catch', 'ball_in_cup', 'catch', 4),
    Task('walker_walk', 'walker', 'walk', 2),
    Task('cartpole_balance', 'cartpole', 'balance', 8),
)}

# The suite's own name of cup_catch is the same task, so it has the same action repeat.
_REPEATS = {(task.domain, task.task): task.action_repeat for task in _PAPER.values()}

# Names are matched whole: both halves may contain underscores, so they cannot be split.
_TASKS = _PAPER | {
    f'{domain}_{task}': Task(f'{domain}_{task}', domain, task, _REPEATS.get((domain, task), DEFAULT_ACTION_REPEAT))
    for domain, tasks in _SUITE.items() for task in tasks
} | {TOY: Task(TOY, 'toy', 'point', 1)}


def task_names() -> list[str]:
    """Every name that `resolve` accepts: the paper's tasks (its appendix A), the rest of the suite, the toy."""
    return [name for name, task in _TASKS.items() if task.domain != 'lqr']


def resolve_several(names: str) -> tuple[str, tuple[Task, ...]]:
    """What one agent is to learn: one task, several, or the six of the paper (its figure 7).

    Args:
        names: a name that `resolve` accepts, several with commas between them, or `all`.

    Returns:
        the names as a run folder is called, and the tasks.

    Raises:
        ValueError: as `resolve`, or a task is named twice.
    """
    if names == ALL:
        return ALL, tuple(task for task in _PAPER.values() if task.name != 'cartpole_balance')
    tasks = tuple(resolve(name) for name in names.split(','))
    if len(set(tasks)) < len(tasks):
        raise ValueError(f'The tasks are {names!r}, but each can be named only once.')
    return ','.join(task.name for task in tasks), tasks


def file_name(names: str) -> str:
    """One or several tasks as a file or folder is called: gymnasium:space/Name-v0 has a plus for the slash."""
    return names.replace('/', '+')


def foreign_modules(names: str) -> tuple[str, ...]:
    """Modules of the user's own that would be imported, and so run, to make these tasks.

    Args:
        names: as `resolve_several` takes them.
    """
    return tuple(task.domain for task in resolve_several(names)[1] if task.is_own and task.domain != GYMNASIUM)


def resolve(name: str) -> Task:
    """The task of a name, without importing the simulator or a module of the user's own.

    Args:
        name: a name of the paper's tasks (`cup_catch`), `domain_task` of the suite (`ball_in_cup_catch`,
            `cartpole_balance_sparse`), or `toy_point`; or MODULE:NAME for a `gymnasium.Env`. If NAME is a name of
            Python, it is a class or a function in MODULE that makes one; else it is registered with gymnasium, at the
            latest by importing MODULE. `gymnasium:NAME` is always registered.

    Raises:
        ValueError: there is no such task, or it has neither action bounds nor an end (lqr).
    """
    if match := _OWN.fullmatch(name):
        return Task(name, *match.groups(), 1)
    task = _TASKS.get(name)
    if task is None:
        nearest = difflib.get_close_matches(name, task_names(), cutoff=0.0)
        registered = f' A name of gymnasium is written gymnasium:{name}.' if re.search(r'-v\d+$', name) else ''
        raise ValueError(f'There is no task {name!r}: the nearest names are {", ".join(nearest)}.{registered}')
    if task.domain == 'lqr':
        raise ValueError(f'The task {name!r} has neither action bounds nor a time limit, so it cannot be used: choose '
                         f'another task.')
    return task
