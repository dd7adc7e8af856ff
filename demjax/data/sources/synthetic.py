"""Made-up clients whose models and inputs differ as much as one likes."""

from typing import Annotated, Any

import numpy as np

from demjax.data.dataset import Dataset
from demjax.registry import DATASETS, Range

MOST_EXAMPLES = 10_000
"""Most examples of a client; the log-normal law would give one in two hundred more."""

MOST_CLIENTS = 20_000
"""Most clients: they have 7 million examples, 1.6 GB."""

_INPUTS, _CLASSES = 60, 10
_FACTS: dict[str, Any] = {"examples": "any", "shape": "60", "classes": "10", "licence": "none"}
_FACTS |= {"source": "arXiv 1812.06127", "natural": True}


@DATASETS.register(**_FACTS)
def synthetic(
    *,
    clients: int = 30,
    synthetic_alpha: Annotated[float, Range(0, 1e30)] = 1.0,
    synthetic_beta: Annotated[float, Range(0, 1e30)] = 1.0,
    seed: int = 0,
) -> Dataset:
    """Make the data set Synthetic(α, β): ``y = argmax softmax(xW_k + b_k)`` for client ``k``.

    ``W_k, b_k ~ N(u_k, 1)``, ``u_k ~ N(0, α)``; ``x ~ N(v_k, Σ)``, ``Σ_jj = j^−1.2``,
    ``v_kj ~ N(B_k, 1)``, ``B_k ~ N(0, β)``; α and β are standard deviations. Client ``k`` has
    ``50 + ⌊lognormal(4, 2)⌋`` examples, of which only the first 10,000 are made.

    Args:
        clients: Number of clients, 1 to 20,000.
        synthetic_alpha: α, how much clients' models differ, 0 to 1e30.
        synthetic_beta: β, how much clients' inputs differ, 0 to 1e30.
        seed: Decides all draws; 0 or more.

    Returns:
        float32 inputs ``[T, 60]`` of ten labels, client by client; there is no test part.

    Raises:
        ValueError: A number is out of its range.

    Source: Li et al., Federated Optimization in Heterogeneous Networks, arXiv 1812.06127.
    """
    return _made(clients, synthetic_alpha, synthetic_beta, seed, iid=False)


@DATASETS.register(**_FACTS)
def synthetic_iid(*, clients: int = 30, seed: int = 0) -> Dataset:
    """Make Synthetic-iid: as ``synthetic``, one ``W, b ~ N(0, 1)`` and ``v = 0`` for all clients.

    Args, returns, errors and source as of ``synthetic``.
    """
    return _made(clients, 1.0, 1.0, seed, iid=True)


def _made(
    clients: int, synthetic_alpha: float, synthetic_beta: float, seed: int, *, iid: bool
) -> Dataset:
    if not 1 <= clients <= MOST_CLIENTS or seed < 0:
        raise ValueError(
            f"Synthetic data are made for 1 to {MOST_CLIENTS} clients by a seed of 0 or more, "
            f"not for {clients} by {seed}."
        )
    rng = np.random.default_rng(seed)
    sizes = 50 + np.minimum(rng.lognormal(4, 2, clients), MOST_EXAMPLES - 50).astype(np.int64)
    model_mean = rng.normal(0, synthetic_alpha, clients)
    input_mean = rng.normal(
        rng.normal(0, synthetic_beta, clients)[:, np.newaxis], 1, (clients, _INPUTS)
    )
    weights, bias = rng.normal(size=(_INPUTS, _CLASSES)), rng.normal(size=_CLASSES)
    owner = np.repeat(np.arange(clients, dtype=np.int32), sizes)
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
