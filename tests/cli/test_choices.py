"""A task with discrete actions, whose episodes may terminate, seen as an image and a vector, through every command."""

import json
import shutil
import sys
from pathlib import Path

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

import planet_jax
from planet_jax.cli.main import main
from planet_jax.runs.trained import export
from planet_jax.storage import datasets, episodes
from planet_jax.storage.layout import Layout

HERE, STEPS = 'test_choices', 20
TASK = f'{HERE}:Cliff'
TINY = ('--preset', 'debug', '--env.image', 'own', '--env.keys', 'view', 'place', '--env.steps', str(STEPS),
        '--model.vector-units', '16')


class Cliff(gymnasium.Env):
    """Go left, stay or go right; beyond 1 on either side one falls down."""

    metadata = {'render_modes': ['rgb_array']}
    observation_space = Dict(place=Box(-9, 9, (2,)), view=Box(0, 255, (16, 20), np.uint8))
    action_space = Discrete(3)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.integers(-1, 2)
        return self._seen(), {}

    def step(self, action):
        self.place += [-1, 0, 1][action]
        return self._seen(), 1.0, bool(abs(self.place) > 1), False, {}

    def render(self):
        return np.full((8, 8, 3), 100 + 10 * self.place, np.uint8)

    def _seen(self):
        return {'place': np.array([self.place, 1], np.float32), 'view': np.full((16, 20), 100 + self.place, np.uint8)}


@pytest.fixture(scope='module', autouse=True)
def importable():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        patch.setitem(sys.modules, HERE, sys.modules[__name__])
        yield


@pytest.fixture(scope='module')
def run(tmp_path_factory, importable):
    """The folder of a finished run."""
    logdir = tmp_path_factory.mktemp('logs')
    assert main(['train', '--task', TASK, *TINY, '--episodes', '3', '--logdir', str(logdir)]) == 0
    return logdir / TASK / 'rssm-debug' / '0'


@pytest.fixture(scope='module')
def agent(run):
    return planet_jax.load(run, trust_task=True)


def test_episodes_have_one_hot_actions(run, agent):
    for path in sorted((run / 'episodes').iterdir()):
        episode = episodes.read(path, agent.trained.run.spec)
        taken = episode.action[1:int(episode.length)]
        assert not episode.action[0].any() and set(taken.ravel()) == {0, 1} and (taken.sum(1) == 1).all()


def test_a_loaded_agent_and_an_exported_one_choose(run, agent):
    env = agent.trained.make_env()
    agent.reset(seed=0)
    observation, _ = env.reset(seed=agent.environment_seed)
    step, belief = export.make_step(agent.trained), export.empty_belief(agent.trained, 1)
    key = np.asarray(agent.step_keys[0])
    action = agent.act(observation)
    assert sorted(action) == [0, 0, 1]
    given = {name: part[None] for name, part in observation.items()}
    np.testing.assert_array_equal(step(given, belief, key)[0][0], action)
    assert agent.decoded().shape == (16, 20, 1)
    with pytest.raises(ValueError, match='this agent was trained on .*place.*float32'):
        agent.act(observation['place'])
    assert env.step(action)[1] == 1
    card = export.card(agent.trained, run, ('cpu',), 1)
    assert card['action']['choices'] == [3]
    assert card['observation']['view'] == {'shape': [1, 16, 20, 1], 'dtype': 'uint8'}


@pytest.mark.parametrize('command', [
    ('evaluate', '--episodes', '1'), ('evaluate', '--agent', 'uniform', '--episodes', '1'),
    ('imagine', '--step', '3', '--out', 'plan.png'), ('record', '--episodes', '1', '--out', 'video.mp4')])
def test_commands_on_the_run(command, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([command[0], '--run', str(run), '--trust-task', *command[1:]]) == 0


@pytest.mark.slow
def test_a_report_shows_the_episode_and_measures_it_where_the_folder_does_not(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / 'run', ignore=shutil.ignore_patterns('open_loop', 'measures.jsonl'))
    assert main(['report', '--run', str(tmp_path / 'run'), '--trust-task', '--out', str(tmp_path / 'report.html')]) == 0
    assert 'could not act' not in ' '.join(capsys.readouterr().out.split())
    text = (tmp_path / 'report.html').read_text()
    for title in ('an evaluation episode', 'the planner at one step', 'R2 of the sum of H rewards'):
        assert f'{title}<' in text


def test_its_episodes_are_data_for_a_model(run, agent):
    data, spec = datasets.read(str(run), Layout()), agent.trained.run.spec
    datasets.check_fit(data, spec, TASK)
    first, stored = data.episodes[0], episodes.read(next(iter(sorted((run / 'episodes').iterdir()))), spec)
    assert set(first.observation) == {'place', 'view'} and first.terminated == stored.terminated
    stacked = data.stacked([0], spec)
    jax.tree.map(np.testing.assert_array_equal, stacked, jax.tree.map(lambda leaf: np.asarray(leaf)[None], stored))


def test_each_part_is_measured(run):
    # The agent falls too early for a prediction, so there are no numbers.
    held = json.loads((run / 'measures.jsonl').read_text().splitlines()[-1])['held_out']
    assert len(held['open_loop/observation/view']) == len(held['open_loop/observation'])
    assert {'still/moving/place', 'mean/observation/view'} <= set(held)


def test_ends_are_kept_and_learned(run, agent):
    found = [episodes.read(path, agent.trained.run.spec) for path in sorted((run / 'episodes').iterdir())]
    for episode in found:
        last = int(episode.length) - 1
        assert episode.terminated == (abs(episode.observation['place'][last, 0]) > 1)
        assert episode.terminated or last == STEPS
    assert any(episode.terminated for episode in found)
    assert agent.trained.params['goes_on']['seen'] == 1
    lines = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
    assert lines[-1]['end_loss'] > 0 and 0 < lines[-1]['end_share'] < 1
