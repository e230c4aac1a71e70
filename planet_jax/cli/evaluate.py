"""`planet-jax evaluate`: the score of a trained agent."""

from pathlib import Path

import numpy as np
from rich.console import Console

from planet_jax import keys
from planet_jax.cli.progress import Display
from planet_jax.runs import evaluation
from planet_jax.runs.trained import Trained, read_run
from planet_jax.scores import published
from planet_jax.scores.numbers import significant


def evaluate_run(directory: Path, episodes: int, agent: str, console: Console, trust_task: bool = False) -> np.ndarray:
    """Evaluates an agent on a run's task and prints every return.

    Args:
        directory: of the run; nothing in it is changed.
        episodes: of the evaluation.
        agent: 'planet' for the newest checkpoint, 'zero' or 'uniform' for one that looks at nothing.
        console: where to.
        trust_task: see `read_config`.

    Returns:
        returns on each task, [E, episodes].

    Raises:
        FolderError: it is no run folder, or has no checkpoint that verifies.
        RuntimeError: images cannot be rendered here.
    """
    if agent in evaluation.BASELINES:
        run, told = read_run(directory, trust_task), ''
        root = keys.root(run.seed)[None]
        returns = [evaluation.evaluate_baseline(agent, task, run.config.env, root, episodes)[0] for task in run.tasks]
    else:
        trained = Trained.read(directory, trust_task)
        run, steps, told, returns = trained.run, trained.steps, f' {trained.progress}', []
        with Display(console, episodes * len(run.tasks)) as display:
            for task, task_steps in zip(run.tasks, run.task_steps):
                vector = evaluation.make_envs(task, run.config.env, episodes, spec=run.spec)
                display.phase(f'evaluating {task}', evaluation.rounds(episodes) * task_steps, 'steps')
                try:
                    of_task, _ = evaluation.evaluate(steps.evaluate, steps.begin, vector, trained.params, trained.root,
                                                     episodes, display.advance)
                    returns.append(of_task[0])
                finally:
                    vector.close()
    for task, of_task in zip(run.tasks, returns):
        for number, value in enumerate(of_task, 1):
            console.print(f'episode {number}: {significant(value)}', highlight=False)
        mean, deviation, least, most = map(significant, (of_task.mean(), of_task.std(), of_task.min(), of_task.max()))
        console.print(f'{task}, {agent} agent{told}: mean {mean}, standard deviation {deviation}, from {least} to '
                      f'{most}', highlight=False, soft_wrap=True)
    if len(returns) > 1:
        console.print(f'mean over {len(returns)} tasks: {significant(np.mean(returns))}' if
                      published.one_scale(run.tasks) else published.no_mean(len(returns)), highlight=False)
    return np.array(returns)
