"""Spreads seeds over devices: the same steps with [P] in front. Only this file deals with devices."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from planet_jax import planning, replay
from planet_jax.types import LearnerState, Metrics, Replay, Steps, TrainState, Trajectory


def _on_devices(function: Callable, devices: Sequence[jax.Device], seeds: int, donate: tuple[int, ...],
                options: dict[str, str] | None, many: Callable | None = None) -> Callable:
    """Compiles for leaves [P], which stay in place: one seed on a device unbatched, several by `many` or vmapped.

    Inside a transformation of the caller (`jit`, `scan`, `vmap`, `export`) the function becomes part of the caller's
    program, with the caller's device and compiler options, since XLA takes options for whole programs only.
    """

    def single(*arguments):
        # Inside the jit, which keeps the donation.
        outputs = function(*jax.tree.map(lambda leaf: leaf[0], arguments))
        return jax.tree.map(lambda leaf: leaf[None], outputs)

    mapped = (many or jax.vmap(function)) if seeds > len(devices) else single
    device: Any = contextlib.nullcontext
    if seeds > 1:
        axis = PartitionSpec('seed')
        mapped = jax.shard_map(mapped, mesh=Mesh(np.array(devices), ('seed',)), in_specs=axis, out_specs=axis,
                               check_vma=False)
    else:
        device = functools.partial(jax.default_device, devices[0])
    compiled, inner = jax.jit(mapped, donate_argnums=donate, compiler_options=options), jax.jit(mapped)

    def call(*arguments):
        if _within_a_trace(arguments):
            return inner(*arguments)
        with device():
            return compiled(*arguments)

    return call


def _in_turn(function: Callable) -> Callable:
    """Like `jax.vmap`, but one seed after the other. It copies the arguments."""
    return lambda *arguments: jax.lax.map(lambda given: function(*given), arguments)


def _cut_and_learn_in_turn(steps: Steps, learn: Callable, updates: int) -> Callable:
    """`learn` for several seeds in turn. Their chunks are cut first, so that no replay is copied."""

    def call(state, batches=None):
        if batches is None:
            draws = jax.vmap(functools.partial(steps.draw, updates=updates))(state)
            batches = jax.vmap(jax.vmap(replay.cut, (None, 0)))(state.replay, draws)
        learned, metrics = _in_turn(learn)(state.replace(replay=()), batches)
        return learned.replace(replay=state.replay), metrics

    return call


def _within_a_trace(arguments: Any) -> bool:
    """Whether a transformation of JAX is being traced, even if all arguments are constants of it."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in [*jax.tree.leaves(arguments), jnp.zeros(())])


class _HostReplay:
    """The functions of `Steps` for replays in the host's memory, NumPy arrays [P, N, ...] that are never copied.

    The key, the number of updates and the episodes decide which chunks the next call of `learn` draws. So a thread cuts
    and sends its batches while the device computes. An episode that is added meanwhile invalidates them.
    """

    def __init__(self, steps: Steps, compiled: Callable[..., Callable], seeds: int, in_turn: bool):
        """Args: the steps without batch axes, the compiler for the seeds, P, and whether seeds learn in turn."""
        self._steps, self._seeds = steps, seeds
        self._begin = compiled(lambda key: steps.init(key).replace(replay=()))
        self._draw = functools.cache(lambda updates: jax.jit(jax.vmap(functools.partial(steps.draw, updates=updates))))
        self._send = compiled(lambda batches: batches)
        self._learn = _of_any_length(steps, compiled, (lambda learn, updates: _in_turn(learn)) if in_turn else None)
        self._shares = compiled(lambda state, batches: steps.shares(state, jax.tree.map(lambda leaf: leaf[0], batches)))
        self._thread = ThreadPoolExecutor(1)
        self._ahead: tuple[Any, bytes, int, Future] | None = None

    def init(self, keys: jax.Array) -> TrainState:
        shapes = jax.eval_shape(self._steps.init, jax.ShapeDtypeStruct(keys.shape[1:], keys.dtype)).replay
        return self._begin(keys).replace(replay=jax.tree.map(
            lambda leaf: np.zeros((self._seeds, *leaf.shape), leaf.dtype), shapes))

    def learn(self, state: TrainState, updates: int | None = None) -> tuple[TrainState, Metrics]:
        """Learns; waits for the previous call, whose number of updates decides the chunks."""
        # Copies, since a view would keep the state from being donated.
        replays, known = state.replay, _counters(state)
        length = updates or self._steps.updates_per_call
        if self._ahead is None or self._ahead[0] is not replays or self._ahead[1:3] != (_bytes(known), length):
            self._cut_ahead(replays, known, length)
        batches = self._ahead[3].result()
        state, metrics = self._learn(state.replace(replay=()), batches, updates=length)
        done = known.learner.updates + length
        self._cut_ahead(replays, known.replace(learner=known.learner.replace(updates=done)), length)
        return state.replace(replay=replays), metrics

    def shares(self, state: TrainState) -> Metrics:
        """Cuts one batch and computes the shares."""
        return self._shares(state.replace(replay=()), self._batches(state.replay, _counters(state), 1))

    def add(self, state: TrainState, episodes: Trajectory) -> TrainState:
        """Writes the episodes into the arrays in place; the returned replays share them, with new counts."""
        added = [self._steps.add(TrainState(None, _of_seed(state.replay, seed), None), _of_seed(episodes, seed)).replay
                 for seed in range(self._seeds)]
        return state.replace(replay=tuple(
            Replay(stored.data, np.stack([new.count for new in of_seeds]))
            for stored, *of_seeds in zip(state.replay, *added)))

    def _cut_ahead(self, replays: tuple[Replay, ...], known: TrainState, updates: int) -> None:
        self._ahead = replays, _bytes(known), updates, self._thread.submit(self._batches, replays, known, updates)

    def _batches(self, replays: tuple[Replay, ...], known: TrainState, updates: int) -> Trajectory:
        """[P, updates, B, L, ...] on the devices of their seeds."""
        # Drawn on the CPU, since an accelerator would first finish its updates.
        with jax.default_device(jax.local_devices(backend='cpu')[0]):
            lengths = tuple(Replay(Trajectory(None, None, None, stored.data.length), stored.count)
                            for stored in replays)
            draws = jax.tree.map(np.asarray, self._draw(updates)(known.replace(replay=lengths)))
        cut = [replay.cut(_of_seed(replays, seed), _of_seed(draws, seed)) for seed in range(self._seeds)]
        return self._send(jax.tree.map(lambda *leaves: np.stack(leaves) if len(leaves) > 1 else leaves[0][None], *cut))


def _of_any_length(steps: Steps, compiled: Callable[..., Callable], in_turn: Callable[[Callable, int], Callable] | None,
                   ) -> Callable:
    """`learn` with the number of updates by name; each number compiles its own program.

    Args:
        steps: without batch axes.
        compiled: compiles for the seeds.
        in_turn: (learn, updates) -> the same for several seeds, one after the other; None to vmap it.
    """

    @functools.cache
    def programs(updates):
        learn = functools.partial(steps.learn, updates=updates)
        return compiled(learn, (0,), many=in_turn and in_turn(learn, updates))

    def learn(*arguments, updates=None):
        return programs(updates or steps.updates_per_call)(*arguments)

    return learn


def _of_seed(tree: Any, seed: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[seed], tree)


def _counters(state: TrainState) -> TrainState:
    """Copies of what decides the chunks: the key and the number of updates."""
    return jax.tree.map(np.array, state.replace(learner=LearnerState(None, None, state.learner.updates), replay=()))


def _bytes(tree: Any) -> bytes:
    return b''.join(leaf.tobytes() for leaf in jax.tree.leaves(tree))


def over_seeds(steps: Steps, devices: Sequence[jax.Device], seeds: int | None = None,
               placement: Literal['device', 'host'] = 'device') -> Steps:
    """Compiles the steps for several seeds.

    `random`, `act` and `evaluate` take keys, beliefs and observations with [P, E] in front; `add` takes episodes with
    [P, E]; everything else has [P]. `learn` and `add` donate the state. One seed on each device runs the
    unbatched program, so on a CPU it equals a single run bit for bit. Several on a device are vmapped, and equal to
    rounding only; on a CPU they learn one after the other.

    Args:
        steps: without batch axes.
        devices: to run on.
        seeds: P, a multiple of the number of devices; by default one on each.
        placement: of the replays, on the devices or in the host's memory; the numbers are the same, bit for bit.

    Raises:
        ValueError: there is no device, or P is not a multiple of their number.
    """
    seeds = len(devices) if seeds is None else seeds
    if not devices:
        raise ValueError('There is no device to run on.')
    if seeds < 1 or seeds % len(devices):
        raise ValueError(f'{seeds} seeds cannot be spread over {len(devices)} devices evenly: the number must be a '
                         f'multiple of {len(devices)}.')

    def compiled(function, donate=(), options=None, many=None):
        return _on_devices(function, devices, seeds, donate, options, many)

    def side_by_side(act):
        return compiled(jax.vmap(act, (None, 0, 0, 0)), options=planning.compiler_options(devices[0].platform))

    # An update uses all cores of a CPU. Vmapped, it takes more time and memory there than several in turn.
    in_turn = devices[0].platform == 'cpu'
    made = Steps(
        init=compiled(steps.init), begin=compiled(steps.begin), random=side_by_side(steps.random),
        act=side_by_side(steps.act), evaluate=side_by_side(steps.evaluate), draw=compiled(steps.draw),
        learn=_of_any_length(steps, compiled, functools.partial(_cut_and_learn_in_turn, steps) if in_turn else None),
        shares=compiled(steps.shares), add=compiled(steps.add, (0,)), updates_per_call=steps.updates_per_call)
    if placement == 'device':
        return made
    on_host = _HostReplay(steps, compiled, seeds, in_turn)
    return made._replace(  # It cuts the batches itself, so none can be given.
        init=on_host.init, learn=on_host.learn, shares=on_host.shares, add=on_host.add)  # type: ignore[arg-type]


def add_to_all(steps: Steps, state: TrainState, episodes: Trajectory) -> TrainState:
    """Adds the same episodes of one task to the replay of every seed, in order.

    Args:
        steps: with [P].
        state: with [P]; donated.
        episodes: with leading [E], NumPy arrays.
    """
    seeds = len(state.key)
    for number in range(len(episodes.length)):
        state = steps.add(state, jax.tree.map(
            lambda leaf, number=number: np.broadcast_to(leaf[number], (seeds, 1, *leaf.shape[1:])), episodes))
    return state


def rounds(seeds: Sequence[int], devices: int, seeds_per_device: int) -> Iterator[list[int]]:
    """Splits seeds into groups that run at once: multiples of the devices, then a smaller remainder.

    Args:
        seeds: all seeds.
        devices: their number.
        seeds_per_device: most seeds on each device.
    """
    left = list(seeds)
    while left:
        size = min(seeds_per_device, len(left) // devices) * devices or len(left)
        yield left[:size]
        left = left[size:]
