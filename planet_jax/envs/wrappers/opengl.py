"""Several renderers in one process: each draws into its own OpenGL context.

A thread has one current context, and renderers treat it differently: dm_control remembers which one it made current
last, gymnasium's MuJoCo renderer makes its own current only once. In one thread each would draw into, and free, the
other's objects. `Context` gives each environment its own current context, as an operating system gives each process its
registers.
"""

import ctypes
import os
import sys
import threading

_DRAW, _READ = 0x3059, 0x305A  # EGL_DRAW, EGL_READ


class Context:
    """Restores the OpenGL context that was current when the block was last left; afterwards the caller's is restored.

    It handles EGL contexts, if `mixes` is true, and costs some microseconds. Without EGL it does nothing. It cannot be
    nested.
    """

    def __init__(self):
        """Start without a context."""
        self._egl = None
        self._own = self._callers = (None, None, None, None)

    def __enter__(self):
        self._switch('_callers', self._own)
        return self

    def __exit__(self, *error):
        self._switch('_own', self._callers)

    def _switch(self, keep, to):
        """Store the current (context, display, surfaces) as an attribute, and make another current."""
        if self._egl is None:
            self._egl = _loaded_egl()
        if self._egl is None:
            return
        context, display = self._egl.eglGetCurrentContext(), self._egl.eglGetCurrentDisplay()
        surfaces = [self._egl.eglGetCurrentSurface(which) for which in (_DRAW, _READ)] if context else (None, None)
        setattr(self, keep, (context, display, *surfaces))
        if context == to[0]:
            return
        # EGL refuses a context that was destroyed meanwhile; then there is no current context.
        if not to[0] or not self._egl.eglMakeCurrent(to[1], to[2], to[3], to[0]):
            if display:
                self._egl.eglMakeCurrent(display, None, None, None)
        _let_dm_control_forget()


def mixes() -> bool:
    """Whether MuJoCo renders with EGL here, so that several renderers can draw in one process."""
    return sys.platform == 'linux' and os.environ.get('MUJOCO_GL', '').lower() == 'egl'


def _let_dm_control_forget():
    """Makes a renderer of MuJoCo forget which context is current, so that it sets its own the next time."""
    base = sys.modules.get('dm_control._render.base')
    context = getattr(base, '_CURRENT_CONTEXT_FOR_THREAD', {}).pop(threading.current_thread(), None)
    getattr(base, '_CURRENT_THREAD_FOR_CONTEXT', {}).pop(context, None)


def _loaded_egl():
    """The EGL library, if it is loaded in this process."""
    if sys.platform != 'linux':
        return None
    try:
        egl = ctypes.CDLL('libEGL.so.1', mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError:
        return None
    for name, arguments in (('eglGetCurrentContext', 0), ('eglGetCurrentDisplay', 0), ('eglMakeCurrent', 4)):
        getattr(egl, name).argtypes = [ctypes.c_void_p] * arguments
        getattr(egl, name).restype = ctypes.c_void_p
    egl.eglGetCurrentSurface.argtypes, egl.eglGetCurrentSurface.restype = [ctypes.c_int], ctypes.c_void_p
    egl.eglMakeCurrent.restype = ctypes.c_uint
    return egl
