"""The goals on a CPU and on one H100."""

from typing import NamedTuple


class Goal(NamedTuple):
    """A goal: at most `limit` in a field of a row, at the size `size`, on a platform ('cpu', 'gpu')."""

    what: str
    benchmark: str
    row: str
    field: str
    limit: float
    platform: str
    size: str = 'planet'


GOALS = (
    Goal('update, over the time of its arithmetic', 'update', 'seeds 1', 'ratio', 2.5, 'cpu'),
    Goal('plan, over the time of its arithmetic', 'planner', 'states 1', 'ratio', 1.3, 'cpu'),
    *(Goal(f'frame of {task}, fast, ms', 'render', f'{task}, fast', 'milliseconds', 5, 'cpu') for task in (
        'cartpole_swingup', 'reacher_easy', 'cheetah_run', 'finger_spin', 'cup_catch', 'walker_walk')),
    Goal('guards, % of an episode', 'guards', 'all guards', 'percent', 2, 'cpu', 'cpu'),
    Goal('update, s', 'update', 'seeds 1', 'seconds', 0.012, 'gpu'),
    Goal('plan, s', 'planner', 'states 1', 'seconds', 0.002, 'gpu'),
    Goal('plans for 10 states, over one', 'planner', 'states 10', 'relative', 2, 'gpu'),
    Goal('updates of 5 seeds, over one', 'update', 'seeds 5', 'relative', 2, 'gpu'),
    Goal('1000 episodes of cheetah_run, extrapolated, h', 'train', 'cheetah_run', 'hours_extrapolated', 1, 'gpu'),
    *(Goal('compilation of the update, s', 'update', 'seeds 1', 'compile_seconds', 60, platform)
      for platform in ('cpu', 'gpu')),
)
"""In the order of the table."""
