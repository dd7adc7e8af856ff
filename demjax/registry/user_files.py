"""A choice of one's own, from a file: ``path/to/mine.py:mine``. It runs the file's code."""

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demjax.registry.ranges import nearest

if TYPE_CHECKING:
    from demjax.registry.choices import Choice, Registry


def from_file(word: str, registry: "Registry") -> "Choice":
    """The function or class of a Python file as a choice, under the same rules as those built in.

    Args:
        word: The file and the name in it, ``path/to/mine.py:mine``.
        registry: What it is a choice of.

    Raises:
        ValueError: If there is no such file, it fails on import, or has no such function.
    """
    from demjax.registry.choices import Choice, configurable

    path, _, name = word.rpartition(":")
    found = _loaded(Path(path), word)
    thing = getattr(found, name, None)
    if thing is None:
        own = [n for n, v in vars(found).items() if callable(v) and not n.startswith("_")]
        raise ValueError(f"{path} has no {registry.kind} {name!r}; {nearest(name, own)}.")
    if not callable(thing):
        raise ValueError(
            f"{name!r} in {path} is no function, but {type(thing).__name__}; possible is one that "
            f"makes a {registry.kind}."
        )
    make = thing if isinstance(thing, type) else configurable(thing, registry.given)
    return Choice(word, make, {"label": name, "paper": f"{path}", "family": "of one's own"})


def _loaded(path: Path, word: str) -> Any:
    """The module of a file, imported once however often it is asked for."""
    if not path.is_file():
        raise ValueError(f"{word!r} names the file {path}, which does not exist.")
    name = f"demjax_user_file_{abs(hash(path.resolve()))}"
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
        reason = str(error).strip().split("\n")[0] or "no reason was given"
        raise ValueError(
            f"{path} cannot be imported ({type(error).__name__}): {reason.rstrip('.')}."
        ) from error
    return module
