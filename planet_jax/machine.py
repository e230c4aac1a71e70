"""What this machine lets a process use: cores and memory that a container or a batch job grants, and a cache folder."""

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
"""Where /proc and /sys are."""
PACKAGES = ('planet-jax', 'jax', 'jaxlib', 'flax', 'optax', 'distrax', 'orbax-checkpoint', 'gymnasium', 'dm_control',
            'mujoco', 'numpy')
"""Whose versions are recorded with a run."""


def cores(system: Path = SYSTEM) -> int:
    """Processor cores that this process may use: of its affinity, its control groups, and its Slurm job, the fewest.

    Args:
        system: root of the files of the kernel.
    """
    found = [len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1]
    for folder in _groups(system, 'cpu'):
        quota, period = [*_numbers(folder / 'cpu.max'), None, None][:2]  # Version 2: 'max 100000' if there is none.
        if quota is None:
            quota, period = (next(_numbers(folder / f'cpu.cfs_{name}_us'), None) for name in ('quota', 'period'))
        if quota and period and quota > 0:
            found.append(int(quota // period))
    found += [number for name in ('SLURM_CPUS_PER_TASK', 'SLURM_CPUS_ON_NODE') if (number := _slurm(name))]
    return max(min(found), 1)


def memory_bytes(system: Path = SYSTEM) -> int | None:
    """Memory that this process may use, in bytes: of the machine's, its control groups' and its Slurm job's, the least.

    Args:
        system: root of the files of the kernel.

    Returns:
        none if it cannot be told.
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
    """Where this package may keep what can be made again; none where the user has no home."""
    try:
        return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'planet_jax'
    except RuntimeError:  # No HOME and no entry in passwd, as a container's arbitrary user.
        return None


def processor() -> str:
    """The processor's name, or its architecture where the system does not tell."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return next(filter(None, names), platform.machine())


def versions() -> dict[str, str]:
    """Of Python and the packages that decide the numbers."""
    found = {'python': platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = 'not installed'
    return found


def commit() -> str | None:
    """The commit of this package's source, with '-dirty' behind it if files differ; none outside of a checkout."""
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
    """Settles what must be known before a simulator or JAX is loaded; whatever the user has set stays."""
    if hasattr(sys.stdout, 'reconfigure'):  # A letter that the terminal's encoding lacks is printed as a ?.
        sys.stdout.reconfigure(errors='replace')
    if sys.platform == 'linux':
        os.environ.setdefault('MUJOCO_GL', 'egl')
    if cache := cache_folder():
        os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(cache / 'jax'))
    # A run compiles many small programs; JAX would keep only those that took a second or more.
    os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
    # An entry that another process is just writing, or died while it wrote, is compiled anew.
    warnings.filterwarnings('ignore', 'Error reading persistent compilation cache')


def _groups(system: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups, of version 1 and 2, that limit this process: its own, then those above it."""
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
        # A container may see the path that its group has outside of it; its own is what is mounted then.
        folder = top if below == '.' or below.startswith('..') else top / below
        yield from (path for path in [folder, *folder.parents] if path == top or top in path.parents)


def _lines(path: Path) -> list[str]:
    """Of a file of the kernel; none where there is no such file."""
    try:
        return [line for line in path.read_text().splitlines() if line]
    except OSError:
        return []


def _numbers(path: Path) -> Iterator[int | None]:
    """The numbers in a file of the kernel, where 'max' is none."""
    for line in _lines(path):
        yield from (None if word == 'max' else int(word) for word in line.split())


def _slurm(name: str) -> int | None:
    """A number of the Slurm job; none outside of one, and where 0 stands for everything."""
    return int(value) if (value := os.environ.get(name, '')).isdecimal() and int(value) else None
