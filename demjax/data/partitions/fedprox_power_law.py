"""FedProx's MNIST: a thousand clients of two digits each, sizes by a power law.

Li et al., *Federated Optimization in Heterogeneous Networks*, MLSys 2020, arXiv 1812.06127. The
published draw had no seed, so that the split cannot be had again, but its rule can. The paper
counts 69,035 examples, 69 a client with a deviation of 106. Over the seeds 0 to 2,999 the rule
gives 69,059 (69,012 to 69,116), and a deviation of 165 in the median, never below 113: the paper's
deviation is none that these draws have.
"""

from typing import Annotated

import numpy as np
from jaxtyping import Int

from demjax.data.client_data import Partition
from demjax.data.partitions.splitting import SplitSeed, checked, is_whole
from demjax.registry import PARTITIONS, Range

_FIRST = 5  # examples of each of its labels that every client has
_TRAIN = 0.9


@PARTITIONS.register()
def fedprox_power_law(
    y: Int[np.ndarray, " T"],
    *,
    clients: int = 1000,
    labels_per_client: Annotated[int, Range(1)] = 2,
    label_sigma: Annotated[float, Range(0, 1e100)] = 2.0,
    split_seed: SplitSeed = 0,
) -> Partition:
    """Partition as FedProx's MNIST: two labels for each client, in log-normal amounts.

    Client u has the labels ``(u + j) % C``, ``j < k``, in file order: first 5 of each, then
    ``int(p (count − given))`` more where that leaves some, ``p`` log-normal shares of a label. A
    tenth of its examples, rounded up, are its tests; both parts of the data are joined.

    Args:
        y: All labels of the data, training files first.
        clients: Number of clients.
        labels_per_client: ``k``, 1 to ``C``.
        label_sigma: σ, standard deviation of the logarithm of the amounts, at least 0.
        split_seed: What the draws follow from, whatever the seed of the run is.

    Returns:
        The partition; a few examples of each label are nobody's.

    Raises:
        ValueError: An argument is outside its range, or a label has too few examples.

    Source: Li et al., arXiv 1812.06127, whose draws had no seed.
    """
    y, _ = checked(y, clients=clients, seed=split_seed)
    names, k = np.unique(y), labels_per_client
    if not is_whole(k) or not 1 <= k <= len(names):
        raise ValueError(
            f"A client can have 1 to {len(names)} labels, as many as occur in these data, not {k}."
        )
    label = (np.arange(clients)[:, np.newaxis] + np.arange(k)) % len(names)
    used = _FIRST * np.bincount(label.reshape(-1), minlength=len(names))
    count = np.array([np.count_nonzero(y == name) for name in names])
    if (used > count).any():
        lacking = int(np.argmax(used > count))
        raise ValueError(
            f"Label {names[lacking]} has {count[lacking]} examples, enough for "
            f"{count[lacking] // _FIRST} clients with {_FIRST} each, but "
            f"{used[lacking] // _FIRST} of the {clients} clients are to have it."
        )
    rng = np.random.RandomState(split_seed)
    share = rng.lognormal(0, label_sigma, (len(names), -(-clients // len(names)), k))
    share = share / share.sum(axis=(1, 2), keepdims=True)
    more = ((count - used)[:, np.newaxis, np.newaxis] * share).astype(int)
    pools = [np.flatnonzero(y == name) for name in names]
    begun = np.zeros(len(names), int)
    held: list[list[np.ndarray]] = [[] for _ in range(clients)]
    for u, mine in enumerate(label.tolist()):
        for name in mine:
            held[u].append(pools[name][begun[name] : begun[name] + _FIRST])
            begun[name] += _FIRST
    for u, mine in enumerate(label.tolist()):
        for j, name in enumerate(mine):
            extra = more[name, u // len(names), j]
            if begun[name] + extra < count[name]:
                held[u].append(pools[name][begun[name] : begun[name] + extra])
                begun[name] += extra
    pairs = []
    for parts in held:
        mixed = rng.permutation(np.concatenate(parts))
        pairs.append(np.split(mixed, [int(_TRAIN * len(mixed))]))
    return Partition(*zip(*pairs, strict=True))
