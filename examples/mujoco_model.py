"""The planner alone, over a MuJoCo model: a cart swings up a hanging pole and balances it.

    python examples/mujoco_model.py
    python examples/mujoco_model.py --model my_model.xml

MuJoCo's simulator is no JAX function, so the loop of `search` is written out here: `propose` draws action sequences,
`mujoco.rollout` simulates them on several cores, and `refit` learns from the best.
"""

import os
from pathlib import Path

import jax
import mujoco
import mujoco.rollout
import numpy as np
import tyro

from planet_jax import propose, refit

CART_POLE = """
<mujoco>
  <option timestep="0.01" integrator="implicitfast"/>
  <default><geom contype="0" conaffinity="0"/></default>
  <worldbody>
    <body name="cart">
      <joint name="slider" type="slide" axis="1 0 0" limited="true" range="-1.8 1.8" damping="0.1"/>
      <geom type="box" size="0.2 0.15 0.1" mass="1"/>
      <body name="pole">
        <joint name="hinge" type="hinge" axis="0 1 0" damping="0.001"/>
        <geom type="capsule" fromto="0 0 0 0 0 1" size="0.045" mass="0.1"/>
        <site name="tip" pos="0 0 1"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="slider" gear="10" ctrllimited="true" ctrlrange="-1 1"/></actuator>
  <sensor><framepos objtype="site" objname="tip"/></sensor>
  <keyframe><key qpos="0 3.1416"/></keyframe>
</mujoco>
"""


def reward(sensors, controls):
    """Rewards [...] of sensor readings [..., n] and controls [..., A], for a high tip and a slow cart below it.

    For another model write another one; everything else works with any model.
    """
    x, _, height = np.moveaxis(sensors, -1, 0)
    return height - 0.1 * x**2 - 0.05 * np.square(controls).sum(-1)


def main(model: Path | None = None, seconds: float = 6.0, repeat: int = 4, horizon: int = 25, iterations: int = 4,
         candidates: int = 200, elites: int = 20):
    """Plan at every agent step, carry out the first action, and plan again.

    Args:
        model: an MJCF file; by default the cart and pole of this file.
        seconds: to simulate.
        repeat: simulator steps for which an action is held.
        horizon: actions that a plan looks ahead.
        iterations: of a plan.
        candidates: action sequences of an iteration.
        elites: the best of them, to which the next iteration is fitted.
    """
    compiled = mujoco.MjModel.from_xml_path(str(model)) if model else mujoco.MjModel.from_xml_string(CART_POLE)
    low, high = compiled.actuator_ctrlrange.T  # [A] each
    data = mujoco.MjData(compiled)
    if compiled.nkey:
        mujoco.mj_resetDataKeyframe(compiled, data, 0)
    start = np.empty(mujoco.mj_stateSize(compiled, mujoco.mjtState.mjSTATE_FULLPHYSICS))
    simulators = [mujoco.MjData(compiled) for _ in range(os.cpu_count() or 1)]
    draw = jax.jit(lambda key, mean, std: propose(key, mean, std, candidates=candidates, low=low, high=high))
    fit = jax.jit(lambda actions, returns: refit(actions, returns, elites=elites))

    def score(actions):
        """[J, H, A] -> [J]: the sum of rewards from the current state."""
        controls = np.repeat(np.asarray(actions, np.float64), repeat, 1)
        mujoco.mj_getState(compiled, data, start, mujoco.mjtState.mjSTATE_FULLPHYSICS)
        _, sensors = mujoco.rollout.rollout(compiled, simulators, start, controls)
        return reward(sensors, controls).sum(-1)

    mean = np.zeros((horizon, compiled.nu), np.float32)
    for step in range(round(seconds / (repeat * compiled.opt.timestep))):
        # Begin with the last plan, moved on by a step: fewer iterations will do.
        mean, std = np.concatenate([mean[1:], mean[-1:]]), np.ones_like(mean) * (high - low).astype(np.float32) / 2
        for iteration in range(iterations):
            actions = draw(jax.random.fold_in(jax.random.key(step), iteration), mean, std)
            mean, std, _ = map(np.asarray, fit(actions, score(actions)))
        data.ctrl[:] = mean[0]
        for _ in range(repeat):
            mujoco.mj_step(compiled, data)
        if step % 5 == 0:
            print(f'{data.time:5.2f} s  sensors {np.round(data.sensordata, 2)}  control {np.round(data.ctrl, 2)}  '
                  f'reward {reward(data.sensordata, data.ctrl):.2f}')


if __name__ == '__main__':
    tyro.cli(main)
