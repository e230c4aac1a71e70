"""`planet-jax verify`: runs the tests and benchmarks of a checkout that an accelerator must pass."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from planet_jax.runs.options import PresetName


@dataclass(frozen=True)
class Verify:
    """Test an accelerator: tests, speeds, a short training, a report."""

    out: Path = Path('logs/verify')
    """Folder of the findings; the same command continues there."""
    preset: PresetName | None = None
    """Preset that is measured; by default planet on an accelerator and cpu without one."""
    task: str = 'cheetah_run'
    """Task of the short training."""
    minutes: float = 7.0
    """Minutes of the short training, at most 8."""
    steps: tuple[Literal['tests', 'update', 'plan', 'collect', 'variants', 'train'], ...] = (
        'tests', 'update', 'plan', 'collect', 'variants', 'train')
    """Steps to run, in this order; each takes less than nine minutes."""
    again: bool = False
    """Repeat finished steps."""

    def __post_init__(self):
        if not 0 < self.minutes <= 8:
            raise ValueError(f'minutes is {self.minutes}, but must be above 0 and at most 8, so that no step takes '
                             f'nine.')


def run(command: Verify, arguments: Sequence[str], console: Console) -> int:
    """Starts `experiments.bench.verify` with the same arguments; returns its exit status.

    Raises:
        ValueError: this is no checkout.
    """
    del command, console
    checkout = Path(__file__).resolve().parents[3]
    if not all((checkout / part).is_file() for part in ('experiments/bench/verify.py', 'tests/test_device.py')):
        raise ValueError('verify runs the tests and benchmarks of a checkout, which an installed package lacks: clone '
                         'the repository, and run it there.')
    return subprocess.call([sys.executable, '-m', 'experiments.bench.verify', *arguments], env={
        **os.environ, 'PYTHONPATH': os.pathsep.join([str(checkout), *filter(None, [os.environ.get('PYTHONPATH')])])})
