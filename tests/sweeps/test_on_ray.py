"""Runs over the machines of a Ray cluster; two nodes on this machine stand for two machines."""

import ast
import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from planet_jax.sweeps import on_ray as ray_launcher

sys.path.insert(0, str(Path(__file__).parents[1] / 'cli'))
from test_train import VECTORS as TOY  # noqa: E402
from test_train import lines, read_until  # noqa: E402


def environment(settings):
    """Of a process that a test starts: this checkout comes first."""
    root = str(Path(__file__).parents[2])
    return {**os.environ, 'PYTHONPATH': os.pathsep.join([root, *filter(None, sys.path)]), **settings}


DRIVER = """
import json, sys
from pathlib import Path
from planet_jax.sweeps import on_ray as ray_launcher
ray_launcher.REPORT_SECONDS = 0
jobs = [ray_launcher.Job(Path(folder), arguments, episodes) for folder, arguments, episodes in json.loads(sys.argv[1])]
print(ray_launcher.launch(jobs, say=lambda sentence: print(sentence, flush=True)))
"""
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
node = {'num_cpus': 1, 'num_gpus': 1, 'object_store_memory': 2**27, 'include_dashboard': False}
cluster = Cluster(initialize_head=True, head_node_args=node)
second = cluster.add_node(**node)
print('started', cluster.address, second.all_processes['raylet'][0].process.pid, flush=True)
for line in sys.stdin:
    cluster.remove_node(second, allow_graceful=False)
cluster.shutdown()
"""


@pytest.fixture
def ray_settings():
    """Environment variables for a Ray that shares nothing; at the end none of its processes may be left."""
    folder = tempfile.mkdtemp(prefix='ray')  # Not `tmp_path`, which is too long for the sockets in it.
    setting = f'RAY_TMPDIR={folder}'.encode()

    def left():
        for directory in Path('/proc').glob('[0-9]*'):
            with contextlib.suppress(OSError):
                if setting in (directory / 'environ').read_bytes().split(b'\0'):
                    yield int(directory.name)

    try:
        yield {'RAY_TMPDIR': folder, 'RAY_ADDRESS': '', 'RAY_AUTH_MODE': 'token',
               'RAY_AUTH_TOKEN': secrets.token_hex(16), 'RAY_USAGE_STATS_ENABLED': '0',
               'RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES': str(2**27)}
        wait_until(lambda: not list(left()), seconds=30)
    finally:
        for process in left():
            os.kill(process, signal.SIGKILL)
        shutil.rmtree(folder)


def wait_until(condition, seconds=600):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'It took too long.'
        time.sleep(0.01)


@contextlib.contextmanager
def python(program, *arguments, **settings):
    """A program in a process of its own, which ends with the block if not before."""
    with subprocess.Popen([sys.executable, '-c', program, *arguments], stdin=subprocess.PIPE, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(settings)) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def is_alive(process):
    status = Path(f'/proc/{process}/status')
    return status.exists() and 'State:\tZ' not in status.read_text()


def driver(*jobs, **settings):
    return python(DRIVER, json.dumps(jobs), **settings)


def job(logdir, seed, episodes, *options):
    command = [*TOY, '--logdir', logdir, '--checkpoint-minutes', 0, '--seed', seed, '--episodes', episodes, *options]
    return str(logdir / 'toy_point' / 'rssm-debug' / str(seed)), [str(word) for word in command], episodes


def statuses(printed):
    return ast.literal_eval(printed.splitlines()[-1])


@pytest.mark.slow  # Two runs in processes of Ray's; what they are given is tried in test_here.py.
def test_one_machine(ray_settings, tmp_path):
    good, refused = job(tmp_path, 0, 2), job(tmp_path, 1, 2, '--planner.horizon', 0)
    run = Path(good[0])
    run.mkdir(parents=True)
    with open(run / 'lock', 'w') as lock:
        # As if the machine that had the run before were not quite dead.
        fcntl.flock(lock, fcntl.LOCK_EX)
        print('process 1 on another machine', file=lock, flush=True)
        with driver(good, refused, **ray_settings) as process:
            output = run / 'output.txt'
            wait_until(lambda: output.exists() and output.read_text())
            assert 'Waiting for process 1 on another machine' in output.read_text()
            lock.close()
            printed, _ = process.communicate(timeout=600)
    assert statuses(printed) == [0, 2]
    assert 'toy_point/rssm-debug/0 runs: process' in printed and 'another machine' not in printed
    assert 'toy_point/rssm-debug/0: 2 of 2 episodes, ended.' in printed
    assert 'toy_point/rssm-debug/1: 0 of 2 episodes, ended with exit status 2. What it printed last:' in printed
    assert 'horizon is 0' in printed and '0 of 2 runs ended' in printed
    assert len(lines(run / 'metrics.jsonl')) == 2 and 'episode 2: return' in output.read_text()


@pytest.mark.slow
def test_a_run_whose_machine_dies_continues_on_another(ray_settings, tmp_path, run_planet_jax, assert_same):
    runs = [Path(job(tmp_path, seed, 0)[0]) for seed in range(2)]

    def jobs(episodes):
        return [job(tmp_path, seed, episodes) for seed in range(2)]

    def ancestors(seed):
        """The run's process, its parent, which is Ray's worker, and the worker's parent, which is the node."""
        found = []
        with contextlib.suppress(OSError, IndexError):  # It may be no more, or be writing its name.
            found.append(int((runs[seed] / 'lock').read_text().split()[1]))
            for _ in range(2):
                found.append(int(Path(f'/proc/{found[-1]}/stat').read_text().rpartition(')')[2].split()[1]))
        return found

    def newest():
        return [max((run / 'checkpoints').glob('0*'), default=None) for run in runs]

    with python(CLUSTER, **ray_settings) as cluster:
        _, address, raylet = read_until(cluster, 'started').splitlines()[-1].split()
        settings, raylet = ray_settings | {'RAY_ADDRESS': address}, int(raylet)

        # Far more episodes than there is time for, so that the signal comes in the middle.
        with driver(*jobs(10_000), **settings) as process:
            wait_until(lambda: None not in newest())
            process.send_signal(signal.SIGINT)
            printed, _ = process.communicate(timeout=600)
        assert 'Stopping: SIGINT was received.' in printed
        assert statuses(printed) == [128 + signal.SIGTERM] * 2, printed
        episodes = max(len(lines(run / 'metrics.jsonl')) for run in runs) + 20
        before = newest()

        with driver(*jobs(episodes), **settings) as process:
            wait_until(lambda: raylet in ancestors(0) + ancestors(1))
            lost = int(raylet in ancestors(1))
            wait_until(lambda: newest()[lost] > before[lost])
            pid, worker, _ = ancestors(lost)
            os.kill(raylet, signal.SIGSTOP)  # It would end what a worker leaves behind; nothing does if a machine dies.
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda: not is_alive(pid))
            assert (runs[lost] / 'metrics.jsonl').read_text().count('\n') < episodes
            print('kill', file=cluster.stdin, flush=True)
            printed = read_until(process, f'rssm-debug/{lost}: ')
            assert 'It continues from its newest checkpoint' in printed
            printed += process.communicate(timeout=600)[0]
        assert statuses(printed) == [0, 0], printed
        assert re.search(r'of 2 runs ended, .*rssm-debug/\d \d+/\d+; time left', printed)
        assert re.search(r'; time left \d+ s\n', printed)
        assert printed.count('lost its worker (') == 1 and printed.count(f'rssm-debug/{lost} runs: process') == 2
        cluster.communicate(timeout=60)

    _, command, _ = job(tmp_path / 'uninterrupted', lost, episodes)
    status, printed = run_planet_jax(*command, cwd=tmp_path)
    assert status == 0, printed
    assert_same(runs[lost], tmp_path / 'uninterrupted' / runs[lost].relative_to(tmp_path))


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(RuntimeError, match=r"pip install 'planet-jax\[ray\]'"):
        ray_launcher.launch([], say=print)
