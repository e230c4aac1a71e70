"""`planet-jax evaluate`: scores a trained agent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console

from planet_jax.cli.options import OfRun, at_least


@dataclass(frozen=True, kw_only=True)
class Evaluate(OfRun):
    """Evaluate a trained agent, or zero or random actions, on its tasks."""

    episodes: int = 10
    """Number of evaluation episodes."""
    agent: Literal['planet', 'zero', 'uniform'] = 'planet'
    """The trained agent, zero actions, or uniform actions."""

    def __post_init__(self):
        at_least(self, episodes=1)


def run(command: Evaluate, arguments: Sequence[str], console: Console) -> int:
    """Evaluates an agent on a run's tasks and prints every return.

    Raises:
        FolderError: it is no run folder, or has no checkpoint that verifies.
        RuntimeError: images cannot be rendered here.
    """
    import numpy as np

    from planet_jax import keys
    from planet_jax.cli.progress import Display
    from planet_jax.runs import evaluation
    from planet_jax.runs.trained.agent import Trained, read_run
    from planet_jax.scores import published
    from planet_jax.scores.numbers import significant

    del arguments
    if command.agent in evaluation.BASELINES:
        told, of_run = '', read_run(command.run, command.trust_task)
        root = keys.root(of_run.seed)[None]
        returns = {task: evaluation.evaluate_baseline(command.agent, task, of_run.config.env, root, command.episodes)[0]
                   for task in of_run.tasks}
    else:
        trained = Trained.read(command.run, command.trust_task)
        told = f' {trained.progress}'
        with Display(console, command.episodes * len(trained.run.tasks)) as display:
            def report(task, done, total):
                display.phase(f'evaluating {task}', total, 'steps')
                display.advance(done)

            returns = trained.evaluate(command.episodes, report)
    for task, of_task in returns.items():
        for number, value in enumerate(of_task, 1):
            console.print(f'episode {number}: {significant(value)}', highlight=False)
        mean, deviation, least, most = map(significant, (of_task.mean(), of_task.std(), of_task.min(), of_task.max()))
        console.print(f'{task}, {command.agent} agent{told}: mean {mean}, standard deviation {deviation}, from {least} '
                      f'to {most}', highlight=False, soft_wrap=True)
    if len(returns) > 1:
        console.print(f'mean over {len(returns)} tasks: {significant(np.mean([*returns.values()]))}' if
                      published.one_scale(returns) else published.no_mean(len(returns)), highlight=False)
    return 0
