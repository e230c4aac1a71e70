"""A vector of environments that restarts after failures: simulators that raise, workers that die or hang."""

import contextlib
import traceback
from collections.abc import Callable

from gymnasium.vector import AsyncVectorEnv, VectorEnv, VectorWrapper

from planet_jax.envs.own.failures import TaskFailure


class EnvironmentFailure(RuntimeError):
    """Environments failed after they had worked. Their episodes are lost, and the next reset makes new environments."""


class RestartingVectorEnv(VectorWrapper):
    """A vector that is discarded after a failure, with its processes, and made again by the next `reset`.

    An error before the first success is raised as it is, since it would only happen again.

    Attributes:
        faults: number of failures so far; each has cost one unfinished episode of each environment.
    """

    def __init__(self, make: Callable[[], VectorEnv], timeout: float = 300.0,
                 report: Callable[[str], None] = lambda text: None):
        """Make the first vector.

        Args:
            make: makes a vector, such as a `functools.partial` of `make_vector`.
            timeout: seconds after which a worker counts as hanging. Environments in this process cannot be
                interrupted.
            report: called at every failure with several lines: the reason, and the traceback of the environment's own
                code.
        """
        super().__init__(make())
        self.faults = 0
        self._make, self._timeout, self._report = make, timeout, report
        self._worked, self._usable = False, True

    def reset(self, *, seed=None, options=None):
        """As of any vector.

        Raises:
            EnvironmentFailure: the simulator raised, or a worker died or hangs.
        """
        with self._guard():
            if not self._usable:
                self.env, self._usable = self._make(), True
            if isinstance(self.env, AsyncVectorEnv):
                self.env.reset_async(seed=seed, options=options)
                result = self.env.reset_wait(self._timeout)
            else:
                result = self.env.reset(seed=seed, options=options)
            self._worked = True
            return result

    def step(self, actions):
        """As of any vector.

        Raises:
            EnvironmentFailure: the simulator raised, or a worker died or hangs.
        """
        with self._guard():
            if isinstance(self.env, AsyncVectorEnv):
                self.env.step_async(actions)
                return self.env.step_wait(self._timeout)
            return self.env.step(actions)

    def close(self, **kwargs):
        """Kill the workers, also hanging ones."""
        _end(self.env)

    @contextlib.contextmanager
    def _guard(self):
        try:
            yield
        except Exception as error:  # a simulator may raise anything
            if not self._worked:
                raise
            self.faults, self._usable = self.faults + 1, False
            _end(self.env)
            told = f'the environments failed with {type(error).__name__}: {error}'
            if isinstance(error, (EOFError, ConnectionError)):
                told = 'a process of the environments died'
            elif isinstance(error, TaskFailure):
                told = f'the environments failed with {error}'
            trace = getattr(error, 'trace', '') or ''.join(traceback.format_exception(error))
            self._report(f'{told}\n{trace}')
            raise EnvironmentFailure(told) from error


def _end(vector: VectorEnv) -> None:
    """Ends a vector. `close(terminate=True)` would raise if a worker is dead, and wait forever if one is stopped."""
    if isinstance(vector, AsyncVectorEnv) and not vector.closed:
        for process in vector.processes:
            process.kill()
        for process in vector.processes:
            process.join()
        for pipe in vector.parent_pipes:
            if pipe is not None:
                pipe.close()
        vector.closed = True
    else:
        with contextlib.suppress(Exception):
            vector.close()
