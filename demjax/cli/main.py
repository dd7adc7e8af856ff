"""The command line: ``demjax run``, ``compare``, ``plot``, ``report`` and on data."""

import argparse
import difflib
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn, TextIO

from demjax import __version__
from demjax.backend.plain_letters import PLAIN
from demjax.backend.signals import Terminated, terminate
from demjax.runs.exits import DONE, FAILED, INTERRUPTED, TERMINATED, WRONG, first_line, say

COMMANDS = {
    "run": "run one experiment",
    "groups": "do these clients have groups, how many, and who",
    "plan": "what a run would need on an accelerator that need not be here",
    "partition": "partition a data set over clients, and show who has what",
    "compare": "systems under several seeds in one table, or runs side by side",
    "plot": "draw the figures of runs",
    "report": "one HTML page about runs",
    "datasets": "which data sets there are, and which are here",
    "algorithms": "which learning systems there are, by family",
}
"""All commands, each a module here by its name, which is read only when it is called."""


class _Parser(argparse.ArgumentParser):
    """A parser of whole words, whose errors are one sentence, like all others here."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise ValueError(message[0].upper() + message[1:].rstrip(".") + ".")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Returns:
        0 done; 1 the run itself failed; 2 wrong arguments or data; 130 interrupted; 143 likewise,
        by SIGTERM.
    """
    try:
        outcome = _do(sys.argv[1:] if arguments is None else arguments)
        if not isinstance(outcome, str):
            return outcome  # how a run ended
        print(outcome)
        return DONE
    except Terminated:
        return say("Interrupted.", TERMINATED)
    except KeyboardInterrupt:
        return say("Interrupted.", INTERRUPTED)
    except Exception as error:
        return _told(error)


def _told(error: Exception) -> int:
    """Tell in a sentence what went wrong; what nobody foresaw goes on as it is."""
    files = sys.modules.get("demjax.registry.user_files")  # where unread, no user's code has run
    place, said = files.place_of(error) if files else "", first_line(error)
    if isinstance(error, ValueError):
        return say(f"{said.rstrip('.')}{place}.", WRONG)
    if files and place:
        return say(f"Your own code failed{place} ({files.reason(error)}).", WRONG)
    if isinstance(error, MemoryError):
        return say(f"There is not enough memory. {said.rstrip('.')}.", FAILED)
    if "jax" in sys.modules and isinstance(error, sys.modules["jax"].errors.JaxRuntimeError):
        return say(f"JAX failed: {said}", FAILED)
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        what = error.filename or "The output"
        return say(f"{what} cannot be written or read: {error.strerror or said}.", FAILED)
    raise error


def entry() -> NoReturn:
    """What the shell's ``demjax`` calls: ``main``, and an end that leaves no trace of threads.

    A compiler that is interrupted at work can crash while Python takes everything down in order,
    so an interrupted run ends at once. SIGTERM, which schedulers send, stops a run as Ctrl-C does,
    and has an exit code of its own.
    """
    signal.signal(signal.SIGTERM, terminate)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # what it warns of is no user's affair
    logging.getLogger("jax._src.xla_bridge").addFilter(_in_one_line)
    sys.stdout, sys.stderr = (_able(stream) for stream in (sys.stdout, sys.stderr))
    code = FAILED
    try:
        code = main()
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # whoever read our output has gone
        os._exit(FAILED)
    except OSError as error:  # else Python would try once more
        with suppress(OSError):
            say(f"The output cannot be written: {error.strerror}.", FAILED)
        os._exit(FAILED)
    if code in (INTERRUPTED, TERMINATED) or (code and _joined()):
        os._exit(code)
    sys.exit(code)


def _joined() -> bool:
    """Whether there are other processes, which JAX would wait for at the end."""
    return "jax" in sys.modules and sys.modules["jax"].distributed.is_initialized()


def _in_one_line(record: logging.LogRecord) -> bool:
    """Let JAX tell of a plug-in that is broken, but without a trace."""
    if record.exc_info and record.exc_info[1]:
        from demjax.registry.user_files import reason

        record.msg = f"{record.getMessage()} failed ({reason(record.exc_info[1])})."
        record.args, record.exc_info = (), None
    return True


def _able(stream: TextIO | None) -> TextIO:
    """An output that is there, and shows in plain letters what it cannot show."""
    if stream is None:  # closed by whoever started us
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 (until the end)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=PLAIN)
    return stream


def _do(arguments: Sequence[str]) -> int | str:
    for word in arguments:
        if not word.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in word):
            raise ValueError(
                f"The argument {word!a} is no text in {sys.getfilesystemencoding()}; possible are "
                "names that are."
            )
    parser = _Parser(prog="demjax", description="Simulate learning systems of many clients.")
    parser.add_argument("--version", action="version", version=f"demjax {__version__}")
    commands = parser.add_subparsers(
        required=True, dest="subcommand", metavar="COMMAND", parser_class=_Parser
    )
    called = next((word for word in arguments if not word.startswith("-")), "")
    for name, summary in COMMANDS.items():
        if name == called:
            import_module(f"demjax.cli.{name}").add(commands, summary)
        else:
            commands.add_parser(name, help=summary)
    parsed, rest = parser.parse_known_args(arguments)
    if getattr(parsed, "takes_options", False):
        return parsed.command(parsed, rest)
    if rest:
        command = commands.choices[parsed.subcommand]
        close = difflib.get_close_matches(rest[0], command._option_string_actions, 1, 0.75)
        hint = f"perhaps {close[0]!r} was meant" if close else f"{command.prog} --help lists all"
        raise ValueError(f"The argument {rest[0]!r} is unknown; {hint}.")
    return parsed.command(parsed)
