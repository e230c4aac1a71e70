"""Renders and times frames of a task, in a process of its own, since a broken driver may kill it."""

import json
import sys
import time

from planet_jax import envs
from planet_jax.config import preset
from planet_jax.machine import prepare_process

FRAMES = 10
"""Frames that are timed after the first."""


def measure(task: str, preset_name: str) -> dict[str, float | str]:
    """Renders the first frames of an episode.

    Args:
        task: its name.
        preset_name: whose size and quality the images have.

    Returns:
        `first` and `each`: seconds for the first frame and for a further agent step, its frame included; `contrast`:
        the standard deviation of the last frame. If rendering fails, `error` alone: why, and what to do.
    """
    try:
        begun = time.monotonic()
        env = envs.make(task, preset(preset_name).env)
        env.reset(seed=0)
        first = time.monotonic() - begun
        begun = time.monotonic()
        for _ in range(FRAMES):
            image = env.step(env.action_space.sample())[0]
        return {'first': first, 'each': (time.monotonic() - begun) / FRAMES, 'contrast': float(image.std())}
    except RuntimeError as error:
        return {'error': str(error)}


if __name__ == '__main__':
    prepare_process()
    print(json.dumps(measure(*sys.argv[1:])))
