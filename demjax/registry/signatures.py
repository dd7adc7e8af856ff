"""What a factory's signature and docstring say of its options: types, defaults, ranges, help."""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Union

import docstring_parser

from demjax.registry.ranges import Range

PLAIN = (bool, int, float, str)
"""Types that a word of the command line, or a value of a TOML file, can have."""


UNNAMED = frozenset({"self", "parent", "name"})
"""Parameters that are never options; the last two are of every Flax module."""


class Chooses:
    """Marks, in an annotation, a parameter that is chosen by name: a registry, or a slot of one."""


@dataclass(frozen=True)
class Passes:
    """Marks, in the annotation of ``**name``, the function that gets what is given by these names.

    Attributes:
        make: The function; its options are options of whoever passes them on.
        table: The table of a file that they belong to; by default that of whoever passes them on.
    """

    make: Callable[..., Any]
    table: str = ""


REQUIRED = inspect.Parameter.empty
"""The default of an option that has none."""


class Option(NamedTuple):
    """A parameter that can be given by a flag or in a file.

    Attributes:
        name: Its name everywhere.
        single: Type of a single value; ``None`` where only several are possible.
        several: Type of each of several values; ``None`` where only one is possible.
        optional: Whether ``None`` is a value.
        default: Its default, or ``REQUIRED``.
        range: What a number can be, if that is bounded.
        words: What a word can be, if only some can.
        chooses: What it chooses from by name, if it does.
        made: What it can be beside a name: the types of what a choice makes.
        help: What the docstring says of it.
        table: The table of a file that it belongs to.
    """

    name: str
    single: type | None
    several: type | None
    optional: bool
    default: Any
    range: Range | None = None
    words: tuple[str, ...] | None = None
    chooses: Chooses | None = None
    made: tuple[Any, ...] = ()
    help: str = ""
    table: str = ""

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return "--" + self.name.replace("_", "-")


@functools.cache
def options_of(make: Callable[..., Any], given: tuple[str, ...] = ()) -> tuple[Option, ...]:
    """The options of a factory, or of a dataclass, in the order of its parameters.

    Args:
        make: The factory. A parameter whose annotation, or else default, has none of the types
            that a word can have, and no registry, is no option: it is for Python alone.
        given: Parameters that are no options.
    """
    hints, help_of = _hints(make), _help(make)
    found: list[Option] = []
    for name, parameter in _parameters(make).items():
        passed_on = _passes(hints.get(name))
        if passed_on is not None:
            inner = options_of(passed_on.make)
            found += [one._replace(table=one.table or passed_on.table) for one in inner]
        fixed = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        if fixed or name in given or name in UNNAMED:
            continue
        option = _option(name, hints.get(name), parameter.default, help_of.get(name, ""))
        if option is not None:
            found.append(option)
    return tuple(found)


def accepts(make: Callable[..., Any], name: str) -> bool:
    """Whether a factory has a parameter of this name."""
    if name in _parameters(make):
        return True
    passed = (_passes(hint) for hint in _hints(make).values())
    return any(accepts(one.make, name) for one in passed if one is not None)


def spelled_out(make: Callable[..., Any]) -> inspect.Signature:
    """A function's signature with the parameters of what it passes its ``**name`` on to."""
    own, hints = inspect.signature(make), _hints(make)
    parameters = list(own.parameters.values())
    for place, parameter in enumerate(parameters):
        passed_on = _passes(hints.get(parameter.name))
        if passed_on is not None:
            inner = inspect.signature(passed_on.make).parameters.values()
            parameters[place : place + 1] = inner
    return own.replace(parameters=parameters)


def _parameters(make: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters as they are written, not as ``spelled_out`` shows them."""
    return inspect.signature(
        inspect.unwrap(make) if not isinstance(make, type) else make
    ).parameters


def positional(make: Callable[..., Any]) -> list[str]:
    """The parameters that can be given without their names."""
    return [n for n, p in _parameters(make).items() if p.kind is p.POSITIONAL_OR_KEYWORD]


def _passes(hint: Any) -> Passes | None:
    metadata = typing.get_args(hint)[1:] if typing.get_origin(hint) is Annotated else ()
    return next((one for one in metadata if isinstance(one, Passes)), None)


def _option(name: str, hint: Any, default: Any, text: str) -> Option | None:
    kinds, several, words, metadata = _parts(hint)
    if hint is None and isinstance(default, PLAIN):  # a user's function may have no annotations
        kinds = [type(default)]
    single = next((kind for kind in (str, float, int, bool) if kind in kinds), None)
    many = next((kind for kind in (str, float, int, bool) if kind in several), None)
    chooses = next((m for m in metadata if isinstance(m, Chooses)), None)
    if chooses is not None:
        single, many = str, None
    if single is None and many is None:
        return None
    bounds = next((m for m in metadata if isinstance(m, Range)), None)
    optional = default is None or type(None) in kinds
    words = tuple(dict.fromkeys(words))
    made = _made(hint) if chooses is not None else ()
    return Option(name, single, many, optional, default, bounds, words or None, chooses, made, text)


def handed_over(make: Callable[..., Any], names: tuple[str, ...]) -> dict[str, type]:
    """The types of those parameters that take a ``NamedTuple``, such as ``local``."""
    hints = _hints(make)
    known = {name: hints.get(name) for name in names}
    return {n: h for n, h in known.items() if isinstance(h, type) and hasattr(h, "_fields")}


def _made(hint: Any) -> tuple[Any, ...]:
    """The classes in an annotation but those of words, functions among them."""
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return _made(typing.get_args(hint)[0])
    if origin in (Union, types.UnionType):
        return tuple(one for part in typing.get_args(hint) for one in _made(part))
    if hint is Any:
        return (object,)
    if origin is Callable or (isinstance(hint, type) and hint not in (str, type(None))):
        return (origin or hint,)
    return ()


def _parts(hint: Any) -> tuple[list[Any], list[Any], tuple[str, ...], list[Any]]:
    """Types of a single value, types of each of several, possible words, and what else is said."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        kinds, several, words, metadata = _parts(arguments[0])
        return kinds, several, words, [*arguments[1:], *metadata]
    if origin in (Union, types.UnionType):
        parts = [_parts(argument) for argument in arguments]
        kinds = [kind for part in parts for kind in part[0]]
        several = [kind for part in parts for kind in part[1]]
        words = tuple(dict.fromkeys(word for part in parts for word in part[2]))
        return kinds, several, words, [m for part in parts for m in part[3]]
    if origin is Literal:
        return [type(arguments[0])], [], arguments, []
    if origin in (tuple, list, Sequence):
        kinds, _, words, metadata = _parts(arguments[0])
        return [], kinds, words, metadata
    return ([hint] if hint in (*PLAIN, type(None)) else []), [], (), []


def _hints(make: Callable[..., Any]) -> dict[str, Any]:
    if isinstance(make, functools.partial):
        return _hints(make.func)
    made = inspect.unwrap(make)
    target = (
        made if not isinstance(made, type) or "__annotations__" in vars(made) else made.__init__
    )
    try:
        return typing.get_type_hints(target, include_extras=True)
    except NameError:  # names that only a type checker imports
        return dict(getattr(target, "__annotations__", {}))


def _help(make: Callable[..., Any]) -> dict[str, str]:
    """By parameter what the docstring says of it, in one line."""
    parsed = docstring_parser.parse(
        inspect.getdoc(make) or "", docstring_parser.DocstringStyle.GOOGLE
    )
    return {
        name.strip(): " ".join((one.description or "").replace("``", "").split()).rstrip(".")
        for one in parsed.params
        for name in one.arg_name.split(",")
    }
