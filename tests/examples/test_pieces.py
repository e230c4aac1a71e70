"""The scripts of examples/, called from the command line."""

import re

import numpy as np
import pytest
import tyro

from examples import mujoco_model, own_dynamics, pendulum, world_model
from planet_jax.config import Config, Env


@pytest.fixture
def run(capsys):
    """Runs a script and returns the numbers that it prints behind a word."""
    def numbers(script, word, *arguments):
        tyro.cli(script.main, args=list(map(str, arguments)))
        return [float(found) for found in re.findall(rf'{word} *(-?\d+\.\d+)', capsys.readouterr().out)]
    return numbers


def test_the_pendulum_is_swung_up(run):
    heights = run(pendulum, 'height')
    assert heights[0] < -0.99 and min(heights[-5:]) > 0.9 and len(heights) == 24


@pytest.mark.slow
def test_a_way_around_the_walls_is_found(capsys):
    own_dynamics.main()
    printed = capsys.readouterr().out
    assert float(re.search(r'ends (.*) from', printed)[1]) < 0.3
    assert printed.count('o') > 15 and printed.count('#') > 50
    assert own_dynamics.score(None, np.full((1, 25, 2), [0.7, 0.2])) < -200  # through the walls


def test_a_mujoco_model_from_a_file(run, tmp_path):
    (tmp_path / 'model.xml').write_text(mujoco_model.CART_POLE)
    rewards = run(mujoco_model, 'reward', '--model', tmp_path / 'model.xml', '--seconds', 0.8)
    assert rewards[0] == -1 and max(rewards) > -0.95


@pytest.mark.slow
def test_a_mujoco_model_is_swung_up(run):
    assert min(run(mujoco_model, 'reward')[-5:]) > 0.9


@pytest.mark.slow
def test_a_world_model_is_fitted_to_a_folder_of_vectors(run, tmp_path):
    world_model.make_episodes(tmp_path, 6, Config(env=Env(observation='state')))
    losses = run(world_model, 'updates  loss', '--preset-name', 'debug', '--updates', 100, '--folder', tmp_path)
    assert len(losses) == 2 and losses[1] < losses[0]


@pytest.mark.slow
def test_a_world_model_is_fitted_to_images(run):
    before, after = run(world_model, 'error, model', '--preset-name', 'debug', '--updates', 30, '--count', 6)
    assert after < 0.9 * before


def test_a_folder_without_episodes(tmp_path):
    with pytest.raises(SystemExit, match='There is no .*npz'):
        world_model.main(tmp_path)
