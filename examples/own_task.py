"""A task of your own: push a puck on ice, seen from above, to the middle and keep it there.

    planet-jax train --task examples.own_task:puck --preset cpu --time-limit 20

Any `gymnasium.Env` will do: see docs/own-tasks.md.
"""

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.wrappers import TimeLimit

SIZE = 32
PIXELS = (np.arange(SIZE) + 0.5) / SIZE * 2.4 - 1.2


class Puck(gymnasium.Env):
    """An image shows the position of the puck, but not its velocity, so the agent needs memory."""

    def __init__(self):
        self.observation_space = Box(0, 255, (SIZE, SIZE, 3), np.uint8)
        self.action_space = Box(-0.02, 0.02, (2,), np.float32)  # acceleration

    def reset(self, *, seed=None, options=None):
        """Place the puck anywhere, at rest. All random numbers come from `self.np_random`, and so from the seed."""
        super().reset(seed=seed)
        self.position, self.velocity = self.np_random.uniform(-1, 1, 2), np.zeros(2)
        return self.picture(), {}

    def step(self, action):
        """Push the puck, which bounces at the edge. The reward is 1 in the middle and 0 from a distance of 1."""
        self.velocity = 0.97 * self.velocity + action
        self.position = self.position + self.velocity
        outside = np.abs(self.position) > 1
        self.velocity[outside] *= -0.5
        self.position = np.clip(self.position, -1, 1)
        reward = max(0.0, 1 - np.linalg.norm(self.position))
        return self.picture(), reward, False, False, {}

    def picture(self):
        """A white puck on blue ice with a dark spot in the middle."""
        def disc(centre, radius):
            squared = (PIXELS - centre[0])**2 + (PIXELS[::-1, None] - centre[1])**2
            return np.clip(1.5 - squared / radius**2, 0, 1)[..., None]

        ice, spot, puck = np.array([[120, 170, 220], [20, 40, 80], [255, 255, 255]])
        image = ice + disc((0, 0), 0.3) * (spot - ice)
        return (image + disc(self.position, 0.2) * (puck - image)).astype(np.uint8)


def puck():
    """The task with a time limit, as planet_jax needs it."""
    return TimeLimit(Puck(), 100)
