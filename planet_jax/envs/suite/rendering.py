"""Images of dm_control's suite: finding a renderer, opening a camera, averaging pixels.

dm_control is imported when the first environment is made: it chooses its renderer, by `MUJOCO_GL`, at that moment.
"""

import ctypes.util
import functools
import os
import sys

import numpy as np

from planet_jax.config import Env

COARSE = (16, 8)
"""Slices and stacks of a round shape; MuJoCo's defaults are 28 and 16. A slack string consists of one capsule per
slice, with slices times stacks facets each, so the string of cup_catch is two thirds of its frame's cost."""


@functools.cache
def library():
    """Import dm_control once.

    dm_control cannot be imported if its renderer cannot be loaded. It is then imported without a renderer, so that
    everything without images still works. Other users of MuJoCo in this process then have no renderer either.

    Returns:
        (the module `dm_control.suite`, the reason why there is no renderer, or None if there is one)
    """
    names = ('MUJOCO_GL', 'PYOPENGL_PLATFORM')
    before = {name: os.environ[name] for name in names if name in os.environ}
    try:
        from dm_control import suite
        return suite, None
    except Exception as error:  # ImportError, AttributeError, RuntimeError, OSError: each library fails in its own way
        cause = str(error).rstrip('.')
    try:
        os.environ['MUJOCO_GL'] = 'disabled'
        from dm_control import suite
        return suite, cause
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)


def open_context(name: str, physics) -> None:
    """Make the OpenGL context of a model, unless it has one.

    Args:
        name: of the task, for the message.
        physics: the `dm_control.mujoco.Physics`.

    Raises:
        RuntimeError: images cannot be rendered here. The message says what to do.
    """
    _, cause = library()
    if cause is None and _is_headless():
        cause = 'there is no display'
    if cause is None:
        try:
            physics.contexts  # noqa: B018, a property that makes the context
        except Exception as error:
            cause = str(error).rstrip('.')
    if cause is not None:
        raise RuntimeError(f'Images of {name} cannot be rendered with MUJOCO_GL={os.environ.get("MUJOCO_GL", "")!r} '
                           f'({cause}): {remedy()}, and start again.') from None


def _is_headless():
    # GLFW without a display only warns, and the second attempt to make a context then ends the process.
    from dm_control import _render
    return _render.BACKEND == 'glfw' and sys.platform == 'linux' and not (
        os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY'))


def remedy() -> str:
    """The command that makes rendering work."""
    if sys.platform != 'linux':
        return 'run `unset MUJOCO_GL`'
    commands = []
    if ctypes.util.find_library('EGL') is None:
        commands.append('apt-get install libegl1 libgl1')
    if os.environ.get('PYOPENGL_PLATFORM', 'egl') != 'egl':
        commands.append('unset PYOPENGL_PLATFORM')
    if os.environ.get('MUJOCO_GL') != 'egl':
        commands.append('export MUJOCO_GL=egl')
    elif 'MUJOCO_EGL_DEVICE_ID' in os.environ:
        commands.append('unset MUJOCO_EGL_DEVICE_ID')
    commands = commands or ['apt-get install --reinstall libegl1 libgl1 libgl1-mesa-dri']
    return 'run ' + ' and '.join(f'`{command}`' for command in commands)


def open_camera(name: str, physics, config: Env):
    """The camera of a model, rendering natively at `size * supersample` pixels, with its own OpenGL context.

    Args:
        name: of the task, for messages.
        physics: the `dm_control.mujoco.Physics`; its quality settings are changed.
        config: size, supersample, camera and quality.

    Returns:
        a `dm_control.mujoco.Camera`; its `render()` returns a view of a buffer that it reuses.

    Raises:
        ValueError: the model has no such camera.
        RuntimeError: images cannot be rendered here. The message says what to do.
    """
    from dm_control import mujoco
    cameras = physics.model.ncam
    if config.camera >= cameras:
        raise ValueError(f'env.camera is {config.camera}, but {name} has the cameras -1 (free) to {cameras - 1}.')
    pixels = config.size * config.supersample
    quality, buffer = physics.model.vis.quality, physics.model.vis.global_
    if config.quality != 'suite':
        quality.shadowsize = quality.offsamples = 0
        buffer.offwidth = buffer.offheight = pixels
    if config.quality == 'coarse':
        quality.numslices, quality.numstacks = COARSE
    buffer.offwidth, buffer.offheight = max(buffer.offwidth, pixels), max(buffer.offheight, pixels)
    open_context(name, physics)
    camera = mujoco.Camera(physics, pixels, pixels, config.camera)
    if config.quality != 'suite':
        from mujoco import mjtRndFlag
        camera.scene.flags[mjtRndFlag.mjRND_SHADOW] = 0
    return camera


def average(image: np.ndarray, factor: int) -> np.ndarray:
    """Shrink an image by averaging squares of pixels, in integers: (sum + n // 2) // n, so halves are rounded up.

    Args:
        image: uint8 [size * factor, size * factor, 3]
        factor: side of a square; n = factor**2 pixels.

    Returns:
        uint8 [size, size, 3], never a view of `image`.
    """
    if factor == 1:
        return image.copy()
    height, width, channels = image.shape
    squares = image.reshape(height // factor, factor, width // factor, factor, channels)
    pixels = factor**2
    return ((squares.sum((1, 3), np.uint32) + pixels // 2) // pixels).astype(np.uint8)
