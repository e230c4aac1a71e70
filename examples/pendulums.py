"""Gymnasium's pendulum with other observations: a camera beside its vector, or stacks of gray frames.

    planet-jax train --task examples.pendulums:camera_and_vector --env.keys camera vector --env.action-repeat 4
    planet-jax train --task examples.pendulums:gray_frames --env.image own --env.action-repeat 4

Pygame draws it: `pip install 'planet-jax[pygame]'`. On a CPU, add `--preset cpu`.
"""

import gymnasium
from gymnasium.wrappers import AddRenderObservation, FrameStackObservation, GrayscaleObservation


def camera_and_vector():
    """A Dict of an image of 64 x 64 pixels, `camera`, and cosine, sine and velocity, `vector`."""
    return AddRenderObservation(pendulum(64), render_only=False, render_key='camera', obs_key='vector')


def gray_frames():
    """The last four frames, gray, of 84 x 84 pixels: a Box of (4, 84, 84)."""
    return FrameStackObservation(GrayscaleObservation(AddRenderObservation(pendulum(84))), 4)


def pendulum(size):
    """A pendulum whose frames have a size of one's own."""
    env = gymnasium.make('Pendulum-v1', render_mode='rgb_array')
    env.unwrapped.screen_dim = size  # It has no argument for this.
    return env
