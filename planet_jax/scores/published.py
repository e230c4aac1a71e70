"""Scores that others have published, to stand beside ours."""

from collections.abc import Iterable
from dataclasses import dataclass

from planet_jax import envs

TASKS = tuple(task.name for task in envs.resolve_several(envs.ALL)[1])
"""The paper's six, in its order."""
SUITE_RETURNS = (0.0, 1000.0)
"""Of every task of dm_control's suite: 1000 environment steps with rewards from 0 to 1."""


@dataclass(frozen=True)
class Published:
    """Mean returns on the paper's six tasks.

    Attributes:
        agent: what it is, and whose report.
        episodes: of 1000 environment steps; none for one that does not learn.
        returns: in the order of `TASKS`.
    """

    agent: str
    episodes: int | None
    returns: tuple[int, ...]


SIMULATOR_CEM = Published('CEM on the true simulator (the paper, table 1)', None, (850, 964, 656, 825, 993, 994))
"""A mean over 5 seeds of 10 episodes each."""
PUBLISHED = (
    Published('PlaNet (the paper, table 1; 5 seeds)', 1000, (821, 832, 662, 700, 930, 951)),
    SIMULATOR_CEM,
    Published('D4PG from pixels (the paper, table 1)', 100_000, (862, 967, 524, 985, 980, 968)),
    Published('A3C from states (the paper, table 1)', 100_000, (558, 285, 214, 129, 105, 311)),
    Published('PlaNet as reported by CURL (2020)', 100, (297, 20, 138, 136, 0, 224)),
    Published('PlaNet as reported by CURL (2020)', 500, (475, 210, 305, 561, 460, 351)),
)
"""Reference points, not baselines that were run here."""


def in_suite(task: str) -> bool:
    """Whether a task is of dm_control's suite, and so has returns in `SUITE_RETURNS`."""
    return task in envs.task_names() and envs.resolve(task).domain != 'toy'


def one_scale(tasks: Iterable[str]) -> bool:
    """Whether a mean over tasks means something: it is one task, or all are of the suite."""
    tasks = list(tasks)
    return len(tasks) < 2 or all(map(in_suite, tasks))


def no_mean(tasks: int) -> str:
    """A sentence for where a mean over a number of tasks would stand."""
    return f'There is no mean over the {tasks} tasks, since their returns have different scales.'
