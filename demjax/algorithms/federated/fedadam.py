"""Federated averaging whose server steps by Adam's rule.

Reddi et al., *Adaptive Federated Optimization*, ICLR 2021, arXiv 2003.00295, algorithm 2.
"""

from typing import Annotated

from demjax.base import Algorithm
from demjax.clients.local_training import LocalTraining
from demjax.hierarchy.adaptive_server import adaptive
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server import Epochs, ServerMoment
from demjax.hierarchy.server_rounds import server_rounds
from demjax.registry import ALGORITHMS, Number, Range, Share


@ALGORITHMS.register(label="FedAdam", paper="Reddi et al., ICLR 2021, arXiv 2003.00295")
def fedadam(
    local: LocalTraining,
    *,
    server_lr: Annotated[Number, Range(0, 1e3)] = 0.1,
    server_b1: Share = 0.9,
    server_b2: Share = 0.99,
    adaptivity: Annotated[Number, Range(1e-12, 1e3)] = 0.001,
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: ServerMoment = "averaged",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Average by examples, and step towards the mean by Adam's rule.

    Clients of the cohort train the global model ``w``; with ``m_n`` the training examples of
    client ``n``, the server then takes the way to their mean for its step:

    1. ``Δ = Σ_n m_n w_n / Σ_n m_n − w``;
    2. ``m ← β₁ m + (1 − β₁) Δ`` and ``v ← β₂ v + (1 − β₂) Δ²``;
    3. ``w ← w + η m / (√v + τ)``.

    As in the paper ``m`` begins at 0 and ``v`` at ``τ²``, and neither is corrected for that;
    ``fedavg(server_optimizer="adam")`` corrects both, by Kingma and Ba.
    State that is no parameter, such as batch statistics, is the mean as it is.

    Args:
        local: How clients train on their own; the paper's clients use plain SGD.
        server_lr: ``η``, 0 or more; the paper tunes it for each task.
        server_b1: ``β₁``, 0 to 1; the paper's .9.
        server_b2: ``β₂``, 0 to 1; the paper's .99.
        adaptivity: ``τ``, above 0; the paper's .001.
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

    def second_moment(v, square):
        return server_b2 * v + (1 - server_b2) * square

    optimizer = adaptive(
        lr=server_lr, b1=server_b1, adaptivity=adaptivity, second_moment=second_moment
    )
    return server_rounds(
        "FedAdam's server",
        local,
        optimizer,
        cohort=cohort,
        average=average,
        measure_at=measure_at,
        fine_tune_epochs=fine_tune_epochs,
    )
