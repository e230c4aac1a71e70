"""Scores action sequences in the simulator of a task, for planning with the true dynamics (table 1).

`mujoco.rollout` steps all sequences on several cores. Rewards come from the task's own `get_reward`, called state by
state. For the tasks of `_AT_ONCE`, the paper's six among them, it is called once, with an object in place of the
physics that holds all states, which takes a hundredth of the time. Rewards that do not work on arrays are written here
again.
"""

from types import SimpleNamespace
from typing import NamedTuple

import gymnasium
import numpy as np

from planet_jax.envs import spaces
from planet_jax.envs.suite.environment import Suite


class States(NamedTuple):
    """The states of the simulator after each of n environment steps of J sequences.

    Attributes:
        state: [J, n, S], MuJoCo's `mjSTATE_FULLPHYSICS`: time, positions, velocities and the rest of the state
        sensordata: [J, n, ...], as dm_control's step leaves it
        control: [J, n, A], the actions that led there, within the simulator's bounds
    """

    state: np.ndarray
    sensordata: np.ndarray
    control: np.ndarray


class Simulation:
    """Scores action sequences from the current state of an environment, without changing that state."""

    def __init__(self, env: gymnasium.Env, threads: int = 1):
        """Prepare the simulation.

        Args:
            env: a task of the suite, as `envs.make` returns it.
            threads: cores to use.

        Raises:
            ValueError: the environment does not belong to the suite.
        """
        suite = env.unwrapped
        if not isinstance(suite, Suite):
            raise ValueError(f'{type(suite).__name__} has no simulator to plan with: choose a task of the suite.')
        import mujoco
        from mujoco import rollout
        self._repeat = env.get_wrapper_attr('action_repeat')
        self._suite, self._physics = suite, suite.simulator.physics
        self._model = model = self._physics.model.ptr
        self._substeps = round(suite.simulator.control_timestep() / self._physics.timestep())
        self._pool = rollout.Rollout(nthread=threads if threads > 1 else 0)
        self._data = [mujoco.MjData(model) for _ in range(threads)]
        self._copy = self._physics.copy(share_model=True)
        self._late = np.repeat(model.sensor_needstage == mujoco.mjtStage.mjSTAGE_ACC, model.sensor_dim)

    def rewards(self, actions: np.ndarray) -> np.ndarray:
        """The rewards of action sequences, from the environment's current state.

        Args:
            actions: [J, H, A] in [-1, 1].

        Returns:
            float64 [J, H], summed over the R environment steps of an agent step, as in the environment. They continue
            after the end of the episode. The rewards of a sequence whose simulation diverges are NaN.
        """
        states = self.simulate(actions)
        at_once = _AT_ONCE.get((self._suite.task.domain, self._suite.task.task))
        rewards = at_once(self._suite.simulator.task, _Batch(self._physics, states)) if at_once else self._each(states)
        rewards[~self._finished(states)] = np.nan
        return rewards.reshape(*actions.shape[:2], self._repeat).sum(-1)

    def simulate(self, actions: np.ndarray) -> States:
        """The states along action sequences from the environment's current state, bit for bit as by stepping it.

        Args:
            actions: [J, H, A] in [-1, 1].

        Returns:
            the states after each environment step, n = H * R.

        Raises:
            ValueError: the actions have the wrong shape, or a number is not within [-1, 1].
        """
        from mujoco import mjtState
        space, size = self._suite.action_space, self._suite.action_space.shape[0]
        if actions.ndim != 3 or actions.shape[2] != size or not np.all(np.abs(actions) <= 1):
            raise ValueError(f'The actions have shape {actions.shape} and lie from {actions.min()} to {actions.max()}, '
                             f'but must have shape (sequences, steps, {size}) and lie within [-1, 1].')
        control = np.repeat(spaces.rescale(actions, space.low, space.high), self._repeat, 1)
        each = np.repeat(control, self._substeps, 1)
        # A row of sensors belongs to the state before that row's step, so the last state needs one more step.
        each = np.concatenate([each, each[:, -1:]], 1)
        start = self._physics.get_state(mjtState.mjSTATE_FULLPHYSICS)
        state, sensors = self._pool.rollout(self._model, self._data, start, each,
                                            initial_warmstart=self._physics.data.qacc_warmstart)
        last = slice(self._substeps - 1, -1, self._substeps)
        # dm_control's step ends with new positions and velocities, but with the forces of the last substep.
        sensors = np.where(self._late, sensors[:, last], sensors[:, self._substeps::self._substeps])
        return States(state[:, last], sensors, control)

    def _finished(self, states):
        """[J]: whether every step was simulated. If MuJoCo gives up, it resets and then repeats one state."""
        time = self._physics.data.time + states.state.shape[1] * self._suite.simulator.control_timestep()
        return np.abs(states.state[:, -1, 0] - time) < self._physics.timestep() / 2

    def _each(self, states):
        """[J, n]: the task's own rewards, one state after the other."""
        import mujoco
        rewards = np.empty(states.state.shape[:2])
        data = self._copy.data.ptr
        for index in np.ndindex(rewards.shape):
            mujoco.mj_setState(self._model, data, states.state[index], mujoco.mjtState.mjSTATE_FULLPHYSICS)
            data.ctrl[:] = states.control[index]
            mujoco.mj_step1(self._model, data)  # as dm_control's step ends
            data.sensordata[:] = states.sensordata[index]
            rewards[index] = self._suite.simulator.task.get_reward(self._copy)
        return rewards


class _Batch:
    """Quantities of all states at once, [J, n], by the names that the model has for them."""

    def __init__(self, physics, states):
        self.named, self.control = physics.named, states.control
        self._model, self._states = physics.model.ptr, states

    def position(self, joint):
        """Of a joint with one degree of freedom."""
        return self._states.state[..., 1 + self._model.joint(joint).qposadr[0]]

    def velocity(self, joint):
        """Of a joint with one degree of freedom."""
        return self._states.state[..., 1 + self._model.nq + self._model.joint(joint).dofadr[0]]

    def forward_velocity(self):
        """Of the centre of mass."""
        return self._states.sensordata[..., self._model.sensor('torso_subtreelinvel').adr[0]]


def _cartpole(task, batch):
    # The task's own formula takes the mean over the poles, and with them over the states.
    from dm_control.utils.rewards import tolerance
    upright = (np.cos(batch.position('hinge_1')) + 1) / 2
    centered = (1 + tolerance(batch.position('slider'), margin=2)) / 2
    small_control = (4 + tolerance(batch.control[..., 0], margin=1, value_at_margin=0, sigmoid='quadratic')) / 5
    small_velocity = (1 + tolerance(batch.velocity('hinge_1'), margin=5)) / 2
    return upright * small_control * small_velocity * centered


def _reacher(task, batch):
    target, (hand, finger) = batch.named.model.geom_pos['target'], batch.named.model.body_pos[['hand', 'finger'], 'x']
    shoulder, wrist = (np.exp(1j * batch.position(joint)) for joint in ('shoulder', 'wrist'))
    distance = np.abs(shoulder * (hand + wrist * finger) - complex(*target[:2]))
    return task.get_reward(SimpleNamespace(named=batch.named, finger_to_target_dist=lambda: distance))


def _cheetah(task, batch):
    return task.get_reward(SimpleNamespace(speed=batch.forward_velocity))


def _finger(task, batch):
    # The task's own formula makes a float.
    from dm_control.suite.finger import _SPIN_VELOCITY
    return np.where(batch.velocity('hinge') <= -_SPIN_VELOCITY, 1.0, 0.0)


def _ball_in_cup(task, batch):
    model = batch.named.model
    offset = model.body_pos['cup'] + model.site_pos['target'] - model.body_pos['ball']
    room = model.site_size['target'] - model.geom_size['ball', 0]
    inside = [np.abs(offset[axis] + batch.position(f'cup_{name}') - batch.position(f'ball_{name}')) < room[axis]
              for axis, name in ((0, 'x'), (2, 'z'))]
    return task.get_reward(SimpleNamespace(in_target=lambda: np.logical_and(*inside).astype(float)))


def _walker(task, batch):
    height = batch.named.model.body_pos['torso', 'z'] + batch.position('rootz')
    upright = np.cos(batch.position('rooty'))
    return task.get_reward(SimpleNamespace(torso_height=lambda: height, torso_upright=lambda: upright,
                                           horizontal_velocity=batch.forward_velocity))


_AT_ONCE = {
    ('cartpole', 'swingup'): _cartpole, ('cartpole', 'balance'): _cartpole, ('reacher', 'easy'): _reacher,
    ('reacher', 'hard'): _reacher, ('cheetah', 'run'): _cheetah, ('finger', 'spin'): _finger,
    ('ball_in_cup', 'catch'): _ball_in_cup, ('walker', 'stand'): _walker, ('walker', 'walk'): _walker,
    ('walker', 'run'): _walker,
}
"""(task, batch) -> rewards [J, n], by domain and task."""
