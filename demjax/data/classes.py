"""Labels as the classes ``0 … C − 1`` of a model, and the table of what each was before."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

MOST_CLASSES = 100_000
"""More labels than any data set has: a larger one is a mistake, and would make a vast model."""

_SHOWN = 6


class EncodedLabels(NamedTuple):
    """Labels by number.

    Attributes:
        y: Labels, int32, ``0 … C − 1``.
        labels: What each number stands for, as a word.
    """

    y: Int[np.ndarray, " T"]
    labels: tuple[str, ...]


def encode_labels(y: Any, *, labels: Sequence[str] | None = None) -> EncodedLabels:
    """Number labels of any kind ``0 … C − 1``, and keep which is which.

    ``encode_labels(["cat", "ant", "cat"])`` is ``([1, 0, 1], ("ant", "cat"))``; a classifier of it
    has ``len(labels)`` outputs.

    Args:
        y: A label for each example: words, whole numbers or truth values, in an array or a list.
        labels: The table of an earlier call, for examples that are to be numbered alike; by
            default every label that occurs, words by the alphabet, numbers in ascending order.

    Returns:
        The numbers and the table.

    Raises:
        ValueError: A label is missing, no word and no whole number, or not in the table; or there
            are words and numbers.
    """
    given = np.asarray(y)
    if given.ndim != 1 or not given.size or given.dtype.kind not in "OUSTbiuf":
        raise ValueError(
            "Labels must be words or whole numbers in one dimension, at least one, not "
            f"{given.dtype} of shape {given.shape}."
        )
    values = given.tolist()
    try:
        read: dict[Any, Any] = {value: _label(value) for value in set(values)}
    except TypeError:  # lists, or other things that are not equal or different
        raise ValueError(
            "Labels must be words or whole numbers, not collections of them."
        ) from None
    wrong = [value for value, label in read.items() if label is None]
    if wrong:
        raise ValueError(
            f"Labels must be words or whole numbers, but that of example {values.index(wrong[0])} "
            f"is {wrong[0]!r}; numbers that are not whole are targets of a regression."
        )
    if len({isinstance(label, str) for label in read.values()}) > 1:
        raise ValueError("Labels must be all words or all numbers, but there are both of them.")
    if labels is None:
        labels = [str(label) for label in sorted(set(read.values()))]
    if len(labels) > MOST_CLASSES:
        raise ValueError(
            f"There are {len(labels)} different labels, but up to {MOST_CLASSES} are possible; "
            "numbers to be predicted as such are for a regression."
        )
    table = {name: number for number, name in enumerate(labels)}
    by_value = {value: table.get(str(label), -1) for value, label in read.items()}
    numbers = np.fromiter(map(by_value.__getitem__, values), np.int32, len(values))
    if numbers.min() < 0:
        at = int(numbers.argmin())
        raise ValueError(
            f"The label of example {at} is {values[at]!r}; possible are those of the table, "
            f"{_listed(labels)}."
        )
    return EncodedLabels(numbers, tuple(map(str, labels)))


def _label(value: Any) -> str | int | None:
    """A label as a word or a whole number; ``None`` where it is neither."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, str | int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def checked_classes(
    y: np.ndarray, where: object, *, classes: int | None = None
) -> Int[np.ndarray, " T"]:
    """Labels as int32: whole numbers, ``0 … classes - 1``.

    Args:
        y: What a file holds; floats are read where they are whole.
        where: The file and the place in it, for the sentence.
        classes: Number of labels, ``None`` where the largest one decides.

    Raises:
        ValueError: These are no such labels.
    """
    if y.ndim != 1 or y.dtype.kind not in "uif":
        raise ValueError(
            f"{where} holds labels of type {y.dtype} and shape {y.shape}, "
            "but whole numbers in one dimension are expected."
        )
    most = MOST_CLASSES if classes is None else classes
    wrong = ~((y >= 0) & (y < most) & (y == np.floor(y)))  # written so that NaN is wrong
    if wrong.any():
        at = int(wrong.argmax())
        raise ValueError(
            f"{where} holds the label {y[at]} at position {at}, "
            f"but only the labels 0 to {most - 1} are possible."
        )
    return y.astype(np.int32)


def without_gaps(
    y: np.ndarray, where: object
) -> tuple[Int[np.ndarray, " T"], tuple[str, ...] | None]:
    """Labels as int32 ``0 … C − 1``, each of which occurs, and what they were before.

    Args:
        y: What a file holds: words, or whole numbers from 0 on.
        where: The file and the place in it, for the sentence.

    Returns:
        The labels and their names; ``None`` where they were ``0 … C − 1`` already.

    Raises:
        ValueError: These are no such labels.
    """
    if y.dtype.kind in "UST" and y.ndim == 1 and y.size:
        return encode_labels(y)
    y = checked_classes(y, where)
    occurs = np.bincount(y) > 0
    if occurs.all():
        return y, None
    numbers = (np.cumsum(occurs) - 1).astype(np.int32)
    return numbers[y], tuple(map(str, np.flatnonzero(occurs)))


def label_note(
    name: str, y: Int[np.ndarray, " T"], classes: int, labels: Sequence[str] | None
) -> str | None:
    """What is to be said of a data set's labels: that they are numbered anew, or never occur."""
    if labels is not None:
        last = f"0 to {classes - 1}" if classes > 1 else "0"
        return f"The labels of {name} are numbered {last} in this order: {_listed(labels)}."
    absent = np.flatnonzero(np.bincount(y, minlength=classes) == 0)
    if not len(absent):
        return None
    return f"Of the labels 0 to {classes - 1} of {name}, no example has {_listed(absent)}."


def _listed(labels: Sequence[Any] | np.ndarray) -> str:
    more = len(labels) - _SHOWN
    shown = ", ".join(str(label) for label in labels[:_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown
