"""What all tests share: the renderer, JAX on two CPU devices with one compilation cache, and processes of their own."""

import contextlib
import fcntl
import gc
import hashlib
import importlib.metadata
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# With a capacity, runs of any length are the same compiled program.
TOY = ['train', '--task', 'toy_point', '--preset', 'debug', '--replay.capacity', '6']
LOGDIR = 'meine Läufe 走る'
TOY_COMMAND = [*TOY, '--logdir', LOGDIR, '--checkpoint-minutes', '0']
TOY_RUN = Path(LOGDIR, 'toy_point', 'rssm-debug', '0')
VECTORS_COMMAND = [*TOY_COMMAND, '--env.observation', 'state']

# Before JAX and dm_control are imported, which read them once. Processes that tests start inherit them.
os.environ.setdefault('MUJOCO_GL', 'egl')
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(ROOT / '.cache' / 'jax'))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
# Long sums depend on XLA's threads, and a process with two devices has two of them, even on one core.
os.environ.setdefault('NPROC', '2')
# Compiling is most of what tests take. So a CPU's program is made in a sixth of the time, and runs slower; what is
# compared is compiled alike. `make test-all` compiles as users do.
FEWER_FUSIONS = '--xla_cpu_use_fusion_emitters=false'
if os.environ['JAX_PLATFORMS'] == 'cpu' and os.environ.setdefault('JAX_DISABLE_MOST_OPTIMIZATIONS', '1') == '1':
    # XLA ends a process whose flags it does not know, so it is asked of versions only that were tried.
    if tuple(map(int, importlib.metadata.version('jaxlib').split('.')[:2])) < (0, 11):
        os.environ['XLA_FLAGS'] = ' '.join([*os.environ.get('XLA_FLAGS', '').split(), FEWER_FUSIONS])
# Else imageio forks this process to read a video, which may hang beside the threads of JAX.
os.environ.setdefault('IMAGEIO_FFMPEG_NO_PREVENT_SIGINT', '1')


def pytest_configure(config):
    import jax

    # Not by XLA_FLAGS, which processes would inherit: what they do must be what a user's single device does.
    if os.environ['JAX_PLATFORMS'] == 'cpu':
        with contextlib.suppress(ImportError, AttributeError):  # Else it takes longer.
            _share_cache_with_processes()
    jax.config.update('jax_num_cpu_devices', 2)


def _share_cache_with_processes():
    """Lets a program for one device be found in the cache whether its process has one device or two.

    The key tells all devices of a process. No public option leaves them out.
    """
    import jax
    import numpy as np
    from jax._src import cache_key, xla_bridge

    jax.config.update('jax_num_cpu_devices', 1)
    alone, tell = np.array(xla_bridge.make_cpu_client().devices()), cache_key._hash_accelerator_config
    cache_key._hash_accelerator_config = lambda key, devices: tell(key, alone if devices.size == 1 else devices)


def pytest_collection_finish():
    # What is imported by now stays. Tracing makes so many objects that looking at all of them again and again is a
    # twentieth of the time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@contextlib.contextmanager
def optimizing(wanted=True):
    """What is compiled in this context is optimized as users' programs are, or as most tests' are."""
    import jax

    before = jax.config.read('jax_disable_most_optimizations')
    jax.config.update('jax_disable_most_optimizations',
                      not wanted and os.environ.get('JAX_DISABLE_MOST_OPTIMIZATIONS') == '1')
    try:
        yield
    finally:
        jax.config.update('jax_disable_most_optimizations', before)


@pytest.fixture(scope='session', name='optimizing')
def optimizing_fixture():
    """The context, for the part of a test that runs for long."""
    return optimizing


def _unoptimized():
    with optimizing(False):
        yield


def _optimized():
    with optimizing():
        yield


optimized = pytest.fixture(_optimized, name='optimized')
"""What is compiled in this test is optimized: it runs for long, or equals another program bit for bit."""
optimized_module = pytest.fixture(_optimized, name='optimized_module', scope='module')
"""The same in all tests of a file."""
quick = pytest.fixture(_unoptimized, name='quick')
"""In such a file, what this test is the first to compile is compiled as in others: it is compared to rounding."""


@pytest.fixture(scope='session', autouse=True)
def traced_once():
    """Commands in this process whose runs have the same numbers share what is traced, which keeps nothing.

    Commands in processes of their own begin with nothing, as do replays on the host, which cut batches ahead.
    """
    import jax

    from planet_jax.runs.devices import available_devices
    from planet_jax.runs.open_loop import OpenLoop
    from planet_jax.runs.run import Run

    make, begin, made, predictions = Run.steps, OpenLoop.__init__, {}, {}

    def key(run):
        settings = run.config
        return (settings.model, settings.objective, settings.planner, settings.evaluation_planner, settings.learner,
                settings.collector, run.spec, run.task_steps, run.colour,
                run.correlation, jax.config.read('jax_disable_most_optimizations'))

    def steps(run, slots, seeds=1, devices=None, placement='device'):
        new = make(run, slots, seeds, devices, placement)
        if placement == 'host':
            return new
        shared = made.setdefault((key(run), seeds, tuple(devices or available_devices()[:1])), new)
        return shared._replace(init=new.init)  # Only this knows the number of slots.

    def predicting(self, run, say):
        begin(self, run, say)
        self._predict, self._measure = predictions.setdefault(key(run), (self._predict, self._measure))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, 'steps', steps)
        patch.setattr(OpenLoop, '__init__', predicting)
        yield


@pytest.fixture(scope='session')
def fresh_python():
    """Runs a program in a process of its own, with additions to its environment, and returns what it prints."""
    def run(program, **settings):
        ran = subprocess.run([sys.executable, '-W', 'ignore', '-c', program], capture_output=True, text=True,
                             env=environment(settings))
        assert ran.returncode == 0, ran.stderr
        return ran.stdout
    return run


@pytest.fixture(scope='session')
def planet_jax():
    """Starts `python -m planet_jax` in a folder: a `Popen` whose output, errors included, is a pipe of text."""
    def start(*arguments, cwd, **settings):
        return subprocess.Popen([sys.executable, '-m', 'planet_jax', *map(str, arguments)], cwd=cwd, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(settings))
    return start


@pytest.fixture(scope='session')
def run_planet_jax(planet_jax):
    """Runs `python -m planet_jax` to its end: (exit status, what it printed, errors included)."""
    def run(*arguments, cwd, timeout=600, **settings):
        with planet_jax(*arguments, cwd=cwd, **settings) as process:
            try:
                printed, _ = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return process.returncode, printed
    return run


@pytest.fixture(scope='session')
def made_once(tmp_path_factory):
    """Runs a command to its end, once for all tests and workers: the folder to start it in, and what it printed."""
    def make(name, run, command):
        base = tmp_path_factory.getbasetemp()
        folder = (base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base) / name
        folder.mkdir(exist_ok=True)
        with open(folder.with_name(f'{name}.lock'), 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            said = folder.with_name(f'{name}.txt')
            if not said.exists():
                status, printed = run(*command, cwd=folder)
                assert status == 0, printed
                said.write_text(printed, encoding='utf-8')
            return folder, said.read_text(encoding='utf-8')
    return make


@pytest.fixture(scope='session')
def toy_run(made_once, run_planet_jax):
    """Of a run from pictures to its end, in `TOY_RUN`. Nobody may change it: copy it."""
    return made_once('toy run', run_planet_jax, TOY_COMMAND)


@pytest.fixture(scope='session')
def vectors_run(made_once):
    """The same from vectors, made in this process, or in that of another worker."""
    return made_once('vectors run', _run_here, VECTORS_COMMAND)


def _run_here(*arguments, cwd):
    from planet_jax.cli.main import main

    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.chdir(cwd)
        return main(list(arguments)), printed.getvalue()


@pytest.fixture(scope='session')
def write_scores():
    """Writes a run folder with scores, as a run does: evaluations are (agent, episodes, returns), and perhaps a task.
    """
    from planet_jax import config
    from planet_jax.storage.run_folder import RunFolder

    def write(directory, evaluations, preset='cpu'):
        task, method, seed = directory.parts[-3:]
        folder = RunFolder(directory, {'task': task, 'preset': preset, 'seed': int(seed),
                                       'versions': {'planet-jax': '0', 'jax': '0'},
                                       'action_repeat': dict.fromkeys(task.split(','), 1), 'device': 'here',
                                       'config': config.preset(preset), 'commit': None})
        for entry in evaluations:
            folder.append('evaluations.jsonl', dict(zip(('agent', 'episodes', 'returns', 'task'), entry)))
        folder.close()
    return write


@pytest.fixture(scope='session')
def assert_same():
    """Compares what two run folders hold, bit for bit."""
    def compare(directory, other):
        found, expected = numbers(directory), numbers(other)
        for name in expected:
            assert found[name] == expected[name], name
    return compare


def numbers(directory):
    """All that a run has found out: everything but clock readings."""
    import numpy as np
    import orbax.checkpoint

    names = sorted((directory / 'checkpoints').glob('0*'))
    progress = json.loads((names[-1] / 'progress.json').read_text())
    checkpointer = orbax.checkpoint.StandardCheckpointer()
    with checkpointer:
        state = checkpointer.restore((names[-1] / 'state').absolute())
    leaves = orbax.checkpoint.utils.to_flat_dict(state, sep='/')
    return {
        'metrics': [{name: value for name, value in line.items() if name != 'seconds'}
                    for line in map(json.loads, (directory / 'metrics.jsonl').read_text().splitlines())],
        'evaluations': (directory / 'evaluations.jsonl').read_text(),
        'scores': (directory / 'scores.csv').read_text(),
        'errors': [path.read_text() for path in directory.glob('open_loop.jsonl')],
        **{name: {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.glob(f'{name}/*')}
           for name in ('episodes', 'open_loop')},
        'progress': {name: value for name, value in progress.items() if name != 'seconds'},
        'state': {name: (str(leaf.dtype), np.asarray(leaf).tobytes()) for name, leaf in leaves.items()},
    }


@pytest.fixture(scope='session', name='environment')
def environment_fixture():
    """The environment of a process that a test starts itself, with additions to it."""
    return environment


def environment(settings):
    return {**os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT), *filter(None, sys.path)]), **settings}
