"""The splits of PFLlib's tables, example for example.

Zhang et al., *PFLlib: A Beginner-Friendly and Comprehensive Personalized Federated Learning
Library*, JMLR 2025, arXiv 2312.04992; the same stand under FedALA (arXiv 2212.01197), GPFL and DBE.
The data's training and test part are joined, and of each client's examples a quarter is its test.
All chance is NumPy's legacy generator, whose seed there is 1. From the labels alone come the sizes,
label by label, that are published for MNIST.
"""

import math
from typing import Annotated, Any

import numpy as np
from jaxtyping import Int

from demjax.data.client_data import Partition
from demjax.data.partitions.capped_dirichlet import capped_dirichlet
from demjax.data.partitions.splitting import SplitSeed, checked
from demjax.registry import PARTITIONS, Range

_TRAIN = 0.75
_BATCH = 10  # a client's tests were to be one batch at least


@PARTITIONS.register(file_order=True)
def pfllib_dir(
    y: Int[np.ndarray, " T"],
    *,
    clients: int = 20,
    dirichlet_alpha: Annotated[float, Range(1e-300, 1e300)] = 0.1,
    split_seed: SplitSeed = 1,
) -> Partition:
    """Partition as PFLlib's "practical" tables do: Dirichlet shares of each label.

    The rule is ``capped_dirichlet``, with 40 examples for each client at least.

    Args:
        y: All labels of the data in file order, training files first.
        clients: Number of clients.
        dirichlet_alpha: α, above 0.
        split_seed: What the draws follow from, whatever the seed of the run is.

    Returns:
        The partition; every example is used.

    Raises:
        ValueError: An argument is outside its range, or somebody is always left with too few.

    Source: Zhang et al., arXiv 2312.04992, with seed 1.
    """
    y, _ = checked(y, clients=clients, seed=split_seed)
    rng = np.random.RandomState(split_seed)
    least = _least(len(y), clients)
    options: dict[str, Any] = {"dirichlet_alpha": dirichlet_alpha, "at_least": least}
    return _three_quarters(capped_dirichlet(y, clients=clients, **options, rng=rng), rng)


@PARTITIONS.register(file_order=True)
def pfllib_pat(
    y: Int[np.ndarray, " T"],
    *,
    clients: int = 20,
    labels_per_client: Annotated[int, Range(1)] = 2,
    split_seed: SplitSeed = 1,
) -> Partition:
    """Partition as PFLlib's "pathological" tables do: a few labels for each client.

    Each label in ascending order goes to the first ``N k / C`` clients, rounded up, that lack
    labels: of its examples in file order each gets a random number between a tenth of an equal part
    and a whole one, and the last of them what is left.

    Args:
        y: All labels of the data in file order, training files first.
        clients: Number of clients, ``N``; no fewer than give each of the ``C`` labels a client.
        labels_per_client: ``k``, 1 to ``C``; the last clients have fewer where ``C / k`` is not
            whole.
        split_seed: What the draws follow from, whatever the seed of the run is.

    Returns:
        The partition; every example is used.

    Raises:
        ValueError: An argument is outside its range, or a label is left without a client.

    Source: Zhang et al., arXiv 2312.04992, with seed 1.
    """
    y, _ = checked(y, clients=clients, seed=split_seed)
    names, rng = np.unique(y), np.random.RandomState(split_seed)
    many = math.ceil(clients / len(names) * labels_per_client)
    lacking = np.full(clients, labels_per_client)
    least = _least(len(y), clients) / len(names)
    held: list[list[np.ndarray]] = [[] for _ in range(clients)]
    for name in names:
        pool, holders = np.flatnonzero(y == name), np.flatnonzero(lacking > 0)[:many]
        equal = len(pool) / max(1, len(holders))
        low = int(max(equal / 10, least))
        if not len(holders) or (len(holders) > 1 and low >= int(equal)):
            raise ValueError(
                f"Label {name} has {len(pool)} examples for {len(holders)} of {clients} clients "
                f"with {labels_per_client} of {len(names)} labels each; possible are other "
                "--clients or --labels-per-client."
            )
        cuts: list[int] = []
        if len(holders) > 1:
            cuts = np.cumsum(rng.randint(low, int(equal), len(holders) - 1)).tolist()
        for holder, part in zip(holders, np.split(pool, cuts), strict=True):
            held[holder].append(part)
        lacking[holders] -= 1
    return _three_quarters([np.concatenate(mine) for mine in held], rng)


def _least(examples: int, clients: int) -> int:
    """The fewest examples of a client: as many as make a batch of tests, if there are."""
    return int(min(_BATCH / (1 - _TRAIN), examples / clients / 2))


def _three_quarters(held: list[np.ndarray], rng: np.random.RandomState) -> Partition:
    """Shuffle each client's examples and keep the first quarter for testing, rounded up.

    It is scikit-learn's ``train_test_split(mine, train_size=0.75)`` with the same generator.
    """
    train, test = [], []
    for mine in held:
        order = rng.permutation(len(mine))
        tests = len(mine) - int(_TRAIN * len(mine))
        train.append(mine[order[tests:]])
        test.append(mine[order[:tests]])
    return Partition(tuple(train), tuple(test))
