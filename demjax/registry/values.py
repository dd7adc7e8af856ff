"""Values of options: read from words, and checked by type, range and possible words."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from demjax.registry.ranges import nearest
from demjax.registry.signatures import PLAIN, Option


def read_word(option: Option, word: str) -> Any:
    """An option's value from a word of the command line, where commas part several.

    Raises:
        ValueError: If the word is no such value.
    """
    try:
        if option.several is not None and (option.single is None or "," in word):
            return tuple(_read(option.several, part.strip()) for part in word.split(","))
        return _read(option.single or str, word)
    except ValueError:
        kind = option.single or option.several or str
        listed = "values parted by commas, each " if option.single is None else ""
        raise ValueError(
            f"{option.flag} needs {listed}{_TYPES[kind]}, but {word!r} was given."
        ) from None


def check_value(option: Option, value: Any, subject: str) -> None:
    """Refuse a value of the wrong type, or outside its range or words.

    What is neither of the plain types nor a number of NumPy's (an array, a traced number, a
    function) passes: it was made in Python, and is checked where it is used.

    Args:
        option: The option.
        value: Its value.
        subject: What the sentence begins with, such as ``"--prox needs"``.
    """
    if value is None and (option.optional or option.default is None):
        return
    if value is None:
        wanted = _TYPES[option.single or option.several or str]
        raise ValueError(f"{subject} {wanted}, but None was given.")
    listed, alone = isinstance(value, tuple | list), isinstance(value, (*PLAIN, np.generic))
    if listed and option.several is not None and (len(value) or option.default == ()):
        for one in value:
            _check_one(option, option.several, one, subject)
    elif option.single is None and (listed or alone):
        kind = _TYPES[option.several or str]
        raise ValueError(
            f"{subject} values parted by commas, each {kind}, but {value!r} was given."
        )
    elif listed or alone:
        _check_one(option, option.single or str, value, subject)


def check_made(subject: str, value: Any, kind: Any, possible: str) -> None:
    """Refuse what is of another type than what some function makes, such as the function itself.

    Args:
        subject: What the sentence begins with, such as ``"A run needs algorithm as"``.
        value: What was given.
        kind: A type, or several.
        possible: What is possible, in words.

    Raises:
        ValueError: One sentence: what was given and what is possible.
    """
    if not isinstance(value, kind):
        raise ValueError(f"{subject} {possible}, but {_in_words(value)} was given.")


def _in_words(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if hasattr(value, "__name__"):
        return f"the function {value.__name__}, not what it makes,"
    return repr(value) if value is None or isinstance(value, PLAIN) else type(value).__name__


def _check_one(option: Option, kind: type, value: Any, subject: str) -> None:
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, PLAIN):
        if isinstance(value, tuple | list | Mapping):
            raise ValueError(f"{subject} {_TYPES[kind]}, but {value!r} was given.")
        return
    right = isinstance(value, int | float) if kind is float else isinstance(value, kind)
    if not right or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{subject} {_TYPES[kind]}, but {value!r} was given.")
    if option.words is not None and value not in option.words:
        what = option.name.replace("_", " ")
        raise ValueError(f"The {what} {value!r} is unknown; {nearest(str(value), option.words)}.")
    bounds = option.range
    if bounds is not None and kind in (int, float) and value not in bounds:
        raise ValueError(f"{subject} {bounds.words}, but {value} was given.")
    if isinstance(value, int) and value > 2**31 - 1:  # it becomes 32 bits wide on the device
        raise ValueError(f"{subject} at most {2**31 - 1}, but {value} was given.")


_TYPES: Mapping[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "a word",
    bool: "true or false",
}


def _read(kind: type, word: str) -> Any:
    if kind is bool:
        if word.lower() not in ("true", "false"):
            raise ValueError
        return word.lower() == "true"
    return kind(word)
