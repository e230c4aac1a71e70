"""An exported agent runs without this package and acts like the original agent; old exports still load."""

import dataclasses
import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from planet_jax import config, keys
from planet_jax.cli.main import main
from planet_jax.runs import run as runs
from planet_jax.runs.trained import export
from planet_jax.runs.trained.agent import Policy, Trained
from planet_jax.storage import datasets, episodes
from planet_jax.storage.layout import Layout
from planet_jax.types import Trajectory

ROOT = Path(__file__).resolve().parents[2]
OLD = Path(__file__).parent / 'exported'

LOADER, = re.findall(r'^```python\n(.*?)^```', (ROOT / 'docs/export.md').read_text(), re.DOTALL | re.MULTILINE)

ALONE = """
import importlib, os, sys
os.chdir({folder!r})
for name in ('planet_jax', 'flax', 'optax', 'orbax', 'distrax', 'gymnasium', 'dm_control', 'mujoco'):
    sys.modules[name] = None
try:
    importlib.import_module('planet_jax')
except ImportError:
    pass
else:
    raise AssertionError('planet_jax can be imported')
{loader}
given = np.load('inputs.npz')
actions = []
for observation, key in zip(given['observations'], given['keys']):
    action, belief = act(observation, belief, key)
    actions.append(np.asarray(action))
np.save('actions.npy', np.stack(actions))
"""


def made(seed=0, **planner):
    """An agent that has learned nothing, of vectors, tiny."""
    preset = config.preset('debug')
    run = runs.Run('toy_point', 'debug', seed, dataclasses.replace(
        preset, env=dataclasses.replace(preset.env, observation='state', steps=20),
        model=dataclasses.replace(preset.model, vector_units=16),
        planner=dataclasses.replace(preset.planner, **planner)))
    steps = run.steps(slots=1)
    root = keys.root(seed)[None]
    return Trained(run, steps, steps.init(root).learner.params, root, 0, 0)


def played(trained, batch, steps=5):
    """Observations [steps, B, ...], keys [steps, B, 2], and the actions of as many policies."""
    rng = np.random.default_rng(0)
    shape, dtype, *_ = trained.run.spec
    observations = rng.uniform(-1, 1, (steps, batch, *shape)).astype(dtype)
    given, actions = np.zeros((steps, batch, 2), np.uint32), []
    for index in range(batch):
        agent = Policy(trained)
        agent.reset(seed=index)
        for step in range(steps):
            given[step, index] = agent.step_keys[0, 0]
            actions.append(agent.act(observations[step, index]))
    return observations, given, np.stack(actions).reshape(batch, steps, -1).swapaxes(0, 1)


@pytest.fixture(scope='module')
def exported():
    """An agent whose plans hand something on, its artifact for two environments, and what it does."""
    trained = made(method='icem', keep=2)
    return trained, export.export(trained, batch=2), played(trained, batch=2)


def test_without_the_package_the_actions_are_the_same(exported, tmp_path, fresh_python):
    _, artifact, (observations, given, expected) = exported
    name, = re.findall(r"open\('(.*?)'", LOADER)
    (tmp_path / name).write_bytes(artifact)
    np.savez(tmp_path / 'inputs.npz', observations=observations, keys=given)
    assert len(LOADER.splitlines()) == 5
    fresh_python(ALONE.format(folder=str(tmp_path), loader=LOADER))
    actions = np.load(tmp_path / 'actions.npy')
    assert np.ptp(actions) > 0.1
    np.testing.assert_allclose(actions, expected, atol=1e-5)


def test_one_file_is_for_all_platforms(exported):
    found = jax.export.deserialize(bytearray(exported[1]))
    assert found.platforms == ('cpu', 'cuda', 'tpu')
    assert not found.disabled_safety_checks


def test_a_row_of_zeros_begins_an_episode_within_a_batch(exported):
    trained, artifact, (observations, given, expected) = exported
    step, batch = jax.jit(jax.export.deserialize(bytearray(artifact)).call), 2
    belief = export.empty_belief(trained, batch)
    for step_number in range(2):
        _, belief = step(observations[step_number], belief, given[step_number])
    assert belief[export.STEPS].tolist() == [2, 2]
    belief = {name: np.array(leaf) for name, leaf in belief.items()}
    for leaf in belief.values():
        leaf[1] = 0
    action, belief = step(observations[0], belief, given[0])
    np.testing.assert_allclose(action[1], expected[0, 1], atol=1e-5)
    assert belief[export.STEPS].tolist() == [3, 1]


@pytest.mark.parametrize('platforms, batch, word', [
    ([], 1, 'none'), (['cpu', 'metal'], 1, 'metal'), (['cpu'], 0, 'batch is 0')])
def test_what_cannot_be_exported_is_refused(platforms, batch, word, exported):
    trained = exported[0]
    with pytest.raises(ValueError, match=word):
        export.export(trained, platforms, batch)


@pytest.mark.slow
def test_the_shipped_agent_is_exported_with_its_card(tmp_path):
    directory = ROOT / 'examples/agents/cartpole_swingup/rssm-cpu/0'
    path = tmp_path / 'agent.jaxexport'
    size = export.export_run(directory, path, ['cpu'])
    assert path.stat().st_size == size < 2e6
    card = json.loads(export.card_path(path).read_text())
    assert list(card['tasks']) == ['cartpole_swingup'] and card['tasks']['cartpole_swingup']['action_repeat'] == 8
    assert card['observation'] == {'shape': [1, 32, 32, 3], 'dtype': 'uint8'}
    assert {score['agent'] for score in card['scores']} == {'planet', 'zero', 'uniform'}
    assert card['settings']['planner']['candidates'] == 300
    exported = jax.export.deserialize(bytearray(path.read_bytes()))
    (observation, belief, key), _ = jax.tree.unflatten(exported.in_tree, exported.in_avals)
    assert card['belief'] == {name: {'shape': list(leaf.shape), 'dtype': str(leaf.dtype)}
                              for name, leaf in belief.items()}
    assert observation.shape == (1, 32, 32, 3) and key.shape == (1, 2)


def test_an_old_artifact_goes_on_loading():
    """Made when `export` was new, of `made(method='icem', keep=2)`; it stays as it is."""
    recorded = np.load(OLD / 'recorded.npz')
    step = jax.export.deserialize(bytearray((OLD / 'agent.jaxexport').read_bytes()))
    (_, belief, _), _ = jax.tree.unflatten(step.in_tree, step.in_avals)
    belief, act, actions = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), belief), jax.jit(step.call), []
    for observation, key in zip(recorded['observations'], recorded['keys']):
        action, belief = act(observation, belief, key)
        actions.append(np.asarray(action))
    np.testing.assert_allclose(actions, recorded['actions'], atol=1e-4)
    card = json.loads(export.card_path(OLD / 'agent.jaxexport').read_text())
    assert card['observation']['shape'] == list(recorded['observations'].shape[1:])


def test_episodes_of_a_run_become_a_minari_data_set(tmp_path, capsys, monkeypatch):
    pytest.importorskip('minari', reason="the extra minari is not installed: pip install 'planet-jax[minari]'")
    rng, run = np.random.default_rng(0), tmp_path / 'run'
    (run / 'episodes').mkdir(parents=True)
    (run / 'config.json').write_text('{}')
    for number in range(2):
        episodes.write(run / f'episodes/{number:06d}.npz', Trajectory(
            rng.integers(0, 256, (6, 32, 32, 3), np.uint8), rng.uniform(-1, 1, (6, 2)).astype(np.float32),
            rng.normal(size=6).astype(np.float32), np.int32(6 - number)))
    monkeypatch.chdir(tmp_path)
    assert main(['export', f'--run={run}', '--minari=toy-v0']) == 0  # relative, as users type it
    assert 'planet-jax fit --data' in ' '.join(capsys.readouterr().out.split())
    there, here = (datasets.read(str(folder), Layout()) for folder in (run, tmp_path / 'toy-v0'))
    assert there.spec == here.spec and len(there.episodes) == len(here.episodes) == 2
    for one, other in zip(there.episodes, here.episodes):
        np.testing.assert_array_equal(one.observation, other.observation)
        np.testing.assert_allclose(one.action[1:], other.action[1:], atol=1e-6)
    with pytest.raises(SystemExit):
        main(['export', f'--run={run}'])
    assert 'Nothing is to be written' in ' '.join(capsys.readouterr().err.split())
