"""Algorithm 1 of the paper: collect, learn, plan."""

import dataclasses
import functools
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Literal, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from planet_jax import agent, collector, keys, learner, replay
from planet_jax.config import Collector, Config, Spec
from planet_jax.networks import make_world_model
from planet_jax.types import LearnerState, Steps, TrainState, Trajectory


class Unit(NamedTuple):
    """A unit of training: updates, or one episode of each task.

    Attributes:
        state: after the unit. The next unit donates it, so keep none of its arrays.
        metrics: of updates, [P, updates] each, and with the last before an episode `Steps.shares`, [P, 1]; of
            an episode, the planner's expected return [P, E].
        episodes: [P, E, T+1, ...], or None after updates.
    """

    state: TrainState
    metrics: dict[str, np.ndarray]
    episodes: Trajectory | None


def make_steps(config: Config, spec: Spec, *, slots: int, updates_per_call: int, task_steps: Sequence[int] = (),
               colour: float = 2.0, correlation: float = 0.0) -> Steps:
    """The agent and its learning as pure functions.

    Args:
        config: of the run.
        spec: of the environments.
        slots: N, episodes of each task that the replay holds.
        updates_per_call: updates in one call of `learn`; the last one before an episode may be shorter.
        task_steps: T of each of several tasks.
        colour: of the planners' noise, unless the configuration sets it.
        correlation: of the collector's noise, if the configuration leaves it to the task.

    Raises:
        ValueError: the planner's method does not support the actions.
        RuntimeError: JAX is in a mode that changes every number, see `keys.check_modes`.
    """
    keys.check_modes()
    config = config.resolve()
    collecting = config.collector
    if collecting.correlation is None:
        collecting = dataclasses.replace(collecting, correlation=correlation)
    model = make_world_model(config.model, spec)
    optimizer = learner.make_optimizer(config.learner)
    settings, places = agent.planners_of(config)
    planners = [agent.make_planner(model, each, spec.action_size, colour, spec.choices) for each in settings]
    explorations = agent.exploration(collecting, spec.choices), None
    act, evaluate = (agent.make_act(model, planners[place].plan, explore, place)
                     for place, explore in zip(places, explorations))
    random = agent.random(collecting, spec.action_size, spec.choices)
    task_steps = tuple(task_steps) or (spec.steps,)
    distinct_steps = sorted(set(task_steps))

    def init(key):
        params = model.init(keys.stream(key, 'parameters'))
        replays = tuple(
            replay.init(spec._replace(steps=steps), slots * task_steps.count(steps), config.learner.chunk_length)
            for steps in distinct_steps)
        average, collecting_params = (jax.tree.map(jnp.copy, params) if asked else None
                                      for asked in (config.learner.average, collecting.while_learning))
        return TrainState(LearnerState(params, optimizer.init(params), jnp.zeros((), jnp.int32), average,
                                       collecting_params), replays, key)

    def begin(params):
        del params
        return agent.begin(model, spec.action_size, planners, bool(collecting.correlation))

    def add(state, episodes):
        replays = list(state.replay)
        for task, steps in enumerate(task_steps):
            # All episodes are padded to the longest; only padding is cut off.
            episode = jax.tree.map(lambda leaf, task=task, rows=steps + 1: leaf[task][:rows] if leaf.ndim > 1
                                   else leaf[task], episodes)
            index = distinct_steps.index(steps)
            replays[index] = replay.add(replays[index], episode)
        return state.replace(replay=tuple(replays))

    def with_precision(function):
        def run(*arguments, **options):
            with jax.default_matmul_precision(config.model.precision):
                return function(*arguments, **options)
        return run

    update = learner.make_update(model, optimizer, config.objective, config.learner)
    return Steps(**{name: with_precision(function) for name, function in dict(
        init=init, begin=begin, random=random,
        act=random if config.collector.agent == 'random' else act, evaluate=evaluate,
        draw=learner.make_draw(config.learner, updates_per_call),
        learn=learner.make_learn(update, config.learner, updates_per_call),
        shares=learner.make_shares(model, config.objective, config.learner), add=add).items()},
        updates_per_call=updates_per_call)


def train(steps: Steps, envs: gymnasium.vector.VectorEnv, state: TrainState, config: Config, *,
          report: Callable[[int], None] = lambda step: None) -> Iterator[Unit]:
    """Algorithm 1 from any state, without end.

    The counters in the state decide what comes next, so training can stop after any unit and continue later.
    With `collector.while_learning` the first C updates come alone. From then on a thread makes C updates during each
    episode, and they are a unit before it.

    Args:
        steps: with [P] in front, from `seeds.over_seeds`.
        envs: P * E training environments, E tasks for each seed.
        state: with [P] in front; donated.
        config: of the run.
        report: called with the agent steps done while an episode is collected; what it raises ends the training, after
            a unit of the updates that were made meanwhile.
    """
    tasks = envs.num_envs // len(state.key)
    while True:
        rounds = int(replay.episodes(state.replay)[0]) // tasks
        updates = int(state.learner.updates[0])
        match due(rounds, updates, config.collector, tasks):
            case 'learn':  # Lines 3 to 6: draw chunks, descend the gradient of the bound.
                state, metrics = _learn(steps, state, owed(rounds, config.collector, tasks) - updates)
                yield Unit(state, metrics, None)
                continue
            case 'seed':  # Line 1: seed episodes with random actions.
                act = steps.random
            case 'collect':  # Lines 7 to 14: filter, plan, explore.
                act = steps.act
        collect = functools.partial(collector.collect, act, steps.begin, envs,
                                    keys=episode_keys(state, 'collect', tasks), report=report)
        if updates and config.collector.while_learning:
            state, (episodes, expected) = yield from _collect_while_learning(
                steps, state, collect, begins=updates == owed(rounds, config.collector, tasks),
                left=owed(rounds + 1, config.collector, tasks) - updates, report=report)
        else:
            episodes, expected = collect(params=state.learner.acting)
        state = steps.add(state, episodes)  # Line 15.
        yield Unit(state, {'expected_return': expected}, episodes)


def _collect_while_learning(steps: Steps, state: TrainState, collect: Callable, begins: bool, left: int,
                            report: Callable[[int], None],
                            ) -> Generator[Unit, None, tuple[TrainState, tuple[Trajectory, np.ndarray]]]:
    """An episode of each task, and updates in a thread meanwhile, which are a unit.

    What ends the collection also ends the updates, after that unit. A later call then collects the same episode again,
    by the parameters that the state keeps.

    Args:
        steps: with [P] in front.
        state: donated.
        collect: params -> episodes and expected returns.
        begins: whether no update was made yet during this episode.
        left: updates to make, not more.
        report: called with agent steps done, also while the last updates are waited for.

    Returns:
        the state, and what `collect` returned.
    """
    if begins:
        state = state.replace(learner=state.learner.replace(
            collecting=jax.tree.map(jnp.copy, state.learner.acting)))
    params = jax.tree.map(jnp.copy, state.learner.collecting)  # The updates donate those of the state.
    asked = threading.Event()
    pool = ThreadPoolExecutor(1)
    learning = pool.submit(_learn_until, asked, steps, state, left)
    pool.shutdown(wait=False)
    try:
        collected = collect(params=params)
        while not learning.done():
            report(collected[0].reward.shape[-1] - 1)
            wait([learning], timeout=0.1)
    except BaseException:
        asked.set()
        state, metrics = learning.result()
        if metrics:
            yield Unit(state, metrics, None)
        raise
    state, metrics = learning.result()
    if metrics:
        yield Unit(state, metrics, None)
    return state, collected


def _learn_until(asked: threading.Event, steps: Steps, state: TrainState, left: int,
                 ) -> tuple[TrainState, dict[str, np.ndarray]]:
    """`left` updates, or fewer if asked to end; the state, and the metrics of a `Unit`, empty without an update."""
    made: dict[str, list[np.ndarray]] = {}
    while left and not asked.is_set():
        state, metrics = _learn(steps, state, left)
        for name, values in metrics.items():
            made.setdefault(name, []).append(values)
        left -= metrics['loss'].shape[1]
    return state, {name: np.concatenate(values, 1) for name, values in made.items()}


def _learn(steps: Steps, state: TrainState, left: int) -> tuple[TrainState, dict[str, np.ndarray]]:
    """One call of `learn`, and the shares once for each episode, since they cost as much as an update.

    Args:
        steps: with [P] in front.
        state: donated.
        left: updates that are due, at least 1. Not more are made, or what comes next would be skipped.

    Returns:
        the state, and the metrics of a `Unit`.
    """
    state, made = steps.learn(state, updates=min(left, steps.updates_per_call))
    metrics = jax.tree.map(np.asarray, made)
    if left <= steps.updates_per_call:
        metrics |= {name: np.asarray(values)[:, None] for name, values in steps.shares(state).items()}
    return state, metrics


def due(episodes: int, updates: int, settings: Collector, tasks: int = 1) -> Literal['seed', 'learn', 'collect']:
    """What algorithm 1 does next: S seed episodes of each task, then C updates before a further episode of each.

    Args:
        episodes: of each task, collected so far.
        updates: done so far.
        settings: S and C.
        tasks: E.
    """
    if episodes < settings.seed_episodes:
        return 'seed'
    return 'learn' if updates < owed(episodes, settings, tasks) else 'collect'


def owed(episodes: int, settings: Collector, tasks: int = 1) -> int:
    """Updates that come before the next episode of each task, since the run began; 0 before the seed episodes end.

    Args:
        episodes: of each task, collected so far.
        settings: S and C.
        tasks: E.
    """
    return max(episodes - settings.seed_episodes + 1, 0) * settings.interval(tasks)


def reached(episodes: int, settings: Collector, tasks: int = 1) -> int:
    """Updates that a run has done when its data comes to have this many episodes of each task.

    Args:
        episodes: of each task.
        settings: S, C, and whether an episode is collected while the next updates are made.
        tasks: E.
    """
    ahead = settings.while_learning and episodes > settings.seed_episodes
    return owed(episodes if ahead else episodes - 1, settings, tasks)


def episode_keys(state: TrainState, purpose: str, environments: int, counter: jax.Array | None = None) -> jax.Array:
    """A key for each seed's and each environment's next episode.

    Args:
        state: with [P] in front.
        purpose: the stream, 'collect' or 'evaluate'.
        environments: E.
        counter: [P]; by default the number of episodes so far.

    Returns:
        keys [P, E, 2].
    """
    counter = replay.episodes(state.replay) if counter is None else counter
    return jax.vmap(lambda key, count: jax.random.split(
        keys.stream(key, purpose, count), environments))(state.key, counter)
