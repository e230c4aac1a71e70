"""`planet-jax evaluate`: the score of a trained agent."""

from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from planet_jax import keys
from planet_jax.cli import evaluation, runs
from planet_jax.cli.progress import Display
from planet_jax.cli.run_folder import newest_checkpoint, read_config


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
    record = read_config(directory, trust_task)
    run = runs.Run(*(record[name] for name in ('task', 'preset', 'seed', 'config')))
    root = keys.root(run.seed)[None]
    if agent in evaluation.BASELINES:
        returns = [evaluation.evaluate_baseline(agent, task, run.config.env, root, episodes)[0] for task in run.tasks]
        trained = ''
    else:
        steps = run.steps(slots=1)
        # Shapes only, so that nothing is compiled for them.
        like = jax.eval_shape(lambda root: runs.one_seed(steps.init(root)), root)
        restored, progress = newest_checkpoint(directory, like)
        params = jax.tree.map(lambda leaf: jax.device_put(leaf[None]), restored.learner.params)
        done = len(progress['episodes']) // len(run.tasks)
        trained = f' after {done} episodes and {progress["updates"]} updates'
        returns = []
        with Display(console, episodes * len(run.tasks)) as display:
            for task, task_steps in zip(run.tasks, run.task_steps):
                vector = evaluation.make_envs(task, run.config.env, episodes, spec=run.spec)
                display.phase(f'evaluating {task}', evaluation.rounds(episodes) * task_steps, 'steps')
                try:
                    returns.append(evaluation.evaluate(steps.evaluate, steps.begin, vector, params, root, episodes,
                                                       display.advance)[0])
                finally:
                    vector.close()
    for task, of_task in zip(run.tasks, returns):
        for number, value in enumerate(of_task, 1):
            console.print(f'episode {number}: {value:.1f}', highlight=False)
        console.print(f'{task}, {agent} agent{trained}: mean {of_task.mean():.1f}, standard deviation '
                      f'{of_task.std():.1f}, from {of_task.min():.1f} to {of_task.max():.1f}', highlight=False,
                      soft_wrap=True)
    if len(returns) > 1:
        console.print(f'mean over {len(returns)} tasks: {np.mean(returns):.1f}', highlight=False)
    return np.array(returns)
