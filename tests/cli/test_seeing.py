"""A trained agent in your own loop, in a video and in a picture of its plan; its run stays unchanged."""

import hashlib
import re
import shutil
from pathlib import Path

import imageio.v3
import jax
import numpy as np
import pytest

import planet_jax
from planet_jax.cli.main import main
from planet_jax.runs import evaluation
from planet_jax.runs.open_loop import OpenLoop
from planet_jax.runs.trained.agent import Trained
from planet_jax.runs.trained.viewing import View
from planet_jax.scores.numbers import significant
from planet_jax.storage.run_files import FolderError
from planet_jax.storage.run_folder import RunFolder

TASK, STEPS = 'toy_point', 25


@pytest.fixture(scope='module')
def run(toy_run):
    """The folder of a finished run."""
    run, = toy_run[0].glob(f'*/{TASK}/rssm-debug/0')
    return run


@pytest.fixture(scope='module')
def trained(run):
    return Trained.read(run)


@pytest.fixture(autouse=True)
def unchanged(run):
    """Nothing in the run's folder changes in any of these tests."""
    def digests():
        return {path: path.is_file() and (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
                for path in run.rglob('*')}
    before = digests()
    yield
    assert digests() == before


def test_a_loaded_agent_acts_as_in_evaluation_bit_for_bit(run, trained, tmp_path):
    vector = evaluation.make_envs(TASK, trained.run.config.env, 1)
    returns, first = evaluation.evaluate(trained.steps.evaluate, trained.steps.begin, vector, trained.params,
                                         trained.root, 1)
    vector.close()

    # All that is needed, and nothing can be written there.
    newest = max((run / 'checkpoints').iterdir())
    shutil.copytree(newest, tmp_path / 'run' / 'checkpoints' / newest.name)
    shutil.copy(run / 'config.json', tmp_path / 'run')
    folders = [path for path in (tmp_path / 'run').rglob('*') if path.is_dir()] + [tmp_path / 'run']
    for folder in folders:
        folder.chmod(0o555)
    agent = planet_jax.load(tmp_path / 'run')

    env = agent.trained.make_env()
    for _ in range(2):  # A reset forgets what was before.
        agent.reset(seed=0)
        observation, _ = env.reset(seed=agent.environment_seed)
        earned = []
        for step in range(STEPS):
            np.testing.assert_array_equal(observation, first.observation[0, step])
            action = agent.act(observation)
            assert action.dtype == np.float32 and (np.abs(action) <= 1).all()
            np.testing.assert_array_equal(action, first.action[0, step + 1])
            observation, reward, *_ = env.step(action)
            earned.append(np.float32(reward))
        assert np.sum(earned, dtype=np.float64) == returns[0, 0]
    assert {path.name for path in (tmp_path / 'run').iterdir()} == {'config.json', 'checkpoints'}
    agent.reset(seed=1)
    assert agent.environment_seed != first.length and (agent.act(first.observation[0, 0]) != first.action[0, 1]).any()


def test_the_example_of_the_docs_is_an_evaluation(run, capsys):
    text = (Path(__file__).parents[2] / 'docs' / 'seeing.md').read_text()
    example, = re.findall(r'^```python\n(.*?)^```', text, re.DOTALL | re.MULTILINE)
    assert 'logs/cartpole_swingup/rssm-cpu/0' in example
    names = {}
    exec(example.replace('logs/cartpole_swingup/rssm-cpu/0', str(run)), names)
    assert capsys.readouterr().out == f'return {names["total"]:.1f}\n'
    assert main(['evaluate', '--run', str(run), '--episodes', '1']) == 0
    assert capsys.readouterr().out.splitlines()[0] == f'episode 1: {significant(names["total"])}'


def test_what_an_agent_refuses(run, tmp_path):
    agent = planet_jax.load(str(run))
    image = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(RuntimeError, match='call reset before'):
        agent.act(image)
    agent.reset()
    for observation, told in ((image[:16], r'uint8 \(16, 32, 3\)'), (image / 255, r'float64 \(32, 32, 3\)')):
        with pytest.raises(ValueError, match=f'The observation is {told}, but this agent was trained on uint8'):
            agent.act(observation)
    with pytest.raises(FolderError, match='is not a run folder'):
        planet_jax.load(tmp_path)


def test_a_video_of_episodes(run, tmp_path, capsys):
    path = tmp_path / 'video.mp4'
    command = ['record', '--run', str(run), '--episodes', '2', '--size', '64', '--out', str(path)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert len(re.findall(r'^episode \d: \d', printed, re.MULTILINE)) == 2 and '52 frames, 5 a second' in printed
    video = imageio.v3.imread(path)
    assert video.shape[0] == 2 * (STEPS + 1) and imageio.v3.immeta(path)['fps'] == 5

    before = path.read_bytes()
    assert main(command) == 2
    assert 'exists already: remove it, or name another file by --out.' in capsys.readouterr().err
    assert main([*command[:-1], 'video.gif']) == 2 and 'must end in .mp4' in capsys.readouterr().err
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_the_larger_pictures_are_of_the_same_episode(trained):
    said = []
    same, larger, too_large = (View(TASK, trained, size, said.append) for size in (32, 96, 4096))
    assert len(said) == 1 and said[0].startswith('The observation of the agent is shown enlarged: env.size 4096')
    for view, size in ((same, 32), (larger, 96), (too_large, 32)):
        observation, picture = view.reset(seed=3)
        assert picture.shape == (size, size, 3)
        for _ in range(2):
            if view is not larger:
                np.testing.assert_array_equal(picture, observation)
            else:  # Its dot is where the observation's is.
                shrunk = picture.reshape(32, 3, 32, 3, 3).mean((1, 3))
                assert np.abs(shrunk - observation).max() < 16
            observation, picture, reward = view.step(np.ones(2))
            assert 0 < reward < 1
        view.close()


def test_a_picture_of_the_plan(run, tmp_path, capsys):
    path = tmp_path / 'plan.png'
    # Three steps are left, fewer than the plan has.
    command = ['imagine', '--run', str(run), '--step', str(STEPS - 3), '--out', str(path)]
    assert main(command) == 0
    assert re.search(r'expected return of the elites -?\d.* in iteration 1, .* in iteration 2', capsys.readouterr().out)
    picture = imageio.v3.imread(path)
    assert picture.shape[1] == 1340 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 500
    assert main(command) == 2 and 'exists already' in capsys.readouterr().err
    assert main([*command[:4], '25']) == 2
    assert 'The step is 25, but must be 0 to 24: the nearest valid value is 24.' in capsys.readouterr().err
    assert main([*command[:3], '--task', 'cup_catch']) == 2
    assert "The task is 'cup_catch', but this run is of toy_point." in capsys.readouterr().err


def test_pictures_that_cannot_be_written_are_said_once(run, trained, tmp_path, monkeypatch):
    monkeypatch.setenv('IMAGEIO_FFMPEG_EXE', str(tmp_path / 'nowhere'))
    shutil.copytree(run, tmp_path / 'run')
    folder, said = RunFolder(tmp_path / 'run', trained.run.record()), []
    open_loop = OpenLoop(trained.run, said.append)
    params, root = jax.tree.map(lambda leaf: leaf[0], (trained.params, trained.root))
    spec = trained.run.spec
    episode = planet_jax.Trajectory(np.zeros((STEPS + 1, *spec.observation_shape), np.uint8),
                                    np.zeros((STEPS + 1, 2), np.float32), np.zeros(STEPS + 1, np.float32), STEPS + 1)
    line = {'task': TASK, 'episodes': 8, 'updates': 99, 'env_steps': 200}
    before = folder.lines('open_loop.jsonl')
    for _ in range(2):
        open_loop.record(folder, line, params, root, episode, 10)
    assert len(said) == 1 and 'FileNotFoundError' in said[0] and 'training goes on' in said[0]
    assert {path.name for path in (tmp_path / 'run' / 'open_loop').glob('000008*')} == {'000008.png'}
    *lines, last = folder.lines('open_loop.jsonl')
    assert lines == before and last.items() > line.items()
    # An episode that ends with what is seen of it has nothing to predict.
    assert open_loop.of(params, root, episode.replace(length=5)) == {}
    folder.close()
