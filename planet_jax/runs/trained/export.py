"""A trained agent as one file that runs without this package: `jax.export` of its step, and a description.

The program is one agent step of evaluation: filter what is seen, plan, no noise. Parameters are constants in it; inputs
and outputs are arrays and dicts of arrays, so loading needs only jax and flatbuffers.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from planet_jax import config, machine, replay
from planet_jax.runs.trained.agent import Trained
from planet_jax.storage import datasets, minari_sets
from planet_jax.storage.files import read_lines, replacing, write_json
from planet_jax.storage.layout import Layout
from planet_jax.types import Belief

PLATFORMS = ('cpu', 'cuda', 'tpu')
"""Platforms of an export; a file can hold programs for several."""
STEPS = 'steps'
"""Entry of the belief that counts the agent steps of an episode."""

Step = Callable[[jax.Array, dict[str, jax.Array], jax.Array], tuple[jax.Array, dict[str, jax.Array]]]
"""(observation [B, ...], belief, key uint32 [B, 2]) -> (action [B, A], belief); every leaf of a belief has [B]."""


def make_step(trained: Trained) -> Step:
    """The agent's step on dicts and arrays alone, with the batch axis inside.

    A belief that is all zero begins an episode; so does a row of zeros in a batch. The entry `STEPS` of a belief counts
    the steps since, and each other entry is a leaf of `types.Belief`, named by its path, such as 'latent/mean'.

    Args:
        trained: the agent, which acts with its evaluation planner.
    """
    begun = jax.tree.map(lambda leaf: leaf[0], trained.steps.begin(trained.params))

    def step(observation, belief, key):
        def begin_or_go_on(first, now):
            new = (belief[STEPS] == 0).reshape(-1, *[1] * first.ndim)
            return jnp.where(new, first, now)

        now = jax.tree.map(begin_or_go_on, begun, _unnamed(belief, begun))
        now, observation, key = jax.tree.map(lambda leaf: leaf[None], (now, observation, key))
        done = jax.tree.map(lambda leaf: leaf[0], trained.steps.evaluate(
            trained.params, key, now, observation))
        return done.action, _named(done) | {STEPS: belief[STEPS] + 1}

    return step


def empty_belief(trained: Trained, batch: int) -> dict[str, np.ndarray]:
    """The belief that begins an episode: zeros with the names and shapes of the artifact's belief.

    Args:
        trained: the agent.
        batch: B.
    """
    begun = jax.eval_shape(trained.steps.begin, trained.params)
    zeros = {name: np.zeros((batch, *leaf.shape[1:]), leaf.dtype) for name, leaf in _named(begun).items()}
    return zeros | {STEPS: np.zeros(batch, np.int32)}


def export(trained: Trained, platforms: Sequence[str] = PLATFORMS, batch: int = 1) -> bytes:
    """The agent's step as the bytes of a `jax.export` artifact.

    Args:
        trained: the agent.
        platforms: at least one of `PLATFORMS`; this machine needs none of them.
        batch: B, environments that are stepped at once. It is fixed in the program.

    Raises:
        ValueError: a platform is unknown, or there is none, or the batch is below 1.
    """
    if not platforms or set(platforms) - set(PLATFORMS):
        raise ValueError(f'The platforms are {", ".join(platforms) or "none"}, but must be one or more of '
                         f'{", ".join(PLATFORMS)}.')
    if batch < 1:
        raise ValueError(f'The batch is {batch}, but must be at least 1: the nearest valid value is 1.')
    spec = trained.run.spec
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), (
        replay.zeros(spec, (batch,), _broadcast),
        empty_belief(trained, batch), np.zeros((batch, 2), np.uint32)))
    exported = jax.export.export(jax.jit(make_step(trained)), platforms=tuple(dict.fromkeys(platforms)))(*shapes)
    return bytes(exported.serialize())


def card(trained: Trained, directory: Path, platforms: Sequence[str], batch: int) -> dict[str, Any]:
    """The description of the artifact, as JSON.

    Args:
        trained: the exported agent.
        directory: of its run, for the scores.
        platforms: of the export.
        batch: B.
    """
    run, spec = trained.run, trained.run.spec
    belief = empty_belief(trained, batch)
    evaluations = read_lines(directory / 'evaluations.jsonl')
    newest = {(line['agent'], line.get('task', run.tasks[0])): line for line in evaluations}
    return {
        'what': 'One step of a PlaNet agent: (observation, belief, key) -> (action, belief). A belief of zeros begins '
                'an episode.',
        'tasks': {name: {'action_repeat': run.action_repeats[name], 'steps': steps}
                  for name, steps in zip(run.tasks, run.task_steps)},
        'observation': {name: {'shape': [batch, *shape], 'dtype': dtype} for name, shape, dtype in spec.parts} or {
            'shape': [batch, *spec.observation_shape], 'dtype': spec.observation_dtype},
        'action': {'shape': [batch, spec.action_size], 'dtype': 'float32', 'low': -1, 'high': 1,
                   'choices': list(spec.choices)},
        'belief': {name: {'shape': list(leaf.shape), 'dtype': str(leaf.dtype)} for name, leaf in belief.items()},
        'key': {'shape': [batch, 2], 'dtype': 'uint32'},
        'platforms': list(platforms), 'batch': batch,
        'scores': [{'agent': agent, 'task': task, 'episodes': line['episodes'], 'updates': line['updates'],
                    'mean': float(np.mean(line['returns'])), 'returns': line['returns']}
                   for (agent, task), line in newest.items()],
        'trained': {'task': run.task, 'preset': run.preset, 'seed': run.seed, 'episodes': trained.episodes,
                    'updates': trained.updates},
        'settings': config.to_dict(run.config.resolve()), 'versions': machine.versions(), 'commit': machine.commit()}


def card_path(path: Path) -> Path:
    """Path of an artifact's description: its name with .json appended."""
    return path.with_name(f'{path.name}.json')


def export_run(directory: Path, out: Path, platforms: Sequence[str] = PLATFORMS, batch: int = 1,
               trust_task: bool = False) -> int:
    """Writes the artifact of a run's newest checkpoint with its description, and returns its size in bytes.

    Args:
        directory: of the run; nothing in it is changed.
        out: the file; an existing file is replaced.
        platforms: see `export`.
        batch: see `export`.
        trust_task: see `read_config`.

    Raises:
        FolderError: the folder is no run folder, has no checkpoint that verifies, or its task is not trusted.
        ValueError: see `export`.
    """
    trained = Trained.read(directory, trust_task)
    artifact = export(trained, platforms, batch)
    with replacing(out) as partial:
        partial.write_bytes(artifact)
    write_json(card_path(out), card(trained, directory, platforms, batch), indent=1)
    return len(artifact)


def export_episodes(directory: Path, out: Path) -> int:
    """Writes the episodes of a run as a Minari data set, and returns how many.

    Args:
        directory: of the run, or another folder of episodes.
        out: the folder of the data set, a new one.

    Raises:
        ValueError: an episode cannot be read, or see `minari_sets.write`.
    """
    data = datasets.read(str(directory), Layout())
    return minari_sets.write(out, data.episodes, {'algorithm_name': 'PlaNet', 'description': (
        f'{len(data.episodes)} episodes of at most {data.spec.steps} agent steps, actions in [-1, 1].')})


def _broadcast(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Zeros that take no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def _named(belief: Belief) -> dict[str, Any]:
    """The leaves of a belief by their paths."""
    found = jax.tree_util.tree_flatten_with_path(belief)[0]
    return {jax.tree_util.keystr(path, simple=True, separator='/'): leaf for path, leaf in found}


def _unnamed(named: dict[str, Any], like: Belief) -> Belief:
    """The belief from its named leaves, the inverse of `_named`."""
    return jax.tree.unflatten(jax.tree.structure(like), [named[name] for name in _named(like)])
