"""The cores and the memory that a container or a batch job grants this process, versions, and a cache folder."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

SYSTEM = Path('/')
"""Root of /proc and /sys."""
PACKAGES = ('planet-jax', 'jax', 'jaxlib', 'flax', 'optax', 'distrax', 'orbax-checkpoint', 'gymnasium', 'dm_control',
            'mujoco', 'numpy')
"""Packages whose versions a run records."""


def cores(system: Path = SYSTEM) -> int:
    """Processor cores that this process may use: the minimum of its affinity, its control groups and its Slurm job.

    Args:
        system: root of the kernel's files.
    """
    found = [_affinity()]
    for folder in _groups(system, 'cpu'):
        quota, period = [*_numbers(folder / 'cpu.max'), None, None][:2]  # Version 2: 'max 100000' without a limit.
        if quota is None:
            quota, period = (next(_numbers(folder / f'cpu.cfs_{name}_us'), None) for name in ('quota', 'period'))
        if quota and period and quota > 0:
            found.append(int(quota // period))
    found += [number for name in ('SLURM_CPUS_PER_TASK', 'SLURM_CPUS_ON_NODE') if (number := _slurm(name))]
    return max(min(found), 1)


def xla_threads() -> int:
    """Threads that XLA computes with on a CPU: NPROC, or the cores that the process may run on."""
    if (asked := os.environ.get('NPROC', '')).isdigit() and int(asked):
        return int(asked)
    return _affinity()


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def memory_bytes(system: Path = SYSTEM) -> int | None:
    """Bytes of memory that this process may use: the minimum of the machine, its control groups and its Slurm job.

    Args:
        system: root of the kernel's files.

    Returns:
        None if unknown.
    """
    found = []
    try:
        found.append(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'))
    except (ValueError, OSError, AttributeError):
        pass
    for folder in _groups(system, 'memory'):
        for name in ('memory.max', 'memory.limit_in_bytes'):
            found += [number for number in _numbers(folder / name) if number is not None]
    of_node, of_core, cpus = map(_slurm, ('SLURM_MEM_PER_NODE', 'SLURM_MEM_PER_CPU', 'SLURM_CPUS_ON_NODE'))
    found += [2**20 * megabytes for megabytes in (of_node, of_core and of_core * (cpus or 1)) if megabytes]
    return min(found, default=None)


def cache_folder() -> Path | None:
    """The folder for files that can be made again; None if the user has no home folder."""
    try:
        return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'planet_jax'
    except RuntimeError:  # No HOME and no entry in passwd, as a container's arbitrary user.
        return None


def processor() -> str:
    """The processor's name, or its architecture if the system does not name it."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return next(filter(None, names), platform.machine())


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    found = {'python': platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = 'not installed'
    return found


def commit() -> str | None:
    """The commit of this package's source, with '-dirty' appended if files differ; None outside of a checkout."""
    source = Path(__file__).resolve().parent
    try:
        described = subprocess.run(['git', 'describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'], cwd=source,
                                   capture_output=True, text=True, timeout=10)
        tracked = subprocess.run(['git', 'ls-files', '--error-unmatch', '__init__.py'], cwd=source, capture_output=True,
                                 timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() if described.returncode == tracked.returncode == 0 else None


def prepare_process() -> None:
    """Sets environment variables that a simulator or JAX reads at import, unless the user has set them."""
    if hasattr(sys.stdout, 'reconfigure'):  # Letters that the terminal's encoding lacks are printed as ?.
        sys.stdout.reconfigure(errors='replace')
    if sys.platform == 'linux':
        os.environ.setdefault('MUJOCO_GL', 'egl')
    if cache := cache_folder():
        os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(cache / 'jax'))
    # A run compiles many small programs; JAX would keep only those that took a second or more.
    os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
    # An incomplete entry, from a process that is writing or has died, is compiled again.
    warnings.filterwarnings('ignore', 'Error reading persistent compilation cache')


def _groups(system: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups, version 1 or 2, that limit this process: its own, then the ones above it."""
    of_version = {}
    for line in _lines(system / 'proc/self/cgroup'):
        number, controllers, path = line.split(':', 2)
        if number == '0' or controller in controllers.split(','):
            of_version['cgroup2' if number == '0' else 'cgroup'] = path
    for line in _lines(system / 'proc/self/mountinfo'):
        # 32 31 0:29 ROOT MOUNT rw,relatime shared:9 - TYPE SOURCE OPTIONS
        left, _, right = line.partition(' - ')
        (root, mount), (kind, _, options) = left.split()[3:5], right.split()
        if kind not in of_version or (kind == 'cgroup' and controller not in options.split(',')):
            continue
        top = system / re.sub(r'\\(\d{3})', lambda found: chr(int(found[1], 8)), mount).lstrip('/')
        below = os.path.relpath(of_version[kind], root)
        # A container may see the path that its group has outside; then the mounted folder is its own group.
        folder = top if below == '.' or below.startswith('..') else top / below
        yield from (path for path in [folder, *folder.parents] if path == top or top in path.parents)


def _lines(path: Path) -> list[str]:
    """The lines of a kernel file; empty without the file."""
    try:
        return [line for line in path.read_text().splitlines() if line]
    except OSError:
        return []


def _numbers(path: Path) -> Iterator[int | None]:
    """The numbers in a kernel file; None for 'max'."""
    for line in _lines(path):
        yield from (None if word == 'max' else int(word) for word in line.split())


def _slurm(name: str) -> int | None:
    """A number of the Slurm job; None outside of a job, and for 0, which stands for everything."""
    return int(value) if (value := os.environ.get(name, '')).isdecimal() and int(value) else None
