"""Evaluation: episodes without exploration noise, always from the same starts, in rounds of parallel environments."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from planet_jax import agent, collector, envs, keys
from planet_jax.config import Env, Spec
from planet_jax.types import Belief, Latent, Params, Trajectory

BASELINES = ('zero', 'uniform')
"""Baseline agents, which observe nothing; every score is shown beside theirs."""


def rounds(episodes: int, seeds: int = 1) -> int:
    """The number of rounds for `episodes` episodes of each seed, with at most one environment per core in a round."""
    return -(-episodes // max(envs.cores() // seeds, 1))


def make_envs(task: str, settings: Env, episodes: int, seeds: int = 1, spec: Spec | None = None,
              report: Callable[[str], None] = lambda text: None) -> gymnasium.vector.VectorEnv:
    """The environments of a round, the same number for each seed.

    Args:
        task: its name.
        settings: of the environment.
        episodes: of each seed.
        seeds: P.
        spec: of the model, whose action size the environments take; T is the task's own. By default the task's.
        report: see `envs.RestartingVectorEnv`.
    """
    own = envs.spec(task, settings)
    together = -(-episodes // rounds(episodes, seeds))
    return envs.RestartingVectorEnv(functools.partial(
        envs.make_vector, [task] * seeds * together, settings, shared=(spec or own)._replace(steps=own.steps)),
        report=report)


def episode_keys(root: jax.Array, numbers: Sequence[int] | np.ndarray) -> jax.Array:
    """The keys of evaluation episodes, [P, len(numbers), 2].

    Args:
        root: root keys of the seeds, [P, 2].
        numbers: of the episodes, counted from 0.
    """
    counted = jnp.asarray(numbers)
    return jax.vmap(lambda key: jax.vmap(lambda number: keys.stream(key, 'evaluate', number))(counted))(root)


def evaluate(act: agent.Act, begin: Callable[[Params], Belief], vector: gymnasium.vector.VectorEnv, params: Params,
             root: jax.Array, episodes: int, report: Callable[[int], None] = lambda steps: None,
             ) -> tuple[np.ndarray, Trajectory]:
    """Runs evaluation episodes. The root key and an episode's number decide each episode.

    Args:
        act: with [P, E] in front.
        begin: with [P] in front.
        vector: P * E environments.
        params: with [P].
        root: root keys of the seeds, [P, 2].
        episodes: of each seed.
        report: called with the agent steps done, over all rounds.

    Returns:
        returns, [P, episodes], and each seed's first episode, a Trajectory with [P].
    """
    together = vector.num_envs // len(root)
    count = -(-episodes // together)
    # The last round may have more environments than episodes are left; the surplus is dropped.
    numbers = np.minimum(np.arange(count * together), episodes - 1)
    returns, done = [], 0
    first: Any = None
    for keys_of_round in jnp.split(episode_keys(root, numbers), count, axis=1):
        collected, _ = collector.collect(act, begin, vector, params, keys_of_round,
                                         functools.partial(_further, report, done))
        done += collected.reward.shape[-1] - 1
        first = first or jax.tree.map(lambda leaf: leaf[:, 0].copy(), collected)
        returns.append(collected.reward.sum(-1, dtype=np.float64))
    return np.concatenate(returns, 1)[:, :episodes], first


def _further(report: Callable[[int], None], done: int, steps: int) -> None:
    report(done + steps)


def evaluate_baseline(name: str, task: str, settings: Env, root: jax.Array, episodes: int,
                      report: Callable[[str], None] = lambda text: None) -> np.ndarray:
    """The same evaluation for a baseline agent, without observations and rendering.

    Args:
        name: 'zero' or 'uniform'.
        task: its name.
        settings: of the environment.
        root: root keys of the seeds, [P, 2].
        episodes: of each seed.
        report: see `envs.RestartingVectorEnv`.

    Returns:
        returns, [P, episodes].
    """
    spec = envs.spec(task, settings)
    size = spec.action_size
    act = agent.zero if name == 'zero' else agent.uniform(size, spec.choices)
    for _ in range(2):
        act = jax.vmap(act, (None, 0, 0, 0))
    nothing = jnp.zeros((len(root), 0))
    belief = Belief(Latent(nothing, nothing, nothing, nothing), jnp.zeros((len(root), size)), jnp.zeros(len(root)))
    vector = envs.RestartingVectorEnv(
        functools.partial(envs.make_vector, [task] * len(root), settings, blind=True), report=report)
    try:
        return evaluate(jax.jit(act), lambda params: belief, vector, None, root, episodes)[0]
    finally:
        vector.close()
