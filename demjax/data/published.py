"""The splits of the published experiments, example for example."""

import numpy as np
from jaxtyping import Int

from demjax.data.clients import Partition, checked_labels

_LABEL_COUNTS = (6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958)


def published_mnist(y: Int[np.ndarray, " T"]) -> Partition:
    """Deal MNIST to the 50 clients of the published experiment, example for example.

    Client u has the labels ``(u + j) % 10``, ``j = 0, 1``, dealt in file order: first 10 of each,
    then ``int(0.4 int(p (count − 100)))`` more, p log-normal shares of a label. scikit-learn
    keeps a stratified fifth of each client for testing. All chance is NumPy's legacy generator,
    seed 1. This gives 3,793 examples, 781 of them for testing; the rest are unused.

    Args:
        y: The 70,000 labels of MNIST in file order, training files first.

    Returns:
        The partition, each client's examples in the published order.

    Raises:
        ValueError: These are not MNIST's labels.

    Source: the published experiment of Nguyen et al., arXiv 2007.03278.
    """
    from sklearn.model_selection import train_test_split  # here: importing demjax stays light

    y = checked_labels(y)
    occurring, counts = np.unique(y, return_counts=True)
    if (*occurring, *counts) != (*range(10), *_LABEL_COUNTS):
        raise ValueError(
            "The published split is of MNIST's 70,000 labels in file order, of which 0 to 9 occur "
            f"{_LABEL_COUNTS} times, not of {len(y)} labels, of which {occurring[:10].tolist()} "
            f"occur {counts[:10].tolist()} times."
        )
    rng = np.random.RandomState(1)
    pools = [np.flatnonzero(y == label) for label in range(10)]
    used = [0] * 10
    held: list[list[np.ndarray]] = [[] for _ in range(50)]
    turns = [(u, j, (u + j) % 10) for u in range(50) for j in range(2)]

    def deal(client: int, label: int, count: int) -> None:
        held[client].append(pools[label][used[label] : used[label] + count])
        used[label] += count

    for u, _, label in turns:
        deal(u, label, 10)
    share = rng.lognormal(0, 1, (10, 50, 2))
    share = share / share.sum(axis=(1, 2), keepdims=True)
    for u, j, label in turns:
        count = int(0.4 * int(share[label, u // 5, j] * (len(pools[label]) - 100)))
        if used[label] + count < len(pools[label]):
            deal(u, label, count)
    pairs = [
        train_test_split(mine, train_size=0.8, stratify=y[mine], random_state=rng)
        for mine in map(np.concatenate, held)
    ]
    return Partition(tuple(train for train, _ in pairs), tuple(test for _, test in pairs))
