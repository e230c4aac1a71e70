"""A copy of the folder plans without the package."""

import shutil
import subprocess
import sys
from pathlib import Path

from planet_jax import planning


def test_the_folder_alone_plans(tmp_path):
    shutil.copytree(Path(planning.__file__).parent, tmp_path / 'borrowed', ignore=shutil.ignore_patterns('__pycache__'))
    program = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('planet_jax', 'distrax', 'gymnasium', 'dm_control', 'mujoco', 'optax'):
            raise AssertionError(f'{name} was imported')

sys.meta_path.insert(0, Refuse())
import borrowed
import jax, jax.numpy as jnp

def dynamics(params, key, position, action):
    position = position + 0.1 * action
    return position, -jnp.square(position - params).sum()

target = jnp.array([0.3, -0.2])
plan = borrowed.cem(target, jax.random.key(0), jnp.zeros(2), dynamics, action_size=2, horizon=5)
position = 0.1 * plan.mean.sum(0)
assert borrowed.__file__ == sys.argv[1], borrowed.__file__
assert jnp.abs(position - target).max() < 0.02, position
planner = borrowed.make_icem(action_size=2, horizon=5)
plan, state = planner.step(jax.random.key(0), borrowed.rollouts(target, jnp.zeros(2), dynamics), planner.init())
assert plan.actions.shape == state.mean.shape == (5, 2)
"""
    path = str(tmp_path / 'borrowed' / '__init__.py')
    ran = subprocess.run([sys.executable, '-c', program, path], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
