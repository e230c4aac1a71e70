"""The `planet-jax` command: finds the command, parses its options, runs it, and turns errors into sentences."""

import os
import sys
import traceback
from collections.abc import Sequence

from planet_jax.cli import help, parsing
from planet_jax.cli.commands import COMMANDS
from planet_jax.cli.console import make as make_console
from planet_jax.machine import prepare_process


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: the words of the command line; by default those of this process.

    Returns:
        the exit status: 0 if all is well, 1 if a check of `doctor` failed, 2 for an error that the user can fix, 130 or
        143 after a signal.
    """
    prepare_process()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    arguments = [parsing.renamed(argument) for argument in arguments]
    name = arguments[0] if arguments else '--help'
    if name in ('-h', '--help'):
        help.show_commands({command: options for command, (options, _) in COMMANDS.items()}, make_console())
        return 0
    errors = make_console(stderr=True)
    if name not in COMMANDS:
        errors.print(f'There is no command {name!r}: choose one of {", ".join(COMMANDS)}.', highlight=False,
                     markup=False)
        return 2
    options, run = COMMANDS[name]
    try:
        if asked := {'-h', '--help'} & set(arguments):
            topic = arguments[arguments.index(asked.pop()) + 1:][:1]
            help.show(name, options, parsing.defaults(options, arguments),
                      topic[0] if topic and not topic[0].startswith('-') else None, make_console())
            return 0
        console = make_console()
        return run(parsing.parse(options, arguments[1:], console), arguments[1:], console)
    except KeyboardInterrupt:
        return 130
    except (ValueError, RuntimeError, OSError, FloatingPointError) as error:
        if os.environ.get('PLANET_JAX_TRACEBACK'):
            raise
        told = str(error)
        if isinstance(error, FloatingPointError):  # By --debug-nans.
            own = [frame for frame in traceback.extract_tb(error.__traceback__) if 'planet_jax' in frame.filename]
            told = f'{error}, in {own[-1].name} ({own[-1].filename}:{own[-1].lineno}): {own[-1].line}'
        errors.print(f'planet-jax {name}: {told}', highlight=False, markup=False, soft_wrap=True)
        return 2
