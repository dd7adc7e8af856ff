"""A choice of one's own, from a file: ``path/to/mine.py:mine``. It runs the file's code."""

import functools
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from demjax.registry.ranges import nearest
from demjax.registry.signatures import UNNAMED, accepts, options_of

if TYPE_CHECKING:
    from demjax.registry.choices import Choice, Registry


_PREFIX = "demjax_user_file_"
"""What the modules of users' files are called."""


def from_file(word: str, registry: "Registry") -> "Choice":
    """The function or class of a Python file as a choice, under the same rules as those built in.

    Args:
        word: The file and the name in it, ``path/to/mine.py:mine``.
        registry: What it is a choice of.

    Raises:
        ValueError: If there is no such file, it fails on import, has no such function, or one that
            lacks an argument it is given, or has one that nobody gives.
    """
    from demjax.registry.calls import configurable
    from demjax.registry.choices import Choice

    path, _, name = word.rpartition(":")
    found = _loaded(Path(path), word)
    thing = getattr(found, name, None)
    if thing is None:
        own = [
            n
            for n, v in vars(found).items()
            if getattr(v, "__module__", "") == found.__name__ and not n.startswith("_")
        ]
        possible = nearest(name, own) if own else "it defines no function or class"
        raise ValueError(f"{path} has no {registry.kind} {name!r}; {possible}.")
    if not callable(thing):
        raise ValueError(
            f"{name!r} in {path} is no function, but {type(thing).__name__}; possible is one that "
            f"makes a {registry.kind}."
        )
    _check_signature(thing, f"{name!r} in {path}", name, registry)
    made = thing if isinstance(thing, type) else configurable(thing, registry.given)
    make = _told(made, f"{name!r} in {path}")
    return Choice(word, make, {"label": name, "paper": f"{path}", "family": "of one's own"})


def _check_signature(
    thing: Callable[..., Any], whose: str, name: str, registry: "Registry"
) -> None:
    """Refuse what does not take what every choice of its kind does, or wants what nobody gives."""
    form = f"{name}({', '.join((*registry.needed, '*', '…'))})"
    missing = next((needed for needed in registry.needed if not accepts(thing, needed)), None)
    if missing is not None:
        raise ValueError(
            f"{whose} takes no argument {missing!r}, which each {registry.kind} is given; possible "
            f"is {form}."
        )
    known = {*registry.given, *UNNAMED, *(one.name for one in options_of(thing, registry.given))}
    for parameter in inspect.signature(thing).parameters.values():
        fixed = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        if parameter.default is parameter.empty and not fixed and parameter.name not in known:
            raise ValueError(
                f"{whose} needs the argument {parameter.name!r}, which nobody gives; possible is a "
                "default for it, or a number, a word or a truth value as its annotation."
            )


def _told(make: Callable[..., Any], whose: str) -> Callable[..., Any]:
    """The same, but what fails in it is told in a sentence."""

    @functools.wraps(make, updated=())
    def told(*arguments: Any, **options: Any) -> Any:
        try:
            return make(*arguments, **options)
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"{whose} failed{_line_of(error)} ({reason(error)}).") from error

    told.__signature__ = inspect.signature(make)  # type: ignore[attr-defined]
    return told


def reason(error: BaseException) -> str:
    """The kind of an error, and what it says first."""
    said = str(error).strip().split("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def place_of(error: BaseException) -> str:
    """The line of a user's file that an error came from, ``" in mine.py, line 7"``; else empty."""
    places = [(frame.f_code.co_filename, line) for frame, line in _own_frames(error)]
    return " in {}, line {}".format(*places[-1]) if places else ""


def _line_of(error: BaseException) -> str:
    """The same without the file, ``" on line 7"``."""
    lines = [line for _, line in _own_frames(error)]
    return f" on line {lines[-1]}" if lines else ""


def _own_frames(error: BaseException) -> list[tuple[FrameType, int]]:
    steps = traceback.walk_tb(error.__traceback__)
    return [s for s in steps if s[0].f_globals.get("__name__", "").startswith(_PREFIX)]


def _loaded(path: Path, word: str) -> Any:
    """The module of a file, imported once however often it is asked for."""
    if not path.is_file():
        raise ValueError(f"{word!r} names the file {path}, which does not exist.")
    name = f"{_PREFIX}{abs(hash(path.resolve()))}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} cannot be imported: it is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ValueError(
            f"{path} cannot be imported{_line_of(error)} ({reason(error)})."
        ) from error
    return module
