"""What can be chosen by name, and what its signature says of it."""

from typing import Any


def check_number(whose: str, name: str, value: Any, low: float, high: float | None = None) -> None:
    """Refuse a plain number outside its range; traced numbers cannot be checked and pass.

    Raises:
        ValueError: One sentence: what was given, and what is possible.
    """
    if isinstance(value, int | float) and not low <= value <= (
        float("inf") if high is None else high
    ):
        possible = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{whose} needs {name} {possible}, but {value} was given.")
