"""`planet-jax doctor`: checks whether this machine can train an agent on a task, and says how to fix what fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from planet_jax.runs.options import PresetName

COLORS = {'ok': 'green', 'warning': 'yellow', 'failed': 'bold red'}


@dataclass(frozen=True)
class Doctor:
    """Check whether this machine can train; status 1 if it cannot."""

    task: str = 'cartpole_swingup'
    """Task to train on, or several joined by commas."""
    preset: PresetName | None = None
    """Preset of the training; by default planet on an accelerator and cpu without one."""
    logdir: Path = Path('logs')
    """Folder where the runs will be; it need not exist."""
    quick: bool = False
    """Skip the timing of updates and plans, which must be compiled first."""


def run(command: Doctor, arguments: Sequence[str], console: Console) -> int:
    """Makes all checks and prints what they find; returns 1 if one has failed.

    Raises:
        ValueError: there is no such task.
    """
    from planet_jax import config, envs
    from planet_jax.cli.commands.doctor.checks import CHECKS, Finding, Patient
    from planet_jax.runs.devices import available_devices
    from planet_jax.runs.run import Run

    del arguments
    preset = command.preset
    if preset is None:
        try:
            preset = 'cpu' if available_devices()[0].platform == 'cpu' else 'planet'
        except RuntimeError:  # `check_devices` will say so.
            preset = 'cpu'
    name = envs.resolve_several(command.task)[0]
    task = Run(name, preset, 0, config.preset(preset).resolve(name))
    patient = Patient(task, command.logdir, command.quick)
    findings = {}
    with console.status('') as status:
        for name, check in CHECKS.items():
            status.update(f'checking {name}')
            try:
                findings[name] = check(patient)
            except Exception as error:  # What is broken may break a check in ways of its own; the others go on.
                findings[name] = Finding('failed', f'{type(error).__name__}: {error}', 'planet-jax info, and a look at '
                                         'what failed above')
    table = Table(title=f'planet-jax doctor: {command.task}, preset {preset}, logdir {command.logdir}',
                  title_justify='left', show_header=False, box=box.SIMPLE)
    for name, finding in findings.items():
        table.add_row(name, Text(finding.state, COLORS[finding.state]), Text(finding.told))
        if finding.fix:
            table.add_row('', '', Text(f'Fix: {finding.fix}', 'bold'))
    console.print(table, highlight=False)
    states = [finding.state for finding in findings.values()]
    console.print(f'{states.count("failed")} failed, {states.count("warning")} warnings.' if set(states) != {'ok'}
                  else 'All is well.', highlight=False)
    return int('failed' in states)
