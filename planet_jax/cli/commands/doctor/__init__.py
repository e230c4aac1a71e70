"""`planet-jax doctor`: whether this machine can train an agent on a task, and what to do if not."""

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
    """That is to be trained, or several with commas between them."""
    preset: PresetName | None = None
    """Of its settings; none: planet on an accelerator, cpu without one."""
    logdir: Path = Path('logs')
    """Where its run folders will be; it need not exist."""
    quick: bool = False
    """Leave out the timing of updates and plans, for which they must be compiled."""


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
    task = Run(envs.resolve_several(command.task)[0], preset, 0, config.preset(preset).resolve())
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
