"""A convex problem that leaves nothing to chance: softmax regression, all examples in a batch.

It needs NumPy only, so that every side can make it for itself.
"""

from typing import NamedTuple

import numpy as np

FEATURES, CLASSES = 6, 3
SIZES = (12, 30, 7, 21, 16)
RATE, EPOCHS = 0.2, 3


class Problem(NamedTuple):
    """What all sides begin with."""

    x: list[np.ndarray]  # of each client, float32 [n, FEATURES]
    y: list[np.ndarray]  # int64 [n]
    kernel: np.ndarray  # the first model, float32 [FEATURES, CLASSES]
    bias: np.ndarray  # float32 [CLASSES]


def problem() -> Problem:
    """Five clients of different sizes, each with a rule of its own for what label an input has."""
    rng = np.random.default_rng(7)
    x = [rng.normal(rng.normal(size=FEATURES), 1, (n, FEATURES)).astype("float32") for n in SIZES]
    rules = rng.normal(size=(len(SIZES), FEATURES, CLASSES))
    y = [np.argmax(some @ rule, axis=1) for some, rule in zip(x, rules, strict=True)]
    kernel = rng.normal(0, 0.3, (FEATURES, CLASSES)).astype("float32")
    return Problem(x, y, kernel, rng.normal(0, 0.1, CLASSES).astype("float32"))
