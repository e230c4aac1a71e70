"""One arm of `experiments.study`: the episodes as the model sees them, its training, and its measurements."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import study_arms, study_data
from planet_jax import config as settings_of
from planet_jax import machine
from planet_jax.config import Spec
from planet_jax.runs import devices, fitting
from planet_jax.runs.measuring import HORIZON as HORIZON
from planet_jax.storage import episodes
from planet_jax.types import Trajectory

OBSERVATIONS = ('pixels', 'state', 'hidden')
"""The kinds of observations."""
SIGHT = 1.6
"""Metres from the middle of the rail beyond which `hidden` observations are zero."""


def load(folder: Path, task: str, observation: str) -> tuple[Spec, Trajectory, Trajectory]:
    """The episodes of a task.

    Returns:
        what the model must know of them, those to learn from and those held out, each with leading [E].

    Raises:
        ValueError: there are no training or no held-out episodes, or a file is damaged.
    """
    paths = sorted((folder / task / ('pixels' if observation == 'pixels' else 'state')).glob('*.npz'))
    if not any(study_data.held_out(int(path.stem)) for path in paths):
        raise ValueError(f'{folder / task} has no held-out episodes: make them by python -m experiments.study_data '
                         f'--task {task} --out {folder}.')
    with np.load(paths[0]) as first:
        spec = Spec(first['observation'].shape[1:], str(first['observation'].dtype), first['action'].shape[1],
                    len(first['reward']) - 1)
    read = [(study_data.held_out(int(path.stem)), episodes.read(path, spec)) for path in paths]
    training, held_out = (jax.tree.map(lambda *leaves: np.stack(leaves), *(
        episode for held, episode in read if held == wanted)) for wanted in (False, True))
    if observation != 'hidden':
        return spec, training, held_out
    return spec._replace(observation_shape=(3,)), _hide(training), _hide(held_out)


def _hide(data: Trajectory) -> Trajectory:
    """Position and the angle's cosine and sine, all zero while the cart is out of sight."""
    position = data.observation[..., :3]
    return data.replace(observation=np.where(np.abs(position[..., :1]) > SIGHT, 0, position).astype(np.float32))


def run(settings: Sequence[str], observation: str, spec: Spec, training: Trajectory, held_out: Trajectory,
        numbers: Sequence[int], updates: int, measurements: int) -> Iterator[dict[str, Any]]:
    """Trains an arm with several seeds at once.

    Args:
        settings: of the arm.
        observation: pixels, state or hidden.
        spec: of the episodes.
        training: to learn from, with leading [E].
        held_out: to test with, with leading [E].
        numbers: the seeds.
        updates: of each.
        measurements: on the way, the last one at the end.

    Yields:
        for each seed a record of plain values, as JSON keeps it.
    """
    config = study_arms.configure(settings, observation).resolve()
    curve, point = [[] for _ in numbers], None
    for point in fitting.points(config, spec, training, held_out, numbers, updates // measurements,
                                updates // measurements * measurements):
        for found, loss, measured in zip(curve, point.loss, point.measured):
            found.append({'updates': point.updates, 'loss': loss} | measured)
    device = devices.available_devices()[0]
    for number, found in zip(numbers, curve):
        yield {
            'seed': number, 'seeds_at_once': len(numbers), 'updates': updates, 'rows': int(
                config.learner.batch * config.learner.chunk_length),
            'parameters': sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(point.state.learner.params)),
            # The first calls compile.
            'milliseconds': 1000 * float(np.median(point.seconds[len(point.seconds) // 4:])) / point.per_call,
            'device': device.device_kind, 'machine': machine.processor(), 'versions': machine.versions(),
            'commit': machine.commit(), 'settings': [*study_arms.BASE, *settings],
            'config': settings_of.to_dict(config),
            'episodes': {'training': len(training.length), 'held_out': len(held_out.length)}, 'curve': found}
