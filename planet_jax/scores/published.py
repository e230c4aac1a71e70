"""Published scores, to compare with."""

from collections.abc import Iterable
from dataclasses import dataclass

from planet_jax import envs
from planet_jax.envs.suite import tasks as suite

TASKS = tuple(task.name for task in envs.resolve_several(envs.ALL)[1])
"""The six tasks of the paper, in its order."""
SUITE_RETURNS = (0.0, 1000.0)
"""Range of the returns in dm_control's suite: 1000 environment steps with rewards from 0 to 1."""


@dataclass(frozen=True)
class Published:
    """Mean returns on the paper's six tasks.

    Attributes:
        agent: its name, and the source.
        episodes: of 1000 environment steps; None for an agent that does not learn.
        returns: in the order of `TASKS`.
    """

    agent: str
    episodes: int | None
    returns: tuple[int, ...]


SIMULATOR_CEM = Published('CEM on the true simulator (the paper, table 1)', None, (850, 964, 656, 825, 993, 994))
"""Mean over 5 seeds with 10 episodes each."""
PUBLISHED = (
    Published('PlaNet (the paper, table 1; 5 seeds)', 1000, (821, 832, 662, 700, 930, 951)),
    SIMULATOR_CEM,
    Published('D4PG from pixels (the paper, table 1)', 100_000, (862, 967, 524, 985, 980, 968)),
    Published('A3C from states (the paper, table 1)', 100_000, (558, 285, 214, 129, 105, 311)),
    Published('PlaNet as reported by CURL (2020)', 100, (297, 20, 138, 136, 0, 224)),
    Published('PlaNet as reported by CURL (2020)', 500, (475, 210, 305, 561, 460, 351)),
)
"""Reference points from publications; they were not run here."""


def in_suite(task: str) -> bool:
    """Whether a task belongs to dm_control's suite, so its returns lie in `SUITE_RETURNS`."""
    return task in suite.names()


def one_scale(tasks: Iterable[str]) -> bool:
    """Whether a mean over tasks makes sense: there is one task, or all belong to the suite."""
    tasks = list(tasks)
    return len(tasks) < 2 or all(map(in_suite, tasks))


def no_mean(tasks: int) -> str:
    """A sentence in place of a mean over this number of tasks."""
    return f'There is no mean over the {tasks} tasks, since their returns have different scales.'
