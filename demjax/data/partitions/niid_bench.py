"""The splits of NIID-Bench's tables, as its code draws them.

Li et al., *Federated Learning on Non-IID Data Silos: An Experimental Study*, ICDE 2022,
arXiv 2102.02079; Flower's ``niid_bench`` stands on them, too. The training part is given to 10
clients; all chance is NumPy's legacy generator, and Python's for labels, with a seed of 0 there.
No sizes of clients are published that these could be held against. There models are tested on the
whole test part, of which here each client has the share that it has of a label's training examples.
"""

import random
from typing import Annotated

import numpy as np
from jaxtyping import Int

from demjax.data.client_data import Partition
from demjax.data.partitions.capped_dirichlet import capped_dirichlet
from demjax.data.partitions.splitting import SplitSeed, checked, is_whole, split
from demjax.registry import PARTITIONS, Range

AT_LEAST = 10
"""The fewest examples of a client in ``noniid-labeldir``."""


@PARTITIONS.register(file_order=True)
def niid_bench_labeldir(
    y: Int[np.ndarray, " T"],
    *,
    clients: int = 10,
    dirichlet_alpha: Annotated[float, Range(1e-300, 1e300)] = 0.5,
    split_seed: SplitSeed = 0,
    test_fraction: Annotated[float, Range(1e-6, 1 - 1e-6)] = 0.2,
    train_count: int | None = None,
) -> Partition:
    """Partition as NIID-Bench's ``noniid-labeldir`` does: Dirichlet shares of each label.

    The rule is ``capped_dirichlet``, with 10 examples for each client at least.

    Args:
        y: All labels of the data in file order, training files first.
        clients: Number of clients.
        dirichlet_alpha: β there, above 0.
        split_seed: What the draws follow from, whatever the seed of the run is.
        test_fraction: Share of each client's examples kept for testing, above 0 and below 1, where
            all are one part.
        train_count: The first so many examples are the data's own training part, which alone is
            trained on; of the test part's examples of a label each client has the share that it
            has of the training part's. By default all examples are one part.

    Returns:
        The partition; every example is used.

    Raises:
        ValueError: An argument is outside its range, or somebody is always left with too few.

    Source: Li et al., arXiv 2102.02079.
    """
    y, part = checked(y, clients=clients, seed=split_seed, train_count=train_count)
    rng = np.random.RandomState(split_seed)
    held = capped_dirichlet(
        part, clients=clients, dirichlet_alpha=dirichlet_alpha, at_least=AT_LEAST, rng=rng
    )
    for mine in held:
        rng.shuffle(mine)
    return _with_tests(held, y, split_seed, test_fraction, train_count)


@PARTITIONS.register(file_order=True)
def niid_bench_labels(
    y: Int[np.ndarray, " T"],
    *,
    clients: int = 10,
    labels_per_client: Annotated[int, Range(1)] = 2,
    split_seed: SplitSeed = 0,
    test_fraction: Annotated[float, Range(1e-6, 1 - 1e-6)] = 0.2,
    train_count: int | None = None,
) -> Partition:
    """Partition as NIID-Bench's ``noniid-#label2`` does: a few labels for each client.

    Client u has the label ``u % C`` and others at random, and each label is shared out evenly among
    those who have it.

    Args:
        y: All labels of the data in file order, training files first.
        clients: Number of clients; where they are fewer than labels, some labels may be nobody's.
        labels_per_client: How many labels each has, 1 to ``C``.
        split_seed: What the draws follow from, whatever the seed of the run is.
        test_fraction: Share of each client's examples kept for testing, above 0 and below 1, where
            all are one part.
        train_count: The first so many examples are the data's own training part, which alone is
            trained on; of the test part's examples of a label each client has the share that it
            has of the training part's. By default all examples are one part.

    Returns:
        The partition; every example of a label that somebody has is used.

    Raises:
        ValueError: An argument is outside its range, or a label has too few examples.

    Source: Li et al., arXiv 2102.02079.
    """
    y, part = checked(y, clients=clients, seed=split_seed, train_count=train_count)
    names = np.unique(part)
    if not is_whole(labels_per_client) or not 1 <= labels_per_client <= len(names):
        raise ValueError(
            f"A client can have 1 to {len(names)} labels, as many as occur in these data, "
            f"not {labels_per_client}."
        )
    rng, dice = np.random.RandomState(split_seed), random.Random(split_seed)
    everything = labels_per_client == len(names)  # where nothing is drawn
    chosen = [set(range(len(names))) if everything else {u % len(names)} for u in range(clients)]
    for mine in chosen:
        while len(mine) < labels_per_client:
            mine.add(dice.randint(0, len(names) - 1))
    held: list[list[np.ndarray]] = [[] for _ in range(clients)]
    for label, name in enumerate(names):
        pool = np.flatnonzero(part == name)
        rng.shuffle(pool)
        holders = [u for u in range(clients) if label in chosen[u]]
        if len(pool) < 2 * len(holders):
            raise ValueError(
                f"Label {name} has {len(pool)} examples, too few for {len(holders)} of the "
                f"{clients} clients, who need 2 each."
            )
        for u, some in zip(holders, np.array_split(pool, max(1, len(holders))), strict=False):
            held[u].append(some)
    joined = [np.concatenate(mine) for mine in held]
    return _with_tests(joined, y, split_seed, test_fraction, train_count)


@PARTITIONS.register(file_order=True)
def niid_bench_iid(
    y: Int[np.ndarray, " T"],
    *,
    clients: int = 10,
    split_seed: SplitSeed = 0,
    test_fraction: Annotated[float, Range(1e-6, 1 - 1e-6)] = 0.2,
    train_count: int | None = None,
) -> Partition:
    """Partition as NIID-Bench's ``homo`` does: at random, as evenly as possible.

    Args:
        y: All labels of the data in file order, training files first.
        clients: Number of clients.
        split_seed: What the draws follow from, whatever the seed of the run is.
        test_fraction: Share of each client's examples kept for testing, above 0 and below 1, where
            all are one part.
        train_count: The first so many examples are the data's own training part, which alone is
            trained on; of the test part's examples of a label each client has the share that it
            has of the training part's. By default all examples are one part.

    Returns:
        The partition; every example is used.

    Raises:
        ValueError: An argument is outside its range.

    Source: Li et al., arXiv 2102.02079.
    """
    y, part = checked(y, clients=clients, seed=split_seed, train_count=train_count)
    held = np.array_split(np.random.RandomState(split_seed).permutation(len(part)), clients)
    return _with_tests(held, y, split_seed, test_fraction, train_count)


def _with_tests(
    held: list[np.ndarray],
    y: Int[np.ndarray, " T"],
    seed: int,
    test_fraction: float,
    train_count: int | None,
) -> Partition:
    sizes, rng = np.array([len(mine) for mine in held]), np.random.default_rng(seed)
    flat = np.concatenate(held)
    return split(flat, sizes, y, rng=rng, test_fraction=test_fraction, train_count=train_count)
