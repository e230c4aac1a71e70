"""`planet-jax evaluate`: the score of a trained agent."""

from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from planet_jax import keys
from planet_jax.cli import evaluation, runs
from planet_jax.cli.progress import Display
from planet_jax.cli.run_folder import newest_checkpoint, read_config


def evaluate_run(directory: Path, episodes: int, agent: str, console: Console) -> np.ndarray:
    """Evaluates an agent on a run's task and prints every return.

    Args:
        directory: of the run; nothing in it is changed.
        episodes: of the evaluation.
        agent: 'planet' for the newest checkpoint, 'zero' or 'uniform' for one that looks at nothing.
        console: where to.

    Returns:
        returns, [episodes].

    Raises:
        FolderError: it is no run folder, or has no checkpoint that verifies.
        RuntimeError: images cannot be rendered here.
    """
    record = read_config(directory)
    run = runs.Run(*(record[name] for name in ('task', 'preset', 'seed', 'config')))
    root = keys.root(run.seed)[None]
    if agent in evaluation.BASELINES:
        returns = evaluation.evaluate_baseline(agent, run.task, run.config.env, root, episodes)[0]
        trained = ''
    else:
        steps = run.steps(slots=1)
        # Shapes only, so that nothing is compiled for them.
        like = jax.eval_shape(lambda root: runs.one_seed(steps.init(root)), root)
        restored, progress = newest_checkpoint(directory, like)
        params = jax.tree.map(lambda leaf: jax.device_put(leaf[None]), restored.learner.params)
        trained = f' after {len(progress["episodes"])} episodes and {progress["updates"]} updates'
        vector = evaluation.make_envs(run.task, run.config.env, episodes)
        try:
            with Display(console, episodes) as display:
                rounds = -(-episodes // vector.num_envs)
                display.phase('evaluating', rounds * run.spec().steps, 'steps')
                returns = evaluation.evaluate(steps.evaluate, steps.begin, vector, params, root, episodes,
                                              display.advance)[0]
        finally:
            vector.close()
    for number, value in enumerate(returns, 1):
        console.print(f'episode {number}: {value:.1f}', highlight=False)
    console.print(f'{run.task}, {agent} agent{trained}: mean {returns.mean():.1f}, standard deviation '
                  f'{returns.std():.1f}, from {returns.min():.1f} to {returns.max():.1f}', highlight=False,
                  soft_wrap=True)
    return returns
