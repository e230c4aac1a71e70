"""Names of dm_control's suite, and the action repeats of the paper.

The table is written out, so that a name is accepted or refused without importing the simulator; a test holds it against
`dm_control.suite.ALL_TASKS`.
"""

from planet_jax.envs.family import Task

DEFAULT_ACTION_REPEAT = 2
"""R of suite tasks that are not in the paper."""

SUITE = {
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

PAPER = (
    Task('cartpole_swingup', 'cartpole', 'swingup', 8, 0.25, 0.0),
    Task('reacher_easy', 'reacher', 'easy', 4, 2.5),
    Task('cheetah_run', 'cheetah', 'run', 4, 0.25),
    Task('finger_spin', 'finger', 'spin', 2, 2.5),
    Task('cup_catch', 'ball_in_cup', 'catch', 4, 2.5),
    Task('walker_walk', 'walker', 'walk', 2, 2.5),
)
"""The six tasks of the paper (its appendix A), with the colours of iCEM's authors for PlaNet. With noise that
lasts cartpole_swingup scored less (docs/learning.md)."""

_NAMED = {task.name: task for task in (*PAPER, Task('cartpole_balance', 'cartpole', 'balance', 8, 0.25, 0.0))}

# The suite's own name of cup_catch is the same task, so it has the same traits.
_TRAITS = {(task.domain, task.task): (task.action_repeat, task.colour, task.correlation) for task in _NAMED.values()}

# Names are matched whole: both halves may contain underscores, so they cannot be split.
_TASKS = _NAMED | {
    f'{domain}_{task}': Task(f'{domain}_{task}', domain, task, *_TRAITS.get((domain, task), (DEFAULT_ACTION_REPEAT,)))
    for domain, tasks in SUITE.items() for task in tasks
}


def names() -> tuple[str, ...]:
    """The paper's tasks first, then the rest of the suite, without lqr."""
    return tuple(name for name, task in _TASKS.items() if task.domain != 'lqr')


def resolve(name: str) -> Task | None:
    """The task of a name; None if the suite has no such name.

    Raises:
        ValueError: the task has neither action bounds nor an end (lqr).
    """
    task = _TASKS.get(name)
    if task is not None and task.domain == 'lqr':
        raise ValueError(f'The task {name!r} has neither action bounds nor a time limit, so it cannot be used: choose '
                         f'another task.')
    return task
