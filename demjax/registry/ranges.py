"""Ranges of numbers, as annotations, and sentences for what is not possible."""

import difflib
import operator
from collections.abc import Iterable
from numbers import Real
from typing import Annotated, Any, NamedTuple

from jaxtyping import Array, Float

Number = Float[Array, ""] | float
"""A number that may be traced, so that ``vmap`` can sweep it."""


class Range(NamedTuple):
    """What a number can be: ``Annotated[float, Range(0, 1)]``; both ends belong to it.

    Attributes:
        low: The least.
        high: The greatest; by default there is none.
    """

    low: float
    high: float | None = None

    def __contains__(self, value: Any) -> bool:
        return bool(self.low <= value and (self.high is None or value <= self.high))

    @property
    def words(self) -> str:
        """The range as a reader wants it."""
        low = f"{self.low:.12g}"
        return f"{low} or more" if self.high is None else f"{low} to {self.high:.12g}"


Share = Annotated[Number, Range(0, 1)]
"""A share of a whole."""


def check_number(whose: str, name: str, value: Any, low: float, high: float | None = None) -> None:
    """Refuse a plain number outside its range; traced numbers cannot be checked and pass."""
    if isinstance(value, Real) and value not in Range(low, high):
        possible = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{whose} needs {name} {possible}, but {value} was given.")


def check_whole(whose: str, name: str, value: Any, low: float) -> None:
    """Refuse what is no whole number of at least ``low``.

    Raises:
        ValueError: One sentence: what was given, and what is possible.
    """
    try:
        check_number(whose, name, operator.index(value), low)
    except TypeError:
        raise ValueError(
            f"{whose} needs {name} that are whole numbers of at least {low}, but {value!r} was "
            "given."
        ) from None


def nearest(name: str, possible: Iterable[str]) -> str:
    """A half-sentence naming the nearest possible name, if one is near, and all of them."""
    possible = list(possible)
    close = difflib.get_close_matches(str(name).lower(), possible, n=1, cutoff=0.5)
    hint = f"perhaps {close[0]!r} was meant, and " if close else ""
    return f"{hint}possible are {', '.join(possible)}"
