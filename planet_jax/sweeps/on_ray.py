"""Runs of a sweep over the machines of a Ray cluster, each in a process of its own.

A Ray task holds one accelerator, or a few cores, and waits for the process of `planet-jax train` that it started. So a
run behaves as without Ray: signals save and stop it, its crash does not crash Ray, and its memory is freed when it
ends. If the task's worker dies, the kernel kills the process, and the run is started again where there is room.
"""

import ctypes
import dataclasses
import fcntl
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from planet_jax.runs.duration import duration
from planet_jax.runs.training.stop import Stop

CORES = 2
"""Cores of a run without an accelerator. Ray counts them, but does not enforce them."""
LOCK_SECONDS = 120
"""Seconds to wait for a run folder that is in use. NFS keeps the lock of a dead machine for 90 s."""
REPORT_SECONDS = 30
"""Seconds between two lines on the progress."""
FRUITLESS = 3
"""A run is given up after this many losses in a row without a new episode."""
LAST_LINES = 10
"""Lines of a run's output that are shown if it fails."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        directory: its run folder, an absolute path on a disk that every machine of the cluster sees.
        arguments: of `planet-jax`, beginning with 'train', that lead to this folder from any working directory.
        episodes: in the data at the end, seed episodes included.
    """

    directory: Path
    arguments: Sequence[str]
    episodes: int

    @property
    def name(self) -> str:
        """TASK/METHOD/SEED."""
        return '/'.join(self.directory.parts[-3:])


def launch(jobs: Sequence[Job], *, accelerators: bool | None = None, say: Callable[[str], None]) -> list[int]:
    """Runs all jobs to the end, wherever the cluster has room.

    The cluster is the one that RAY_ADDRESS names, or that `ray start` made on this machine, or this machine alone.
    SIGINT and SIGTERM save and stop all runs; a second signal kills them. The output of a run goes to `output.txt` in
    its folder.

    Args:
        jobs: the runs.
        accelerators: whether each run gets an accelerator of its own, or cores; by default if the cluster has any.
        say: called with sentences for the user.

    Returns:
        the exit status of each run; above 128 if the run was stopped, or lost and given up.

    Raises:
        RuntimeError: Ray is not installed.
        ConnectionError: there is no cluster at RAY_ADDRESS.
        ValueError: accelerators are asked for, but the cluster has none.
    """
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    # Ray reads it at import. By default it tries an address without a cluster 20 times, 40 s each.
    os.environ.setdefault('RAY_NUM_REDIS_GET_RETRIES', '2')
    try:
        import ray
    except ImportError as error:
        raise RuntimeError("Ray is not installed: pip install 'planet-jax[ray]'.") from error

    for job in jobs:
        job.directory.mkdir(parents=True, exist_ok=True)
    ray.init(include_dashboard=False, log_to_driver=False, logging_level='ERROR')
    stop = Stop(None)  # After `init`, which installs a handler for SIGTERM.
    try:
        return _Launch(ray, accelerators, stop, say).main(jobs)
    finally:
        stop.close()
        ray.shutdown()


class _Watched:
    """The launcher's knowledge of a run.

    Attributes:
        job: the run.
        lock: text of the lock file, which names the last process that used the folder.
        running: whether a process of this launch runs it.
        episodes: in the data.
        learned: episodes that came after the first update.
        most: largest number of episodes at a loss of the run.
        losses: in a row, without a new episode.
        status: exit status at the end.
    """

    def __init__(self, job: Job):
        self.job, self.running = job, False
        self.status: int | None = None
        self.most, self.losses = -1, 0
        self.lock = self._read_lock()
        self.read_metrics()

    def _read_lock(self) -> str:
        path = self.job.directory / 'lock'
        return path.read_text() if path.exists() else ''

    def read_metrics(self) -> None:
        """Reads the progress."""
        from planet_jax.storage.files import read_lines

        lines = read_lines(self.job.directory / 'metrics.jsonl')
        numbers = {line['episodes']: line['updates'] > 0 for line in lines}  # A line for each of several tasks.
        self.episodes, self.learned = len(numbers), sum(numbers.values())

    def has_begun(self) -> bool:
        """Whether another process has taken the folder since the last call."""
        if self.running or (lock := self._read_lock()) in ('', self.lock):
            return False
        self.lock, self.running = lock, True
        return True

    def worth_another_try(self) -> bool:
        """Counts a loss; returns whether the run is still making progress."""
        self.running = False
        self.losses = 1 if self.episodes > self.most else self.losses + 1
        self.most = max(self.episodes, self.most)
        return self.losses < FRUITLESS


class _Launch:
    """The driver of all runs of one launch."""

    def __init__(self, ray: Any, accelerators: bool | None, stop: Stop, say: Callable[[str], None]):
        self.ray, self.stop, self.say = ray, stop, say
        self.environment = {'JAX_PLATFORMS': 'cpu'} if accelerators is False else {}
        # Without Ray's retries: the driver knows whether a run makes progress, and what was lost.
        self.task = ray.remote(max_calls=1, max_retries=0, scheduling_strategy='SPREAD',
                               **_needs(ray, accelerators))(_run)
        self.pending: dict[Any, _Watched] = {}

    def main(self, jobs: Sequence[Job]) -> list[int]:
        self.runs = [_Watched(job) for job in jobs]
        self.begun, self.learned_before = time.monotonic(), sum(run.learned for run in self.runs)
        reported, stopping = self.begun, False
        for run in self.runs:
            self._submit(run)
        while self.pending:
            if self.stop.asked() and not stopping:
                stopping = True
                self.say(f'Stopping: {self.stop.reason}. The runs save and stop.')
                for task in self.pending:
                    self.ray.cancel(task)
            for task in self.ray.wait(list(self.pending), timeout=1)[0]:
                self._end(self.pending.pop(task), task)
            for run in self.pending.values():
                if run.has_begun():
                    self.say(f'{run.job.name} runs: {run.lock}.')
            if time.monotonic() - reported > REPORT_SECONDS:
                reported = time.monotonic()
                self._report()
        return [run.status for run in self.runs]

    def _submit(self, run: _Watched) -> None:
        self.pending[self.task.remote(run.job, self.environment)] = run

    def _end(self, run: _Watched, task: Any) -> None:
        """Reports the end of a run's task, and starts a lost run again."""
        errors, last_lines = self.ray.exceptions, []
        try:
            run.status, last_lines = self.ray.get(task)
            how = f'ended with exit status {run.status}' if run.status else 'ended'
        except errors.TaskCancelledError:
            run.status, how = self.stop.status, 'not under way'
        except errors.RayTaskError as error:
            run.status, how = 1, str(error.cause)
        except errors.RayError as error:
            run.status, how = 128 + signal.SIGKILL, f'lost its worker ({type(error).__name__})'
        run.read_metrics()
        told = f'{run.job.name}: {run.episodes} of {run.job.episodes} episodes, {how}'
        if run.status == 0 or self.stop.asked():
            self.say(f'{told}.')
        elif run.status > 128 and run.worth_another_try():
            self.say(f'{told}. It continues from its newest checkpoint when the cluster has room.')
            self._submit(run)
        else:
            self.say('\n  '.join([f'{told}. What it printed last:', *last_lines]) if last_lines else f'{told}.')

    def _report(self) -> None:
        for run in self.pending.values():
            run.read_metrics()
        told = [f'{len(self.runs) - len(self.pending)} of {len(self.runs)} runs ended']
        told += [f'{run.job.name} {run.episodes}/{run.job.episodes}' for run in self.pending.values() if run.running]
        self.say(f'{", ".join(told)}; time left {self._time_left()}')

    def _time_left(self) -> str:
        """Time left by the pace of all runs since the launch, seed episodes not counted."""
        learned = sum(run.learned for run in self.runs) - self.learned_before
        left = sum(run.job.episodes - run.episodes for run in self.pending.values())
        return duration(left * (time.monotonic() - self.begun) / learned) if learned > 0 else 'not known yet'


def _needs(ray: Any, accelerators: bool | None) -> dict[str, Any]:
    """The resources that a run takes."""
    there = ray.cluster_resources()
    if accelerators is not False:
        if 'GPU' in there:
            return {'num_gpus': 1}
        if 'TPU' in there:
            return {'resources': {'TPU': 1}}
        if accelerators:
            raise ValueError('No machine of the Ray cluster has an accelerator: run on processor cores.')
    return {'num_cpus': min(CORES, max(node['Resources'].get('CPU', 1) for node in ray.nodes() if node['Alive']))}


def _run(job: Job, environment: dict[str, str]) -> tuple[int, list[str]]:
    """The Ray task: runs a job on this machine to its end, and passes SIGINT and SIGTERM on as SIGTERM.

    Returns:
        its exit status, 128 and the signal's number if a signal killed it; and the last lines that it printed.

    Raises:
        RuntimeError: its folder is not there.
    """
    if not job.directory.is_dir():
        raise RuntimeError(f'{job.directory} does not exist on {socket.gethostname()}: the LOGDIR must be on a disk '
                           f'that every machine of the cluster sees')
    stop = Stop(None)
    try:
        with open(job.directory / 'output.txt', 'a+b') as output:
            begun = output.tell()
            _await_lock(job.directory, output, stop)
            program = [sys.executable, '-m', __name__, str(os.getpid()), *job.arguments]
            process = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                       env=os.environ | environment)
            while process.poll() is None and not stop.asked():
                time.sleep(0.5)
            if stop.asked():
                process.terminate()
            status = process.wait()
            output.seek(begun)
            lines = output.read().decode(errors='replace').splitlines()
            return status if status >= 0 else 128 - status, lines[-LAST_LINES:]
    finally:
        stop.close()


def _await_lock(directory: Path, output: BinaryIO, stop: Stop) -> None:
    """Waits while the folder seems in use, since the lock of a dead machine stays for a while."""
    path, deadline, said = directory / 'lock', time.monotonic() + LOCK_SECONDS, False
    while path.exists() and time.monotonic() < deadline and not stop.asked():
        with open(path, 'a+') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                if not said:
                    lock.seek(0)
                    output.write(f'Waiting for {lock.read()}, which uses this folder.\n'.encode())
                    output.flush()
                    said = True
        time.sleep(1)


def _die_with(parent: int) -> None:
    """Makes the kernel kill this process when its parent dies; exits if the parent is dead already."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        sys.exit(128 + signal.SIGKILL)


if __name__ == '__main__':
    _die_with(int(sys.argv.pop(1)))
    runpy.run_module('planet_jax', run_name='__main__', alter_sys=True)
