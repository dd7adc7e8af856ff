"""An experiment's options on the command line: flags, files and presets, and their help."""

import argparse
import difflib
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from demjax.experiment.config import presets, read_preset, read_toml
from demjax.experiment.experiment import not_taken, with_defaults
from demjax.experiment.overriding import override
from demjax.experiment.systems import NOTHING, word_read
from demjax.experiment.tables import TABLES, all_options
from demjax.registry import REQUIRED, Option, code_in, slot_of

Commands: TypeAlias = "argparse._SubParsersAction[Any]"
"""What each command adds its parser to."""

METAVARS = {int: "N", float: "X", str: "NAME", bool: "true|false"}


class Given(NamedTuple):
    """What a user gave.

    Attributes:
        options: Options by name, those of a preset, a file and flags, each winning over the one
            before.
        flags: Those of flags alone.
    """

    options: dict[str, Any]
    flags: dict[str, Any]


def take_options(parser: argparse.ArgumentParser, command: Callable[..., int | str]) -> None:
    """Let a command take an experiment's options, from flags, a file and a preset.

    Args:
        parser: The command's, made with ``add_help=False``: its help depends on what is chosen.
        command: What is called with the parsed words and the rest, for ``read_given``.
    """
    parser.set_defaults(command=command, takes_options=True, parser=parser)
    parser.add_argument("--help", "-h", action="store_true", help="show the options and exit")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="TOML file of options, which win over a preset; flags win over both",
    )
    names = ", ".join(presets())
    parser.add_argument("--preset", metavar="NAME", help=f"options that go together: {names}")


def read_config(path: Path, flags: Collection[str]) -> dict[str, Any]:
    """Options of a TOML file; code of one's own that it names is told before it is run.

    Args:
        path: The file.
        flags: Options that it does not decide.
    """
    found = read_toml(path)
    for name, value in found.items():
        for word in code_in(value) if name not in flags else ():
            print(f"demjax: {path} names {word}, whose code is run.", file=sys.stderr)
    return found


def read_given(
    parsed: argparse.Namespace,
    words: Sequence[str],
    *,
    tables: tuple[str, ...] = tuple(TABLES),
    without: Collection[str] = (),
) -> Given:
    """An experiment's options from a preset, a file and flags.

    Args:
        parsed: The command line as far as it is no option of an experiment.
        words: The rest of it.
        tables: The tables whose options can be given by flags.
        without: Options of these tables that cannot.

    Raises:
        ValueError: If a flag is unknown, or one that what is chosen does not take, or its value
            cannot be read.
    """
    filed = read_preset(parsed.preset) if parsed.preset is not None else {}
    words_of = pairs(words)
    filed = override(filed, read_config(parsed.config, words_of)) if parsed.config else filed
    chosen = {name: None if word == NOTHING else word for name, word in words_of.items()}
    together = {n: v for n, v in override(filed, chosen).items() if v is not None}
    options = all_options(with_defaults(together), tables)
    options = {name: option for name, option in options.items() if name not in without}
    flags = {}
    for name, word in words_of.items():
        if name not in options:
            others = list(parsed.parser._option_string_actions)
            raise ValueError(_unknown(name, together, options, others))
        flags[name] = word_read(options[name], word)
    return Given(override(filed, flags), flags)


def help_of(parser: argparse.ArgumentParser, options: Mapping[str, Option]) -> str:
    """A command's help, with a flag for each option in a group for each table."""
    groups: dict[str, Any] = {}
    for option in options.values():
        if option.table not in groups:
            groups[option.table] = parser.add_argument_group(f"[{option.table}]")
        slot = slot_of(option)
        kind = METAVARS[option.single or option.several or str]
        possible = tuple(slot.registry) if slot else option.words
        choices = f": {', '.join(possible)}" if possible else ""
        default = option.default
        words = ",".join(map(str, default)) if isinstance(default, tuple | list) else str(default)
        words = words.lower() if isinstance(default, bool) else words
        shown = default not in (None, (), "", REQUIRED)
        text = option.help.rstrip(".") + choices + (f" [{words}]" if shown else "")
        text = text if text[:2] == text[:2].upper() else text[:1].lower() + text[1:]
        metavar = kind if option.single else f"{kind},…"
        groups[option.table].add_argument(
            option.flag, metavar=metavar, help=text.replace("%", "%%")
        )
    return parser.format_help().rstrip()


def pairs(words: Sequence[str]) -> dict[str, str | None]:
    """By option the word that follows its flag, ``None`` where there is none."""
    found: dict[str, str | None] = {}
    left = list(words)
    while left:
        flag = left.pop(0)
        if not flag.startswith("--"):
            raise ValueError(f"The argument {flag!r} is no option; options begin with '--'.")
        flag, given, word = flag.partition("=")
        follows = left and not left[0].startswith("--")
        found[flag[2:].replace("-", "_")] = word if given else left.pop(0) if follows else None
    return found


def _unknown(
    name: str, given: Mapping[str, Any], options: Mapping[str, Option], others: Sequence[str]
) -> str:
    flag = "--" + name.replace("_", "-")
    sentence = not_taken(name, given, options)
    if "is unknown;" not in sentence:
        return sentence
    known = [*(one.flag for one in options.values()), *others]
    close = difflib.get_close_matches(flag, known, 1, 0.75)
    if flag in others:
        return f"The option {flag!r} belongs behind the command: demjax COMMAND {flag} …"
    hint = f"perhaps {close[0]!r} was meant" if close else "--help lists all"
    return f"The argument {flag!r} is unknown; {hint}."
