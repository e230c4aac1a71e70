"""A run, and how its parts are made: shared by `train`, `evaluate` and `info`."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import numpy as np

from planet_jax import algorithm, config, envs, machine
from planet_jax.config import Spec
from planet_jax.networks import make_world_model
from planet_jax.runs.devices import available_devices, device_name, flags, memory_bytes
from planet_jax.seeds import over_seeds
from planet_jax.types import Steps, TrainState, WorldModel

QUICK: dict[str, Any] = {'xla_backend_optimization_level': 0, 'xla_llvm_disable_expensive_passes': True}
"""Options of XLA for a program that is run once on a CPU, as `jax_disable_most_optimizations` sets them."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One seed of one agent on one or several tasks, and its configuration.

    Attributes:
        task: name of the task, or several names as `envs.resolve_several` takes them.
        preset: that the configuration started from.
        seed: of every random number.
        config: the settings, resolved.
    """

    task: str
    preset: str
    seed: int
    config: config.Config

    def __post_init__(self):
        envs.resolve_several(self.task)
        if not 0 <= self.seed < 2**32:
            raise ValueError(f'The seed is {self.seed}, but must be 0 to {2**32 - 1}: the nearest valid value is '
                             f'{min(max(self.seed, 0), 2**32 - 1)}.')

    @property
    def identity(self) -> dict[str, Any]:
        """The part of `config.json` that identifies the run, found without touching a device."""
        return {'task': self.task, 'preset': self.preset, 'seed': self.seed, 'config': self.config}

    def record(self) -> dict[str, Any]:
        """The content of `config.json`, with a `Config` as its 'config'."""
        return self.identity | {
            'action_repeat': self.action_repeats, 'versions': machine.versions(),
            'device': device_name(), 'commit': machine.commit(), 'flags': flags(),
        }

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks that the agent learns."""
        return tuple(task.name for task in envs.resolve_several(self.task)[1])

    @property
    def action_repeats(self) -> dict[str, int]:
        """R of each task, environment steps per agent step."""
        return {name: self.config.env.action_repeat or envs.resolve(name).action_repeat for name in self.tasks}

    @property
    def colour(self) -> float:
        """Exponent of the planner's noise: the task's own, or the default where several tasks differ."""
        colours = {envs.resolve(name).colour for name in self.tasks}
        return colours.pop() if len(colours) == 1 else envs.Task.colour

    @property
    def correlation(self) -> float:
        """Correlation of the collector's noise over an agent step: the task's own, or the least of several tasks."""
        return min(envs.resolve(name).correlation ** repeat for name, repeat in self.action_repeats.items())

    @property
    def spec(self) -> Spec:
        """The spec that covers all tasks; T is that of the longest."""
        return _spec(self.tasks, self.config.env)

    @property
    def task_steps(self) -> tuple[int, ...]:
        """T of each task, agent steps."""
        return tuple(_spec((name,), self.config.env).steps for name in self.tasks)

    def steps(self, slots: int, seeds: int = 1, devices: Sequence[jax.Device] | None = None,
              placement: Literal['device', 'host'] = 'device') -> Steps:
        """The compiled steps of this run, with [P] in front.

        Args:
            slots: N, episodes of each task that the replay holds.
            seeds: P.
            devices: that the seeds are spread over; by default the first one.
            placement: of the replays.
        """
        return over_seeds(
            algorithm.make_steps(self.config, self.spec, slots=slots, updates_per_call=self.updates_per_call,
                                 task_steps=self.task_steps, colour=self.colour, correlation=self.correlation),
            devices or available_devices()[:1], seeds, placement)

    @property
    def model(self) -> WorldModel:
        """The world model, for use besides the steps."""
        return make_world_model(self.config.model, self.spec)

    def compiled(self, function: Callable, once: bool = False) -> Callable:
        """Compiles a function of the model with the precision of the steps.

        Args:
            function: of arrays.
            once: whether it is called so rarely that compiling takes longer: on a CPU it is then optimized less, which
                changes numbers by rounding.
        """

        def run(*arguments):
            with jax.default_matmul_precision(self.config.model.precision):
                return function(*arguments)

        quick = once and available_devices()[0].platform == 'cpu'
        return jax.jit(run, compiler_options=QUICK if quick else None)

    @property
    def updates_per_call(self) -> int:
        """Updates in one call of `learn`: as configured, or 1 on a CPU and elsewhere C's largest divisor up to 10."""
        if self.config.learner.updates_per_call:
            return self.config.learner.updates_per_call
        if available_devices()[0].platform == 'cpu':
            return 1
        return max(n for n in range(1, 11) if self.config.collector.interval(1) % n == 0)

    def episode_bytes(self, episodes: int) -> int:
        """Bytes of a replay with this many episodes of each task."""
        parts = self.spec.parts or (('', *self.spec[:2]),)
        seen = sum(math.prod(shape) * np.dtype(dtype).itemsize for _, shape, dtype in parts)
        row = seen + 4 * self.spec.action_size + 4
        rows = sum(max(steps + 1, self.config.learner.chunk_length) for steps in self.task_steps)
        return episodes * rows * row

    def place_replay(self, slots: int, seeds: int = 1, devices: Sequence[jax.Device] | None = None,
                     ) -> tuple[Literal['device', 'host'], int]:
        """Chooses where the replays are, as configured, and checks that they fit there.

        Args:
            slots: N, episodes of each task.
            seeds: P.
            devices: that the seeds are spread over; by default the first one.

        Returns:
            the place, and the bytes that they take there.

        Raises:
            ValueError: the memory is too small. The message says how many episodes fit.
        """
        devices = devices or available_devices()[:1]
        accelerated = devices[0].platform != 'cpu'
        # The devices of one CPU share the host's memory.
        needed = {'device': seeds * self.episode_bytes(slots) // (len(devices) if accelerated else 1),
                  'host': seeds * self.episode_bytes(slots)}
        memory = {'device': memory_bytes(), 'host': memory_bytes(host=True)}

        def fit(place, share):
            return not memory[place] or needed[place] <= share * memory[place]

        place = self.config.replay.placement
        if place == 'auto':
            # The updates need the other half of an accelerator's memory.
            place = 'host' if accelerated and not fit('device', 0.5) and fit('host', 0.8) else 'device'
        if not fit(place, 0.8):
            fitting = int(0.8 * memory[place] / needed[place] * slots)
            other = accelerated and place == 'device' and fit('host', 0.8)
            elsewhere = ', or use --replay.placement host' if other else ''
            raise ValueError(f'The replay of {slots} episodes takes {needed[place] / 1e9:.1f} GB, but there are '
                             f'{memory[place] / 1e9:.1f} GB of memory on the {place}: set --replay.capacity to '
                             f'{fitting} at most, and the oldest episodes are dropped{elsewhere}.')
        return place, needed[place]


@functools.lru_cache
def _spec(tasks: tuple[str, ...], settings: config.Env) -> Spec:
    return envs.spec(tasks, settings)


def one_seed(state: TrainState, index: int = 0) -> TrainState:
    """The state of one seed, without [P] and without the replay, which is large."""
    return jax.tree.map(lambda leaf: leaf[index], state.replace(replay=None))
