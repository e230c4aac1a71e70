"""The commands: each is a file or folder here and a row of the table.

A command is a record of its options, which says what it is for in its docstring, and a function that runs it. Whatever
takes long to import is imported when a command runs, so that its help is quick.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rich.console import Console

from planet_jax.cli.commands import (
    doctor,
    evaluate,
    export,
    fit,
    imagine,
    info,
    plot,
    record,
    report,
    sweep,
    train,
    verify,
)


class Command(NamedTuple):
    """A command of the program.

    Attributes:
        options: the dataclass of its options, with a text behind each.
        run: (options, arguments as typed, console) -> exit status.
    """

    options: type
    run: Callable[[Any, Sequence[str], Console], int]


COMMANDS: dict[str, Command] = {
    'train': Command(train.Train, train.run),
    'sweep': Command(sweep.Sweep, sweep.run),
    'fit': Command(fit.Fit, fit.run),
    'evaluate': Command(evaluate.Evaluate, evaluate.run),
    'record': Command(record.Record, record.run),
    'imagine': Command(imagine.Imagine, imagine.run),
    'export': Command(export.Export, export.run),
    'report': Command(report.Report, report.run),
    'plot': Command(plot.Plot, plot.run),
    'info': Command(info.Info, info.run),
    'doctor': Command(doctor.Doctor, doctor.run),
    'verify': Command(verify.Verify, verify.run),
}
"""By the name that is typed, in the order of the help."""
