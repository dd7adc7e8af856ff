"""How fairly accuracy is shared out among clients: the worst tenth, Gini's and Jain's numbers."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Fairness(NamedTuple):
    """How fairly accuracy is shared out, at each measurement.

    Attributes:
        worst: Mean of the worst tenth of the clients, of at least one.
        deviation: Standard deviation over clients.
        gini: Gini coefficient: 0 if all have the same, towards 1 if one has everything.
        jain: Jain's index: 1 if all have the same, ``1 / N`` if one has everything.
    """

    worst: Float[np.ndarray, " E"]
    deviation: Float[np.ndarray, " E"]
    gini: Float[np.ndarray, " E"]
    jain: Float[np.ndarray, " E"]


def fairness_of(values: Float[np.ndarray, " E N"]) -> Fairness:
    """How fairly a measure is shared out among clients.

    With the ``n`` values that are there in ascending order, ``x_1 ≤ … ≤ x_n``, and their mean
    ``m``:

    - worst: the mean of ``x_1 … x_k``, where ``k = max(1, ⌊n / 10⌋)``;
    - deviation: ``√(Σ (x_i − m)² / n)``;
    - Gini: ``Σ (2 i − n − 1) x_i / (n² m)``;
    - Jain: ``(Σ x_i)² / (n Σ x_i²)``.

    Args:
        values: A measure of each client at each measurement, 0 or more; NaN where a client has
            none, which leaves it out.

    Returns:
        The four numbers at each measurement: NaN without a client, and for the last two where
        all have 0.

    Source: Gini, Variabilità e mutabilità, 1912; Jain, Chiu and Hawe, A quantitative measure of
    fairness, DEC Research Report TR-301, 1984; Li et al., Fair resource allocation in federated
    learning, ICLR 2020, for the worst tenth and the deviation.
    """
    rows = [_of_one(np.sort(row[np.isfinite(row)])) for row in np.asarray(values, float)]
    return Fairness(*np.array(rows, float).reshape(-1, 4).T)


def _of_one(x: np.ndarray) -> tuple[float, float, float, float]:
    count, total = len(x), x.sum()
    if not count:
        return (np.nan,) * 4
    worst = float(x[: max(1, count // 10)].mean())
    if total <= 0:
        return worst, float(x.std()), np.nan, np.nan
    rank = 2 * np.arange(1, count + 1) - count - 1
    return worst, float(x.std()), float(rank @ x / (count * total)), total**2 / (count * (x @ x))
