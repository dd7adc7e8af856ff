"""What always answering the commonest label would score: the accuracy that learns nothing."""

from typing import NamedTuple

import numpy as np

from demjax.base import ClientData


class Majority(NamedTuple):
    """The accuracy of answers that no model is needed for.

    Attributes:
        all: Of always answering the commonest label of all clients' test examples.
        own: Of answering each client's test examples by the commonest label among them.
    """

    all: float
    own: float


def majority(clients: ClientData) -> Majority | None:
    """What accuracy is to be compared with; ``None`` without test examples or without labels.

    Args:
        clients: Everybody's data; concrete arrays, not traced ones.
    """
    if clients.y.ndim != 1 or not np.issubdtype(clients.y.dtype, np.integer):
        return None
    test, size = np.asarray(clients.test), np.asarray(clients.test_size)
    real = np.arange(test.shape[1]) < size[:, None]
    owner, y = np.nonzero(real)[0], np.asarray(clients.y)[test[real]]
    if not len(y):
        return None
    pairs, each = np.unique(np.stack([owner, y]), axis=1, return_counts=True)
    own = np.zeros(len(size), int)
    np.maximum.at(own, pairs[0], each)
    commonest = np.unique(y, return_counts=True)[1].max()
    return Majority(float(commonest / len(y)), float(own.sum() / len(y)))
