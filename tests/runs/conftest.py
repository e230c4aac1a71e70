"""A training without a model: steps count instead of learning, the task is arithmetic, folders are real."""

import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import config, envs, keys, replay
from planet_jax.runs.run import Run
from planet_jax.runs.training.clock import Clock
from planet_jax.runs.training.evaluator import Evaluator
from planet_jax.runs.training.progress import Seed
from planet_jax.runs.training.reporter import Reporter
from planet_jax.runs.training.resume import restore
from planet_jax.runs.training.stop import Stopped
from planet_jax.runs.training.trainer import Trainer
from planet_jax.storage.run_folder import RunFolder
from planet_jax.types import Belief, Latent, LearnerState, Steps, TrainState

EPISODES = 6
PRESET = config.preset('debug')
CONFIG = dataclasses.replace(
    PRESET, env=dataclasses.replace(PRESET.env, observation='state', steps=3),
    evaluation=dataclasses.replace(PRESET.evaluation, open_loop=False))


def make_steps(run, seeds, slots, updates_per_call, is_bad):
    """Steps with [P] in front, in NumPy: parameters are the sum of the numbers of all updates."""
    spec, settings = run.spec, run.config.learner

    def init(roots):
        store = replay.init(spec, slots * len(run.tasks), settings.chunk_length)
        stacked = jax.tree.map(lambda leaf: np.array(np.broadcast_to(leaf, (seeds, *leaf.shape))), store)
        params = {'sum': np.zeros(seeds, np.float32)}
        collecting = params if run.config.collector.while_learning else None
        return TrainState(LearnerState(params, (), np.zeros(seeds, np.int32), collecting=collecting), (stacked,),
                          np.asarray(roots))

    def begin(params):
        nothing = np.zeros((seeds, 0))
        return Belief(Latent(*[nothing] * 4), np.zeros((seeds, spec.action_size), np.float32), np.zeros(seeds))

    def act(params, step_keys, belief, observation):
        action = 0.1 + np.asarray(params['sum']) / 1000
        return belief.replace(action=np.broadcast_to(action[:, None, None], belief.action.shape).astype(np.float32))

    def learn(state, updates=None):
        numbers = state.learner.updates[:, None] + np.arange(updates or updates_per_call)
        skipped = np.array([[is_bad(seed, number) for number in row] for seed, row in enumerate(numbers)], float)
        learner = state.learner.replace(params={'sum': np.float32(state.learner.params['sum'] + numbers.sum(1))},
                                        updates=state.learner.updates + np.int32(numbers.shape[1]))
        return state.replace(learner=learner), {'loss': np.where(skipped, np.nan, numbers * 1.0), 'skipped': skipped}

    def add(state, episodes):
        tasks = [jax.tree.map(lambda leaf, task=task: leaf[:, task], episodes) for task in range(len(run.tasks))]
        store = state.replay[0]
        for episode in tasks:
            each = [replay.add(*(jax.tree.map(lambda leaf, seed=seed: leaf[seed], tree) for tree in (store, episode)))
                    for seed in range(seeds)]
            store = jax.tree.map(lambda *leaves: np.stack(leaves), *each)
        return state.replace(replay=(store,))

    return Steps(init=init, begin=begin, random=act, act=act, evaluate=act, draw=None, learn=learn,
                 shares=lambda state: {}, add=add,
                 updates_per_call=updates_per_call)


class Told(Reporter):
    """Keeps what it is told: (name, arguments)."""

    def __init__(self):
        self.events = []

    def __getattribute__(self, name):
        if name in ('note', 'phase', 'resumed', 'baselines', 'faults', 'evaluation', 'evaluated', 'episode', 'paces'):
            return lambda *arguments, **named: self.events.append((name, *arguments, *named.values()))
        return super().__getattribute__(name)

    def named(self, name):
        return [event for event in self.events if event[0] == name]


class StopAfter:
    """Stops a training after a number of checks."""

    def __init__(self, checks=None):
        self.checks = checks

    def check(self):
        if self.checks is not None:
            self.checks -= 1
            if self.checks < 0:
                raise Stopped

    def seconds_left(self):
        return None


@pytest.fixture
def world(tmp_path):
    """Makes a trainer in the folders of its seeds, as a new process would, and closes the folders at the end."""
    opened = []

    def make(numbers=(0,), updates_per_call=1, task='toy_point', episodes=EPISODES, stop=None, folder='runs',
             is_bad=lambda seed, number: False, drop_bad=False, learner=(), evaluation=(), collector=(), **settings):
        for seed in opened:
            seed.folder.close()
        changed = dataclasses.replace(
            CONFIG, learner=dataclasses.replace(CONFIG.learner, **dict(learner)),
            evaluation=dataclasses.replace(CONFIG.evaluation, **dict(evaluation)),
            collector=dataclasses.replace(CONFIG.collector, **dict(collector)),
            replay=config.Replay(**settings))
        runs = [Run(task, 'debug', number, changed) for number in numbers]
        seeds = [Seed(run, RunFolder(tmp_path / folder / task / 'rssm-debug' / str(run.seed), run.record()))
                 for run in runs]
        opened[:] = seeds
        slots = changed.replay.capacity or episodes
        steps = make_steps(runs[0], len(seeds), slots, updates_per_call, is_bad)
        state, told = steps.init(jnp.stack([keys.root(number) for number in numbers])), Told()
        restored = restore(seeds, state, steps, runs[0].spec, slots, drop_bad, told.note)
        return Trainer(seeds, restored or state, steps, envs.make_vector(runs[0].tasks * len(seeds), changed.env),
                       Evaluator(seeds, steps, episodes, told), Clock(seeds[0].progress.seconds), StopAfter(stop), told,
                       runs[0].spec, episodes, checkpoint_minutes=60, replay_on_device=False)

    yield make
    for seed in opened:
        seed.folder.close()


@pytest.fixture
def run_to_end():
    """Trains and saves; whether it came to its end."""
    def run(trainer):
        try:
            trainer.train()
            return True
        except Stopped:
            return False
        finally:
            trainer.save()
            trainer.evaluator.close()
            trainer.saved = time.monotonic()
    return run
