"""Numbers of groups and heights, one for each level of a cut, the lowest first: what can be."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

from demjax.registry import check_number, check_whole


def check_counts(whose: str, given: Sequence[int]) -> None:
    """Refuse numbers of groups that are not whole, below 1, or that increase.

    Raises:
        ValueError: One sentence: what was given, and what is possible.
    """
    what = "numbers of groups"
    _check_sequence(whose, what, given, "(12, 6, 3)")
    for number in given:
        check_whole(whose, what, number, 1)
    _check_order(whose, what, given, -1)


def check_heights(whose: str, given: Sequence[Any]) -> None:
    """Refuse heights below 0, or that decrease; traced ones pass.

    Raises:
        ValueError: One sentence: what was given, and what is possible.
    """
    _check_sequence(whose, "heights", given, "(0.5, 1.0)")
    for number in given:
        if isinstance(number, str):
            raise ValueError(f"{whose} needs heights that are numbers, but {number!r} was given.")
        check_number(whose, "heights", number, 0)
    _check_order(whose, "heights", given, 1)


def _check_sequence(whose: str, what: str, given: Any, such: str) -> None:
    if isinstance(given, str) or not hasattr(given, "__len__"):
        raise ValueError(
            f"{whose} needs {what} in a sequence, the lowest level first, such as {such}, but "
            f"{given!r} was given."
        )


def _check_order(whose: str, what: str, given: Sequence[Any], sign: int) -> None:
    """Refuse numbers that descend, or with ``sign = -1`` ascend."""
    plain: list[Any] = [sign * number for number in given if isinstance(number, Real)]
    if plain != sorted(plain):
        raise ValueError(
            f"{whose} needs {what} that do not {'decrease' if sign > 0 else 'increase'} from the "
            f"lowest level to the highest, but {tuple(given)} were given."
        )
