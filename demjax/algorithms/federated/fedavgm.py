"""Federated averaging whose server has momentum.

Hsu et al., *Measuring the Effects of Non-Identical Data Distribution for Federated Visual
Classification*, arXiv 1909.06335, section 4.
"""

from typing import Annotated

import optax

from demjax.base import Algorithm
from demjax.clients.local_training import LocalTraining
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server import Epochs, ServerMoment
from demjax.hierarchy.server_rounds import server_rounds
from demjax.registry import ALGORITHMS, Number, Range, Share


@ALGORITHMS.register(label="FedAvgM", paper="Hsu et al., 2019, arXiv 1909.06335")
def fedavgm(
    local: LocalTraining,
    *,
    server_momentum: Share = 0.9,
    server_lr: Annotated[Number, Range(0, 1e3)] = 1.0,
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: ServerMoment = "averaged",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Average by examples, and go on in the direction of earlier rounds' means.

    Clients of the cohort train the global model ``w``; with ``m_n`` the training examples of
    client ``n``,

    1. ``Δ = w − Σ_n m_n w_n / Σ_n m_n``;
    2. ``v ← β v + Δ``;
    3. ``w ← w − η v``.

    State that is no parameter, such as batch statistics, is the mean as it is.

    Args:
        local: How clients train on their own.
        server_momentum: ``β``, 0 to 1; the paper tries 0, .7, .9, .97, .99 and .997.
        server_lr: ``η``, 0 or more; the paper's server has none, which is 1.
        cohort: Clients that train in a round and whose mean is taken, 1 to ``N``; by default
            everyone.
        average: What takes the place of the mean, such as a robust one, as in
            ``hierarchy.robust_means``; by default the mean by examples.
        measure_at: When clients' models are scored, as in ``hierarchy.server.scored_at``; by
            default the global model for each, ``averaged``, and no client model is kept.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is one root that holds every client.

    Raises:
        ValueError: If a number is out of its range.
    """
    return server_rounds(
        "FedAvgM's server",
        local,
        optax.sgd(server_lr, momentum=server_momentum),
        cohort=cohort,
        average=average,
        measure_at=measure_at,
        fine_tune_epochs=fine_tune_epochs,
    )
