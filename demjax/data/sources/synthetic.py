"""Made-up clients whose models and inputs differ as much as one likes."""

import math

import numpy as np

from demjax.data.dataset import Dataset

MOST_EXAMPLES = 10_000
"""Most examples of a client; the log-normal law would give one in two hundred more."""

MOST_OWNERS = 20_000
"""Most clients: they have 7 million examples, 1.6 GB."""

_INPUTS, _CLASSES = 60, 10


def synthetic(
    *, owners: int = 30, alpha: float = 1.0, beta: float = 1.0, seed: int = 0, iid: bool = False
) -> Dataset:
    """Make the data set Synthetic(α, β): ``y = argmax softmax(xW_k + b_k)`` for client ``k``.

    ``W_k, b_k ~ N(u_k, 1)``, ``u_k ~ N(0, α)``; ``x ~ N(v_k, Σ)``, ``Σ_jj = j^−1.2``,
    ``v_kj ~ N(B_k, 1)``, ``B_k ~ N(0, β)``; α and β are standard deviations. Client ``k`` has
    ``50 + ⌊lognormal(4, 2)⌋`` examples, of which only the first 10,000 are made.

    Args:
        owners: Number of clients, 1 to 20,000.
        alpha: How much clients' models differ, 0 or more.
        beta: How much clients' inputs differ, 0 or more.
        seed: Decides all draws; 0 or more.
        iid: One ``W, b ~ N(0, 1)`` and ``v = 0`` for all clients; α and β then mean nothing.

    Returns:
        float32 inputs ``[T, 60]`` of ten labels, client by client; there is no test part.

    Raises:
        ValueError: A number is out of its range.

    Source: Li et al., Federated Optimization in Heterogeneous Networks, arXiv 1812.06127.
    """
    if not 1 <= owners <= MOST_OWNERS or seed < 0:
        raise ValueError(
            f"Synthetic data are made for 1 to {MOST_OWNERS} clients by a seed of 0 or more, "
            f"not for {owners} by {seed}."
        )
    if not (0 <= alpha < math.inf and 0 <= beta < math.inf):
        raise ValueError(f"The α and β of synthetic data can be 0 or more, not {alpha} and {beta}.")
    rng = np.random.default_rng(seed)
    sizes = 50 + np.minimum(rng.lognormal(4, 2, owners), MOST_EXAMPLES - 50).astype(np.int64)
    model_mean = rng.normal(0, alpha, owners)
    input_mean = rng.normal(rng.normal(0, beta, owners)[:, np.newaxis], 1, (owners, _INPUTS))
    weights, bias = rng.normal(size=(_INPUTS, _CLASSES)), rng.normal(size=_CLASSES)
    owner = np.repeat(np.arange(owners, dtype=np.int32), sizes)
    x = rng.standard_normal((len(owner), _INPUTS), np.float32)
    x *= np.arange(1, _INPUTS + 1, dtype=np.float32) ** np.float32(-0.6)
    y = np.empty(len(owner), np.int32)
    ends = np.cumsum(sizes)
    for client, (start, end) in enumerate(zip(ends - sizes, ends, strict=True)):
        mine = x[start:end]
        if not iid:
            mine += input_mean[client].astype(np.float32)
            weights = rng.normal(model_mean[client], 1, (_INPUTS, _CLASSES))
            bias = rng.normal(model_mean[client], 1, _CLASSES)
        y[start:end] = np.argmax(mine @ weights + bias, axis=1)
    name = "synthetic_iid" if iid else "synthetic"
    return Dataset(x, y, _CLASSES, train_count=len(y), name=name, owner=owner)
