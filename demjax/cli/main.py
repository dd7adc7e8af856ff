"""The command line: ``demjax run``, ``compare``, ``plot``, ``report`` and on data."""

import argparse
import difflib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from demjax._version import __version__
from demjax.cli import algorithms, compare, datasets, partition, plot, report, run
from demjax.runs.writer import DONE, FAILED, INTERRUPTED, WRONG, say

COMMANDS = (run, partition, compare, plot, report, datasets, algorithms)
"""The modules of all commands, in the order in which help lists them."""


class _Parser(argparse.ArgumentParser):
    """A parser of whole words, whose errors are one sentence, like all others here."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise ValueError(message[0].upper() + message[1:].rstrip(".") + ".")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Returns:
        0 done; 1 the run itself failed; 2 wrong arguments or data; 130 interrupted.
    """
    try:
        outcome = _do(sys.argv[1:] if arguments is None else arguments)
        if not isinstance(outcome, str):
            return outcome  # how a run ended
        print(outcome)
        return DONE
    except ValueError as error:
        return say(str(error), WRONG)
    except MemoryError as error:
        return say(f"There is not enough memory. {str(error).rstrip('.')}.", FAILED)
    except KeyboardInterrupt:
        return say("Interrupted.", INTERRUPTED)


def entry() -> NoReturn:
    """What the shell's ``demjax`` calls: ``main``, and an end that leaves no trace of threads.

    A compiler that is interrupted at work can crash while Python takes everything down in order,
    so an interrupted run ends at once. SIGTERM, which schedulers send, stops a run as Ctrl-C does.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = FAILED
    try:
        code = main()
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # whoever read our output has gone
        os._exit(FAILED)
    if code == INTERRUPTED:
        os._exit(code)
    sys.exit(code)


def _do(arguments: Sequence[str]) -> int | str:
    parser = _Parser(prog="demjax", description="Simulate learning systems of many clients.")
    parser.add_argument("--version", action="version", version=f"demjax {__version__}")
    commands = parser.add_subparsers(
        required=True, dest="subcommand", metavar="COMMAND", parser_class=_Parser
    )
    for module in COMMANDS:
        module.add(commands)
    parsed, rest = parser.parse_known_args(arguments)
    if getattr(parsed, "takes_options", False):
        return parsed.command(parsed, rest)
    if rest:
        command = commands.choices[parsed.subcommand]
        close = difflib.get_close_matches(rest[0], command._option_string_actions, 1, 0.75)
        hint = f"perhaps {close[0]!r} was meant" if close else f"{command.prog} --help lists all"
        raise ValueError(f"The argument {rest[0]!r} is unknown; {hint}.")
    return parsed.command(parsed)
