"""Errors of the user's own environments, with the task, the method and the line of their file."""

import contextlib
import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

import gymnasium

from planet_jax.envs.family import Task

_RULES = {
    'reset': 'reset takes seed and options by name, and returns (observation, info), where info is a dict',
    'step': 'step returns (observation, reward, terminated, truncated, info), where info is a dict',
}


class TaskFailure(RuntimeError):
    """An environment raised an error, or returned something invalid."""

    def __init__(self, told: str, trace: str = ''):
        """Make the error.

        Args:
            told: what happened and where.
            trace: the traceback.
        """
        if isinstance(told, TaskFailure):  # Gymnasium's workers wrap an error in another of its type.
            told, trace = told.args
        super().__init__(told, trace)

    def __str__(self):
        return self.args[0]

    @property
    def trace(self) -> str:
        """The traceback, the user's code included; empty if nothing was raised."""
        return self.args[1]


@contextlib.contextmanager
def located(task: Task, method: str, env: gymnasium.Env, known: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn any error into a `TaskFailure`.

    Args:
        task: the environment's.
        method: the one that is called, such as 'step'.
        env: the environment.
        known: types of errors that are raised unchanged.
    """
    try:
        yield
    except Exception as error:  # The user's code may raise anything.
        if isinstance(error, (TaskFailure, *known)):
            raise
        raise TaskFailure(_told(task, method, env, error), ''.join(traceback.format_exception(error))) from error


def located_error(task: Task, doing: str, error: Exception, hint: str = '') -> ValueError:
    """The error to raise if an environment cannot be made.

    Args:
        task: the environment's.
        doing: 'import' or 'making'.
        error: what was raised.
        hint: what may help, a sentence.
    """
    return ValueError(f'{_told(task, doing, None, error)}.{hint}')


def wrong(task: Task, method: str, env: gymnasium.Env, what: str) -> TaskFailure:
    """The failure of a method that raised no error but returned something invalid.

    Args:
        task: the environment's.
        method: the one that returned it.
        env: the environment.
        what: a sentence without its full stop.
    """
    return TaskFailure(f'{what} ({_place(task, method, env, None)})')


def _told(task, method, env, error):
    line = _line(task, env, error)
    rule = f': {_RULES[method]}' if line is None and method in _RULES else ''
    return f'{type(error).__name__}: {error} ({_place(task, method, env, line)}){rule}'


def _place(task, method, env, line):
    """The method of the task and a line of its file: where the error was raised, or else where the method begins."""
    if line is None and env is not None:
        with contextlib.suppress(Exception):  # A builtin has no line, and neither has code without a file.
            code = inspect.unwrap(getattr(type(env.unwrapped), method)).__code__
            line = f'{code.co_filename}:{code.co_firstlineno}'
    return f'{method} of {task.name}' + (f', {line}' if line else '')


def _line(task, env, error):
    """The innermost line of the user's code in the traceback. None if only libraries are in it."""
    own = _own_code(task, env)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if own(frame.filename)]
    return f'{frames[-1].filename}:{frames[-1].lineno}' if frames else None


def _own_code(task, env):
    """A function that says whether a file is the user's: the module that makes the task, or not in a library."""
    names = {task.domain} | ({type(env.unwrapped).__module__} if env is not None else set())
    files, folders = set(), set()
    for name in names:
        root = sys.modules.get(name.split('.')[0])
        if hasattr(root, '__path__') and root is not gymnasium:
            folders.update(os.path.join(path, '') for path in root.__path__)
        for module in (root, sys.modules.get(name)):
            if module is not gymnasium and getattr(module, '__file__', None):
                files.add(module.__file__)
    libraries = tuple(os.path.join(path, '') for path in (
        *(sysconfig.get_path(name) for name in ('stdlib', 'platstdlib', 'purelib', 'platlib')),
        Path(__file__).parents[2]))

    def own(file):
        return file in files or file.startswith(tuple(folders)) or not file.startswith((*libraries, '<'))

    return own
