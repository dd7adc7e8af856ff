"""The JSON of LEAF's files: numbers as arrays, and what is none named by its place."""

import contextlib
import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np


def parsed(path: Path) -> dict[str, Any]:
    """A file's content, lists of numbers by the names x and y as arrays.

    Raises:
        ValueError: It cannot be read, is no JSON, or a name is there twice.
    """
    twice: list[str] = []  # JSON's reader would keep the last of them without a word
    try:
        raw = path.read_bytes()
        # Words among numbers are rare, and would become numbers in an array.
        words = any(word in raw for word in (b"true", b"false", b"null"))
        hook = partial(_as_arrays, words=words, twice=twice)
        content = json.loads(raw, object_pairs_hook=hook)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or nested without end
        reason = str(error).rstrip(".")
        raise ValueError(f"{path} is no whole JSON file ({reason}).") from error
    if twice:
        raise ValueError(f"{path} holds {twice[0]!r} twice, but possible is each once.")
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not an object as LEAF's files.")
    return content


def _as_arrays(pairs: list[tuple[str, Any]], *, words: bool, twice: list[str]) -> dict[str, Any]:
    """One user's numbers as arrays as soon as parsed: objects would take four times more."""
    parsed = dict(pairs)
    if len(parsed) < len(pairs):
        twice += [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]
    for key in {"x", "y"} & parsed.keys():
        if isinstance(parsed[key], list) and not (words and _odd(parsed[key])):
            with contextlib.suppress(ValueError, OverflowError):  # refused later, by user
                made = np.array(parsed[key])
                parsed[key] = parsed[key] if made.dtype.hasobject else made
    return parsed


def array(values: Any, name: str, where: str) -> np.ndarray:
    """A list of numbers, or of lists of them, as an array.

    Args:
        values: What ``parsed`` made of it.
        name: Its name, x or y.
        where: The file and the place in it.

    Raises:
        ValueError: These are no numbers, with the first that is none.
    """
    odd = _odd(values) if isinstance(values, list) else None
    if odd is not None:
        raise ValueError(
            f"The data of {where} hold {json.dumps(odd[1])[:30]} in {name} of example {odd[0]}, "
            "but only numbers of up to 64 bits are read."
        )
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):  # lists of different lengths
        array = np.array(None)
    if array.dtype.kind in "US":
        raise ValueError(
            f"The data of {where} are text, but only numbers are read; possible are FEMNIST, "
            "Synthetic and others of numbers, not Shakespeare, Sent140 or Reddit."
        )
    if array.dtype.kind not in "uif" or not array.ndim:
        raise ValueError(
            f"The data of {where} are not lists of numbers, of one length for all inputs."
        )
    return array


def _odd(values: Any) -> tuple[int, Any] | None:
    """Where the first example is that holds something other than numbers of 64 bits, and what."""

    def found(value: Any) -> list[Any]:
        if isinstance(value, list):
            return next((odd for odd in map(found, value) if odd), [])
        huge = isinstance(value, int) and not -(2**63) <= value < 2**64
        return [value] if value is None or isinstance(value, bool) or huge else []

    places = ((place, found(value)) for place, value in enumerate(values))
    return next(((place, odd[0]) for place, odd in places if odd), None)
