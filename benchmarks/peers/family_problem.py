"""A small problem that leaves nothing to chance: all examples of a client in one batch.

It needs NumPy only, so that every side can make it for itself.
"""

from typing import NamedTuple

import numpy as np

FEATURES, HIDDEN, CLASSES = 6, 5, 3
SIZES = (12, 30, 7, 21, 16)
EDGES = (0, 0, 1, 1, 1)  # the edge of each client, where there are edges
RATE, EPOCHS = 0.2, 3


class Problem(NamedTuple):
    """What all sides begin with.

    The first models are float32: of softmax regression ``kernel [FEATURES, CLASSES]`` and
    ``bias``; of a network ``hidden_kernel [FEATURES, HIDDEN]`` and ``hidden_bias``, a ReLU, then
    ``kernel [HIDDEN, CLASSES]`` and ``bias``.
    """

    x: list[np.ndarray]  # of each client, float32 [n, FEATURES]
    y: list[np.ndarray]  # int64 [n]
    linear: dict[str, np.ndarray]
    network: dict[str, np.ndarray]


def problem(alike: bool = False) -> Problem:
    """Five clients of different sizes, each with a rule of its own for what label an input has.

    ``alike`` leaves all as many examples as the smallest, for batch normalization: demjax fills the
    batch of a smaller client up with examples that then count twice in the batch's statistics.
    """
    rng = np.random.default_rng(7)
    x = [rng.normal(rng.normal(size=FEATURES), 1, (n, FEATURES)).astype("float32") for n in SIZES]
    rules = rng.normal(size=(len(SIZES), FEATURES, CLASSES))
    y = [np.argmax(some @ rule, axis=1) for some, rule in zip(x, rules, strict=True)]

    if alike:
        x, y = ([some[: min(SIZES)] for some in parts] for parts in (x, y))

    def layer(width: int, outputs: int, before: str = "") -> dict[str, np.ndarray]:
        kernel = rng.normal(0, 0.3, (width, outputs)).astype("float32")
        bias = rng.normal(0, 0.1, outputs).astype("float32")
        return {f"{before}kernel": kernel, f"{before}bias": bias}

    linear = layer(FEATURES, CLASSES)
    return Problem(x, y, linear, layer(FEATURES, HIDDEN, "hidden_") | layer(HIDDEN, CLASSES))
