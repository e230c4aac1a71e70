#!/usr/bin/env bash
# mujoco 3.17.0.
# Guess: row t of `mujoco.rollout`'s sensor data is measured in row t of its states.
# Seen: it is measured in the state before, since a step computes sensors and then integrates. A joint's position sensor lags its state by one row,
# and the initial state is not among the states.
# Consequence: append one row of control and read the next row of the sensor data.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q mujoco==3.17.0
"$folder/venv/bin/python" - <<'P'
import mujoco
import numpy as np
from mujoco import rollout

model = mujoco.MjModel.from_xml_string('''<mujoco><worldbody><body><joint name="slide" type="slide"/><geom size=".1"/></body></worldbody>
<actuator><motor joint="slide"/></actuator><sensor><jointpos joint="slide"/></sensor></mujoco>''')
data = mujoco.MjData(model)
start = np.zeros((1, mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)))
state, sensors = rollout.rollout(model, data, start, np.ones((1, 5, 1)))
position, measured = state[0, :, 1], sensors[0, :, 0]
print('positions', position, 'measured', measured)
assert not np.allclose(position, measured) and np.allclose(position[:-1], measured[1:]) and measured[0] == 0, 'this has changed'
P
