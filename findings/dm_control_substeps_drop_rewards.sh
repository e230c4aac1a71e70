#!/usr/bin/env bash
# dm_control 1.0.50 with mujoco 3.17.0.
# Guess: a suite task loaded with four times its `control_timestep` pays the reward of the four instants it now steps over.
# Seen: it pays the reward of the last instant alone. The same constant action on cheetah_run, 40 instants: stepping one by one and adding up
# four rewards at a time gives four times as much as ten steps of a task that was loaded with the longer timestep.
# Consequence: repeat the action and add up rewards; do not lengthen the timestep.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --no-deps dm_control==1.0.50 mujoco==3.17.0 dm-env==1.6 dm-tree==0.1.10 numpy==2.4.0 scipy==1.16.3 absl-py==2.3.1 \
  lxml==6.0.2 protobuf==6.33.0 requests==2.32.5 urllib3 idna certifi charset-normalizer tqdm==4.67.1 pyparsing==3.2.5 setuptools==80.9.0 glfw==2.10.0 pyopengl==3.1.10 etils==1.13.0 \
  fsspec importlib_resources typing_extensions zipp attrs==25.4.0 wrapt==2.0.0
MUJOCO_GL=disabled "$folder/venv/bin/python" - <<'P'
import numpy as np
from dm_control import suite

def total(repeat, **options):
    env = suite.load('cheetah', 'run', task_kwargs={'random': 0}, environment_kwargs=options)
    env.reset()
    action = np.array([1, -1, 1, -1, 1, -1.0])
    return sum(env.step(action * (-1) ** (step // 4 if repeat == 1 else step)).reward for step in range(40 // repeat))

single = total(1)
longer = total(4, control_timestep=0.04)
print(f'rewards added up over 40 instants {single:.4f}, ten steps of the fourfold timestep {longer:.4f}, ratio {single / longer:.2f}')
assert 3 < single / longer < 5, 'this has changed'
P
