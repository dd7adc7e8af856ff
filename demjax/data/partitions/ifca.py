"""IFCA's split: in each true cluster all examples once more, shared out among its clients.

Ghosh et al., *An Efficient Framework for Clustered Federated Learning*, NeurIPS 2020,
arXiv 2006.04088. With ``--conflict rotated`` it is rotated MNIST: 0, 90, 180 and 270 degrees, or of
two clusters, with ``--quarter-turns 2``, 0 and 180; with ``--conflict permuted`` permuted MNIST.
"""

from typing import Annotated

import numpy as np
from jaxtyping import Int

from demjax.data.client_data import Partition
from demjax.data.partitions.planted import Planted
from demjax.data.partitions.splitting import SplitSeed, checked, is_whole
from demjax.data.transforms.conflicts import planted_clusters
from demjax.registry import PARTITIONS, Range


@PARTITIONS.register(file_order=True)
def ifca(
    y: Int[np.ndarray, " T"],
    *,
    clients: int = 2400,
    true_clusters: Annotated[int, Range(1)] = 4,
    split_seed: SplitSeed = 0,
    train_count: int,
) -> Planted:
    """Share out all examples in each true cluster: every example is one client's in each.

    ``m`` clients of ``p`` clusters have ``n = T p / m`` training examples each: cluster by cluster
    all are permuted and cut into ``m / p`` runs. Tests are such runs of the test part in its order,
    the same in all clusters. (There, as many more clients as it takes have the tests.)

    Args:
        y: All labels of the data in file order, training files first.
        clients: ``m``; 4,800, 2,400 and 1,200 in the paper's table, with ``n`` 50, 100 and 200.
        true_clusters: ``p``, of which the number of clients is a multiple.
        split_seed: What the draws follow from, whatever the seed of the run is.
        train_count: The first so many examples are the data's own training part.

    Returns:
        The partition, in which an example has a client in each cluster, and the clusters.

    Raises:
        ValueError: An argument is outside its range, or the data have no test part.

    Source: Ghosh et al., arXiv 2006.04088; NumPy's legacy generator with seed 0.
    """
    y, part = checked(y, clients=1, seed=split_seed, train_count=train_count)
    tests = len(y) - len(part)
    if not tests:
        raise ValueError(
            "IFCA's partition tests on the data's own test part, but these data have none, or it "
            "is pooled; possible is another --partition."
        )
    if not is_whole(clients) or clients < 1 or clients % true_clusters:
        raise ValueError(
            f"{clients} clients cannot be of {true_clusters} true clusters, as many of each; "
            f"possible is a multiple of {true_clusters}."
        )
    each = clients // true_clusters
    if each > len(part):
        raise ValueError(
            f"{len(part)} examples are enough for {len(part)} clients of a true cluster, not for "
            f"{each}."
        )
    rng = np.random.RandomState(split_seed)
    train, test = [], []
    for _ in range(true_clusters):
        train += np.array_split(rng.permutation(len(part)), each)
        test += np.array_split(np.arange(len(part), len(y)), each)
    return Planted(Partition(tuple(train), tuple(test)), planted_clusters(clients, true_clusters))
