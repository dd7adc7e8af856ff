"""Groups of clients with the same labels: a structure that a clustering should find."""

from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Int, Int32

from demjax.data.client_data import Partition
from demjax.data.partitions.labels import give_labels
from demjax.data.partitions.splitting import checked, is_whole
from demjax.data.transforms.conflicts import planted_clusters
from demjax.registry import PARTITIONS, Range


class Planted(NamedTuple):
    """A partition, and the truth about its groups.

    Attributes:
        partition: Which examples each client has.
        group: The group of each client, ``0 … groups - 1``.
    """

    partition: Partition
    group: Int32[np.ndarray, " N"]


@PARTITIONS.register()
def planted(
    y: Int[np.ndarray, " T"],
    *,
    clients: int,
    true_clusters: Annotated[int, Range(1)] = 4,
    labels_per_client: Annotated[int, Range(1)] = 2,
    seed: int,
    label_sigma: Annotated[float, Range(0, 1e100)] = 0.0,
    test_fraction: Annotated[float, Range(1e-6, 1 - 1e-6)] = 0.2,
    train_count: int | None = None,
) -> Planted:
    """Give groups of clients the same labels, other groups others.

    Client n of N is in group ``g = ⌊n G / N⌋``, which has the labels ``(⌊g C / G⌋ + j) % C`` for
    ``j < k`` (of the C labels that occur). Groups share labels where ``k G > C``. Each label is
    given in full to its holders as in ``labels``: for ``σ = 0`` all alike, to within one example.

    Args:
        y: Labels.
        clients: Number of clients, N, at least ``true_clusters``.
        true_clusters: Number of groups, G, 1 to C.
        labels_per_client: k, 1 to C - 1, so that no two groups are alike (or C with one group).
        seed: What the random choices follow from, 0 or above.
        label_sigma: σ, standard deviation of the logarithm of the amounts, at least 0.
        test_fraction: Share of each client's examples kept for testing, above 0 and below 1, where
            all are one part.
        train_count: The first so many examples are the data's own training part, which alone is
            trained on; of the test part's examples of a label each client has the share that it
            has of the training part's. By default all examples are one part.

    Returns:
        The partition, with every example of a label that somebody has, and each client's group.

    Raises:
        ValueError: An argument is outside its range, or a label has too few examples.
    """
    y, part = checked(y, clients=clients, seed=seed, train_count=train_count)
    count = len(np.unique(part))
    if not is_whole(true_clusters) or not 1 <= true_clusters <= min(count, clients):
        raise ValueError(
            f"{clients} clients with {count} labels can be of 1 to {min(count, clients)} groups, "
            f"not {true_clusters}."
        )
    if labels_per_client == count and true_clusters > 1:
        raise ValueError(
            f"Groups that all have all {count} labels are alike; possible is 1 to {count - 1} "
            "labels for each group."
        )
    group = planted_clusters(clients, true_clusters)
    first = group.astype(np.int64) * count // true_clusters
    partition = give_labels(
        y,
        first,
        labels_per_client,
        seed=seed,
        label_sigma=label_sigma,
        test_fraction=test_fraction,
        train_count=train_count,
    )
    return Planted(partition, group)
