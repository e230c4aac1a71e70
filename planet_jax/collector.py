"""Collects episodes: the host's loop around a compiled agent step."""

from collections.abc import Callable

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from planet_jax import keys as key_streams
from planet_jax.agent import Act
from planet_jax.envs import EnvironmentFailure
from planet_jax.types import Belief, Params, Trajectory

ATTEMPTS = 5
"""Attempts at an episode before failing environments are given up."""


@jax.jit
def environment_seeds(keys: jax.Array) -> jax.Array:
    """The seeds of the environments: keys [P, E, 2] -> uint32 [P * E]."""
    return jax.vmap(lambda key: key_streams.stream(key, 'environment')[1])(keys.reshape(-1, 2))


@jax.jit
def step_keys(keys: jax.Array, step: jax.Array) -> jax.Array:
    """The keys of an agent step, from the episodes' keys [P, E, 2]; steps count from 0."""
    return jax.vmap(jax.vmap(lambda key: key_streams.stream(key, 'step', step)))(keys)


@jax.jit
def _attempt_keys(keys: jax.Array, attempt: jax.Array) -> jax.Array:
    return jax.vmap(jax.vmap(lambda key: key_streams.stream(key, 'attempt', attempt)))(keys)


def collect(act: Act, begin: Callable[[Params], Belief], envs: gymnasium.vector.VectorEnv, params: Params,
            keys: jax.Array, report: Callable[[int], None] = lambda step: None) -> tuple[Trajectory, np.ndarray]:
    """Collects one episode in each environment in parallel (algorithm 1, lines 7 to 15).

    Every number of an episode follows from its key: the environment's start, the agent's samples and its noise. After a
    fault of `envs.RestartingVectorEnv` all of them begin again, with keys made of these and the number of the attempt.

    Args:
        act: `random`, `act` or `evaluate` of `Steps` with [P, E] in front.
        begin: of the same `Steps`, with [P] in front.
        envs: P * E environments that end together.
        params: of the model, with [P].
        keys: [P, E, 2].
        report: called with the number of agent steps done, after each; what it raises ends the collection.

    Returns:
        the episodes as NumPy arrays, [P, E, T+1, ...], and the planner's expected return, averaged over each episode's
        steps, [P, E].

    Raises:
        ValueError: the number of environments is not P * E.
        EnvironmentFailure: the environments failed at every attempt.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _collect(act, begin, envs, params, _attempt_keys(keys, attempt) if attempt else keys, report)
        except EnvironmentFailure as failure:
            last = failure
    raise EnvironmentFailure(f'An episode was given up after {ATTEMPTS} attempts: {last}') from last


def _collect(act, begin, envs, params, keys, report):
    """One attempt."""
    shape = keys.shape[:2]
    if envs.num_envs != shape[0] * shape[1]:
        raise ValueError(f'There are {envs.num_envs} environments for {shape[0]} seeds with {shape[1]} episodes each.')

    def split(rows):
        return np.asarray(rows).reshape(*shape, *np.shape(rows)[1:])

    observation, _ = envs.reset(seed=[int(seed) for seed in environment_seeds(keys)])
    belief = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf[:, None], (*shape, *leaf.shape[1:])), begin(params))
    size = belief.action.shape[-1]
    observations, actions, rewards = [_copied(split, observation)], [np.zeros((*shape, size), np.float32)], [
        np.zeros(shape, np.float32)]
    expected, length, over, terminated = [], np.zeros(shape, np.int32), False, None
    while not over:
        belief = act(params, step_keys(keys, len(expected)), belief, observations[-1])
        action = np.array(belief.action)
        observation, reward, _, truncated, info = envs.step(action.reshape(-1, size))
        observations.append(_copied(split, observation))
        actions.append(action)
        rewards.append(split(reward).astype(np.float32))
        expected.append(np.array(belief.expected_return))
        length, over = split(info['length']).astype(np.int32) + 1, bool(truncated.all())
        terminated = split(info['terminated']).astype(bool) if 'terminated' in info else None
        report(len(expected))

    seen = jax.tree.map(lambda *rows: np.stack(rows, 2), *observations)
    episodes = Trajectory(seen, np.stack(actions, 2), np.stack(rewards, 2), length, terminated)
    valid = np.arange(len(rewards)) < length[..., None]
    for rows in jax.tree.leaves((episodes.observation, episodes.action, episodes.reward)):
        rows[~valid] = 0
    mean = np.where(valid[..., 1:], np.stack(expected, 2), 0).sum(2) / np.maximum(length - 1, 1)
    return episodes, mean


def _copied(split, observation):
    """A copy, since the environments reuse their arrays; a dict for a Dict."""
    if isinstance(observation, dict):
        return {name: split(part).copy() for name, part in observation.items()}
    return split(observation).copy()
