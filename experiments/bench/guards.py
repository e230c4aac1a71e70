"""The cost of a run's guards: their seconds in each episode, divided by the seconds of the episode.

A short run is trained in this process, with a clock around every function that does nothing but check or make certain,
and with a checkpoint after every episode. What an update checks is inside its compiled program, so the same check is
compiled and timed by itself.
"""

import contextlib
import functools
import json
import math
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import optax
import tyro

from experiments.bench import results
from experiments.bench.meter import Meter
from experiments.bench.options import Options
from planet_jax import envs, keys, networks
from planet_jax.cli.main import main as planet_jax
from planet_jax.cli.values import REGISTRY
from planet_jax.config import preset
from planet_jax.envs import spaces
from planet_jax.runs.training import process as training
from planet_jax.runs.training import progress
from planet_jax.storage import checkpoint, episodes, run_folder

WATCHED = {
    'actions and rewards of environments': [(spaces, 'check_action'), (math, 'isfinite')],
    'digests of episodes': [(episodes, 'digest')],
    'digests of checkpoints': [(checkpoint, '_digests')],
    'reading checkpoints back': [(checkpoint, '_check_saved')],
    'forcing files to disk': [(os, 'fsync')],
    'space on the disk': [(progress, 'check_space'), (training, 'check_space')],
    'locks and links of the run folder': [(run_folder.RunFolder, '__init__')],
}
"""Guarding functions, by the fault they guard against."""


@dataclass(frozen=True)
class Guards(Options):
    """Time the guards of a run."""

    size: Literal['planet', 'cpu', 'debug'] = 'cpu'
    """Preset that is measured."""
    task: str = 'cartpole_swingup'
    """Any task."""
    episodes: int = 3
    """Episodes collected after the seed episodes."""


@contextlib.contextmanager
def clocks(seconds: dict[str, float]):
    """Adds up the seconds of each watched function. A nested call counts once."""
    inside = [False]

    def timed(function, name):
        @functools.wraps(function)
        def call(*arguments, **settings):
            if inside[0]:
                return function(*arguments, **settings)
            inside[0], begun = True, time.perf_counter()
            try:
                return function(*arguments, **settings)
            finally:
                inside[0] = False
                seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begun
        return call

    originals = [(place, attribute, getattr(place, attribute), name)
                 for name, functions in WATCHED.items() for place, attribute in functions]
    for place, attribute, function, name in originals:
        setattr(place, attribute, timed(function, name))
    try:
        yield
    finally:
        for place, attribute, function, _ in originals:
            setattr(place, attribute, function)


def check(params, opt_state, gradient):
    """The work of `learner.make_update` besides the update itself; clipping needs the norm too."""
    good = jnp.isfinite(optax.tree.norm(gradient))
    return jax.lax.cond(good, lambda: (params, opt_state), lambda: (gradient, opt_state))


def check_seconds(options: Guards, meter: Meter) -> float:
    """Seconds of one update."""
    config = preset(options.size).resolve()
    params = networks.make_world_model(config.model, envs.spec(options.task, config.env)).init(keys.root(0))
    program = jax.jit(check)
    return meter.time(lambda: program(params, (params, params), params), options.repeats)['seconds']


def main(options: Guards) -> None:
    """Measures and reports."""
    settings, seconds = preset(options.size), {}
    collector = settings.collector
    count = collector.seed_episodes + options.episodes
    with tempfile.TemporaryDirectory() as folder, clocks(seconds):
        status = planet_jax(['train', '--task', options.task, '--preset', options.size, '--logdir', folder,
                             '--episodes', str(count), '--checkpoint-minutes', '0',
                             '--collector.while-learning', 'False'])
        [metrics] = Path(folder).rglob('metrics.jsonl')
        last = json.loads(metrics.read_text().splitlines()[-1])
    if status:
        raise RuntimeError('The run did not end well: see what it printed.')
    meter = Meter(options.size)
    interval = collector.interval(1)
    guards = {name: value / count for name, value in seconds.items()}
    guards['finite loss and gradient'] = interval * check_seconds(options, meter)
    episode = interval * last['seconds']['learn_each'] + last['seconds']['collect_each']
    results.finish('guards', options, meter, [
        {'row': name, 'seconds': value, 'percent': 100 * value / episode}
        for name, value in {**guards, 'all guards': sum(guards.values()), 'an episode': episode}.items()])


if __name__ == '__main__':
    main(tyro.cli(Guards, registry=REGISTRY))
