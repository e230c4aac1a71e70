"""One arm of `experiments.study`: the episodes as the model sees them, its training, and its measurements."""

import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import study_arms, study_data
from planet_jax import config as settings_of
from planet_jax import keys, machine, measures, seeds
from planet_jax.algorithm import make_steps
from planet_jax.config import Config, Spec
from planet_jax.networks import make_world_model
from planet_jax.storage import episodes
from planet_jax.types import Params, Trajectory, WorldModel

OBSERVATIONS = ('pixels', 'state', 'hidden')
"""What the model sees."""
SIGHT = 1.6
"""Metres from the middle of the rail beyond which `hidden` shows nothing of cartpole."""
MEASURED = 8
"""Training episodes that are measured beside the held-out ones."""
HORIZON = 12
"""Agent steps that are predicted open loop, those of the planner."""


def load(folder: Path, task: str, observation: str) -> tuple[Spec, Trajectory, Trajectory]:
    """The episodes of a task.

    Returns:
        what the model must know of them, those to learn from and those held out, each with leading [E].

    Raises:
        ValueError: there are none of one kind, or a file is damaged.
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
    """Position and the angle's cosine and sine, all zero where the cart is out of sight."""
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
    config, own = study_arms.configure(settings, observation)
    config = config.resolve()
    device = jax.devices()[0]
    each = updates // measurements
    per_call = 1 if device.platform == 'cpu' else math.gcd(each, 25)
    model = make_world_model(config.model, spec)
    steps = make_steps(config, spec, slots=len(training.length), updates_per_call=per_call)
    if own['shift']:
        steps = study_arms.shifted(steps, own['shift'])
    steps = seeds.over_seeds(steps, [device], len(numbers))
    state = steps.init(jnp.stack([keys.root(number) for number in numbers]))
    for number in range(len(training.length)):
        state = steps.add(state, jax.tree.map(
            lambda leaf, number=number: np.broadcast_to(leaf[number], (len(numbers), 1, *leaf.shape[1:])), training))
    measure = make_measure(model, config, training, held_out)
    curve, seconds = [[] for _ in numbers], []
    while (done := int(state.learner.updates[0])) < each * measurements:
        began = time.perf_counter()
        state, metrics = steps.learn(state)
        loss = np.asarray(metrics['loss'])
        seconds.append(time.perf_counter() - began)
        done += per_call
        if done % each == 0:
            for index, found in enumerate(curve):
                params = jax.tree.map(lambda leaf, index=index: leaf[index], state.learner.params)
                found.append({'updates': done, 'loss': float(loss[index].mean())} | measure(params))
    for number, found in zip(numbers, curve):
        yield {
            'seed': number, 'seeds_at_once': len(numbers), 'updates': updates, 'rows': int(
                config.learner.batch * config.learner.chunk_length),
            'parameters': sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(state.learner.params)),
            # The first calls compile.
            'milliseconds': 1000 * float(np.median(seconds[len(seconds) // 4:])) / per_call,
            'device': device.device_kind, 'machine': machine.processor(), 'versions': machine.versions(),
            'commit': machine.commit(), 'settings': [*study_arms.BASE, *settings],
            'config': settings_of.to_dict(config),
            'episodes': {'training': len(training.length), 'held_out': len(held_out.length)}, 'curve': found}


def make_measure(model: WorldModel, config: Config, training: Trajectory, held_out: Trajectory,
                 ) -> Callable[[Params], dict[str, dict[str, Any]]]:
    """What is told of a model.

    Returns:
        params -> `measures.of_episodes` of the `held_out` and of as many of the `training` episodes, as plain values;
        with the former `r2_mean`, for rollouts that follow the prior's mean.
    """
    key = keys.stream(keys.root(0), 'measure')
    mean = jax.jit(functools.partial(measures.data_mean, model))(key, training)
    count = min(MEASURED, len(training.length), len(held_out.length))
    held_out, training = (jax.tree.map(lambda leaf: leaf[:count], data) for data in (held_out, training))
    options = dict(free_nats=config.objective.free_nats, horizon=HORIZON)

    @jax.jit
    def of(params, episodes, quiet):
        return measures.of_episodes(measures.without_noise(model, quiet), params, key, episodes, mean, **options)

    def call(params):
        held, seen, still = (jax.tree.map(_plain, of(params, *arguments)) for arguments in (
            (held_out, False), (training, False), (held_out, True)))
        return {'held_out': held | {'r2_mean': still['r2']}, 'training': seen}

    return call


def _plain(array):
    """Six digits are enough."""
    array = np.asarray(array)
    return [float(f'{value:.6g}') for value in array.tolist()] if array.ndim else float(f'{array:.6g}')
