"""The checks of `planet-jax doctor`: each looks at one thing, and names the fix if something is wrong."""

import contextlib
import importlib.metadata
import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import imageio_ffmpeg
import jax
import jax.numpy as jnp
import numpy as np
from packaging.requirements import Requirement

from planet_jax import config, envs, keys, machine, replay
from planet_jax.pictures import video
from planet_jax.runs import devices
from planet_jax.runs.duration import duration
from planet_jax.runs.run import Run, one_seed
from planet_jax.runs.training.clock import Clock, units_left
from planet_jax.storage import checkpoint
from planet_jax.storage.run_files import FolderError, check_space
from planet_jax.storage.run_folder import KEPT
from planet_jax.types import Trajectory

EPISODES = 1000
"""Episodes of each task in the paper, and in the run whose time is extrapolated."""
PATIENCE = 120
"""Seconds after which rendering is given up."""


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Attributes:
        state: with a warning, training works but is slower or smaller than it could be.
        told: the result as a sentence.
        fix: the command that repairs it, or other advice; empty if all is well.
    """

    state: Literal['ok', 'warning', 'failed']
    told: str
    fix: str = ''


@dataclass(frozen=True)
class Patient:
    """The training that the machine is checked for.

    Attributes:
        run: task and preset.
        logdir: where run folders will be.
        quick: whether to compile nothing.
        steps: by task, measured seconds of an agent step in the simulator, its frame included.
    """

    run: Run
    logdir: Path
    quick: bool
    steps: dict[str, float] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The logdir, or the nearest existing folder above it."""
        return next(path for path in [self.logdir.absolute(), *self.logdir.absolute().parents] if path.is_dir())

    @property
    def slots(self) -> int:
        """N, episodes of each task that the replay holds."""
        return self.run.config.replay.capacity or config.PRESET_EPISODES[self.run.preset]

    def state(self):
        """A train state of random numbers without [P] and without replay, as a checkpoint holds it."""
        steps = self.run.steps(slots=1)
        shapes = jax.eval_shape(lambda root: one_seed(steps.init(root)), jnp.zeros((1, 2), jnp.uint32))
        generator = np.random.default_rng(0)
        return jax.tree.map(lambda leaf: generator.integers(0, 100, leaf.shape).astype(leaf.dtype), shapes)

    def checkpoint_bytes(self) -> int:
        """Approximate bytes of a checkpoint on disk."""
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self.state()))


def pip(*requirements: str) -> str:
    """The command that installs packages here."""
    return shlex.join([sys.executable, '-m', 'pip', 'install', *requirements])


def check_versions(patient: Patient) -> Finding:
    """Compares the installed packages with the required versions."""
    del patient
    wrong, names = [], importlib.metadata.requires('planet-jax') or []
    wanted = [requirement for requirement in map(Requirement, names)
              if requirement.marker is None or requirement.marker.evaluate({'extra': ''})]
    for requirement in wanted:
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            version = None
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            wrong.append((requirement, version))
    if wrong:
        told = ', '.join(f'{requirement.name} is {version or "not installed"}, but must be '
                         f'{requirement.specifier or "there"}' for requirement, version in wrong)
        return Finding('failed', told, pip(*(f'{requirement.name}{requirement.specifier}' for requirement, _ in wrong)))
    found = machine.versions()
    return Finding('ok', f'Python {found["python"]}, jax {found["jax"]}, mujoco {found["mujoco"]}, planet-jax '
                         f'{found["planet-jax"]}; {len(wanted)} packages as required')


def check_devices(patient: Patient) -> Finding:
    """Finds JAX's devices, and whether JAX ignores a GPU."""
    del patient
    try:
        found = devices.available_devices()
    except RuntimeError as error:
        what, _, fix = str(error).partition(': ')
        return Finding('failed', what, fix)
    names = ', '.join(sorted({devices.device_name(device) for device in found}))
    told = f'{len(found)} of {found[0].platform}: {names}'
    if found[0].platform == 'cpu' and shutil.which('nvidia-smi'):
        listed = subprocess.run(['nvidia-smi', '-L'], capture_output=True, text=True)
        if listed.returncode == 0 and listed.stdout.strip():
            return Finding('warning', f'{told}; but there is {listed.stdout.splitlines()[0].split(" (UUID")[0]}, which '
                                      f'JAX does not use', f'make setup EXTRA=cuda12, or {pip("jax[cuda12]")}')
    return Finding('ok', told)


def check_rendering(patient: Patient) -> Finding:
    """Renders one frame of each task, in a process of its own."""
    told = []
    for task in patient.run.tasks:
        try:
            ran = _python('-m', 'planet_jax.cli.commands.doctor.frame', task, patient.run.preset)
        except subprocess.TimeoutExpired:
            return Finding('failed', f'no frame of {task} within {PATIENCE} s', _other_renderer())
        if ran.returncode:
            return Finding('failed', f'the process that rendered {task} ended with {_ending(ran)}', _other_renderer())
        frame = json.loads(ran.stdout.splitlines()[-1])
        if 'error' in frame:
            what, _, fix = frame['error'].rpartition('): ')
            return Finding('failed', f'{what})' if what else frame['error'], fix or _other_renderer())
        if not frame['contrast']:
            return Finding('failed', f'the frame of {task} is of one colour', _other_renderer())
        patient.steps[task] = frame['each']
        told.append(f'{task}: first frame {frame["first"]:.2g} s, then {1000 * frame["each"]:.2g} ms a step')
    return Finding('ok', f'MUJOCO_GL={os.environ.get("MUJOCO_GL", "")}; ' + '; '.join(told))


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with this package in a process of its own."""
    search = os.pathsep.join(filter(None, [str(Path(__file__).parents[4]), os.environ.get('PYTHONPATH')]))
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=PATIENCE,
                          env={**os.environ, 'PYTHONPATH': search})


def _ending(ran: subprocess.CompletedProcess[str]) -> str:
    """How a process ended: its signal, or the last line of its error output."""
    if ran.returncode < 0:
        return signal.Signals(-ran.returncode).name
    return next(iter(ran.stderr.strip().splitlines()[::-1]), f'exit status {ran.returncode}')


def _other_renderer() -> str:
    other = 'osmesa' if os.environ.get('MUJOCO_GL') == 'egl' else 'egl'
    package = 'libosmesa6' if other == 'osmesa' else 'libegl1 libgl1'
    return f'export MUJOCO_GL={other} (it needs: apt-get install {package})'


def check_memory(patient: Patient) -> Finding:
    """Checks that the replay of the whole run fits into memory."""
    try:
        place, needed = patient.run.place_replay(patient.slots)
        memory = devices.memory_bytes(host=place == 'host')
    except ValueError as error:
        what, _, fix = str(error).rpartition(': ')
        return Finding('failed', what, fix)
    there = f'{memory / 1e9:.1f} GB' if memory else 'an unknown amount'
    return Finding('ok', f'{needed / 1e9:.2f} GB of {there} on the {place} for {patient.slots} episodes in the replay')


def check_disk(patient: Patient) -> Finding:
    """Checks that episodes and checkpoints of the whole run fit on the disk."""
    one = patient.checkpoint_bytes()
    most = (KEPT + 1) * one + patient.run.episode_bytes(config.PRESET_EPISODES[patient.run.preset])
    try:
        warning = check_space(patient.folder, 2 * one, most)
    except FolderError as error:
        what, _, fix = str(error).rpartition(': ')
        return Finding('failed', what, fix)
    if warning:
        return Finding('warning', warning, 'make room, or name another folder by --logdir')
    free = shutil.disk_usage(patient.folder).free
    return Finding('ok', f'{free / 1e9:.0f} GB free in {patient.folder}; a run writes {most / 1e9:.2f} GB at most')


def check_checkpoint(patient: Patient) -> Finding:
    """Writes a checkpoint of the run's size and reads it back."""
    try:
        with tempfile.TemporaryDirectory(prefix='.planet-jax-doctor-', dir=patient.folder) as folder:
            state, begun = patient.state(), time.monotonic()
            checkpoint.save(Path(folder) / 'checkpoint', state, {})
            written = time.monotonic() - begun
            restored, _ = checkpoint.restore(Path(folder) / 'checkpoint', state)
    except (OSError, checkpoint.CheckpointError) as error:
        return Finding('failed', f'a checkpoint in {patient.folder} fails: {error}',
                       'name a writable folder by --logdir')
    same = all(map(np.array_equal, jax.tree.leaves(restored), jax.tree.leaves(state)))
    if not same:
        return Finding('failed', f'a checkpoint in {patient.folder} is read otherwise than it was written',
                       'name a folder on another disk by --logdir')
    return Finding('ok', f'{patient.checkpoint_bytes() / 1e6:.1f} MB written in {written:.2g} s, and read back the '
                         f'same')


def check_cache(patient: Patient) -> Finding:
    """Checks that compiled programs are kept, which makes the next start quick."""
    del patient
    folder = jax.config.jax_compilation_cache_dir
    if not folder:
        return Finding('warning', 'compiled programs are not kept, so every start compiles them again',
                       'export JAX_COMPILATION_CACHE_DIR=FOLDER')
    size = 0
    for path in Path(folder).glob('*'):
        with contextlib.suppress(FileNotFoundError):  # A run that is going on may replace it.
            size += path.stat().st_size
    return Finding('ok', f'{size / 1e6:.0f} MB of compiled programs in {folder}; to empty it: '
                         f'{shlex.join(["rm", "-r", folder])}')


def check_video(patient: Patient) -> Finding:
    """Writes a video of a few frames as `record` does, and reads it back."""
    del patient
    frames = np.zeros((5, 64, 64, 3), np.uint8)
    try:
        with tempfile.TemporaryDirectory() as folder:
            video.write_video(Path(folder) / 'video.mp4', frames, 25)
            found, _ = imageio_ffmpeg.count_frames_and_secs(Path(folder) / 'video.mp4')
    except (OSError, RuntimeError) as error:
        return Finding('failed', f'no video can be written: {error}', pip('--upgrade', 'imageio-ffmpeg'))
    if found != len(frames):
        return Finding('failed', f'a video of {len(frames)} frames has {found}', pip('--upgrade', 'imageio-ffmpeg'))
    return Finding('ok', 'ffmpeg writes a video and reads it back')


def check_speed(patient: Patient) -> Finding:
    """Extrapolates the hours of a whole run from a few updates and planned steps."""
    if patient.quick:
        return Finding('ok', 'not measured: --quick')
    run = patient.run
    steps, spec, tasks = run.steps(slots=1), run.spec, len(run.tasks)
    state = steps.init(keys.root(0)[None])
    rows = (1, tasks, spec.steps + 1)
    state = steps.add(state, Trajectory(
        replay.zeros(spec, rows), np.zeros((*rows, spec.action_size), np.float32), np.zeros(rows, np.float32),
        np.full(rows[:2], spec.steps + 1, np.int32), np.zeros(rows[:2], bool) if spec.ends else None))
    begun = time.monotonic()

    def learn():
        nonlocal state
        state, metrics = steps.learn(state)
        jax.block_until_ready(metrics)

    paces = {'learn': _least_seconds(learn, 2) / run.updates_per_call}
    params = state.learner.acting
    belief = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[:, None], (1, tasks, *leaf.shape[1:])),
                          steps.begin(params))
    observation = replay.zeros(spec, (1, tasks))
    root = jnp.broadcast_to(state.key[:, None], (1, tasks, 2))
    plan = _least_seconds(lambda: jax.block_until_ready(steps.act(params, root, belief, observation)), 3)
    took = time.monotonic() - begun
    simulated = sum(patient.steps.values())
    paces['seed'], paces['collect'] = simulated * spec.steps, (plan + simulated) * spec.steps
    paces['evaluate'] = paces['collect'] / tasks * run.config.evaluation.episodes
    if run.config.collector.while_learning:  # On one core they take turns.
        both = paces['collect'], paces['learn'] * run.config.collector.interval(tasks)
        paces['collect'] = max(both) if envs.cores() > 1 else sum(both)
    hours = Clock({}).remaining(units_left(run.config, tasks, EPISODES, 0, 0), paces) / 3600
    # Kilobytes on Linux, bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)
    simulator = '' if patient.steps else ', without the simulator'
    return Finding('ok', f'{hours:.3g} hours for {EPISODES} episodes, by extrapolation{simulator}: an update '
                         f'{paces["learn"]:.2g} s, a planned step {plan:.2g} s; {peak / 1e9:.1f} GB of memory at most '
                         f'without the replay (measured in {duration(took)}, compilation included)')


def _least_seconds(call: Callable[[], object], times: int) -> float:
    """The shortest of several calls, after one that compiles."""
    call()
    seconds = []
    for _ in range(times):
        begun = time.monotonic()
        call()
        seconds.append(time.monotonic() - begun)
    return min(seconds)


CHECKS: dict[str, Callable[[Patient], Finding]] = {
    'versions': check_versions, 'devices': check_devices, 'rendering': check_rendering, 'memory': check_memory,
    'disk': check_disk, 'cache': check_cache, 'checkpoint': check_checkpoint, 'video': check_video,
    'speed': check_speed,
}
