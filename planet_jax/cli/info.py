"""`planet-jax info`: what is installed, and what a run is."""

from pathlib import Path

import numpy as np
from rich.console import Console

from planet_jax.cli import runs
from planet_jax.cli.progress import duration
from planet_jax.cli.run_folder import checkpoints, read_config, read_lines


def describe_installation(console: Console) -> None:
    """Versions and devices."""
    for package, version in runs.versions().items():
        console.print(f'{package:<18}{version}', highlight=False)
    memory = runs.memory_bytes()
    for device in runs.available_devices():
        told = f', {memory / 1e9:.0f} GB of memory' if memory else ''
        console.print(f'{"device":<18}{device.platform}: {runs.device_name(device)}{told}', highlight=False,
                      markup=False, soft_wrap=True)


def describe_run(directory: Path, console: Console) -> None:
    """How far a run is, its scores, and where its time went.

    Raises:
        FolderError: it is no run folder.
    """
    record = read_config(directory, trust_task=True)
    metrics = read_lines(directory / 'metrics.jsonl')
    evaluations = read_lines(directory / 'evaluations.jsonl')

    def line(name, text):
        console.print(f'{name:<12}{text}', highlight=False, markup=False, soft_wrap=True)

    repeats = record['action_repeat']
    told = ', '.join(f'{task} {repeat}' for task, repeat in repeats.items()) if len(repeats) > 1 else (
        *repeats.values(),)[0]
    line('task', f'{record["task"]}, action repeat {told}')
    line('method', f'{record["config"].model.cell}, preset {record["preset"]}, seed {record["seed"]}')
    line('made by', f'planet-jax {record["versions"]["planet-jax"]}, commit {record["commit"]}, jax '
                    f'{record["versions"]["jax"]} on {record["device"]}')
    if metrics:
        last = metrics[-1]
        line('progress', f'{last["episodes"]} episodes, {last["env_steps"]} environment steps, {last["updates"]} '
                         'updates')
        spent = {name: value for name, value in last['seconds'].items() if not name.endswith('_each')}
        line('time', ', '.join(f'{name} {duration(value)}' for name, value in spent.items()))
    else:
        line('progress', 'no episode yet')
    for evaluation in evaluations:
        returns = np.array(evaluation['returns'])
        on = f' on {evaluation["task"]}' if len(repeats) > 1 else ''
        line('score', f'{evaluation["agent"]}{on} after {evaluation["episodes"]} episodes: {returns.mean():.1f}, from '
                      f'{returns.min():.1f} to {returns.max():.1f} over {len(returns)} episodes')
    kept = checkpoints(directory)
    line('checkpoint', kept[-1].name if kept else 'none yet')
