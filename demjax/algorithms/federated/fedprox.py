"""Federated averaging with a proximal term that keeps clients near the global model.

Li et al., *Federated Optimization in Heterogeneous Networks*, MLSys 2020, arXiv 1812.06127.
"""

from typing import Annotated, NamedTuple

from jaxtyping import Array, Float, PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining, TrainingInfo
from demjax.clients.proximal import near
from demjax.clients.sending import sent
from demjax.hierarchy.robust_means import Average, mean_by_examples
from demjax.hierarchy.server import Epochs, ServerMoment, scored_at
from demjax.pytrees import stack_copies
from demjax.registry import ALGORITHMS, Range


class FedProxState(NamedTuple):
    """What the next round needs, and the client models to be measured.

    Attributes:
        client: Client models right after local training, leaves ``[N, ...]``.
        server: The global model.
    """

    client: Params
    server: Params


@ALGORITHMS.register(label="FedProx", paper="Li et al., MLSys 2020, arXiv 1812.06127")
def fedprox(
    local: LocalTraining,
    *,
    prox: Annotated[Float[Array, ""] | float, Range(0, 1e6)] = 0.5,
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: ServerMoment = "trained",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Train near the global model, average by examples.

    Clients minimise ``loss(w) + μ/2 ‖w − w_global‖²``, from ``w_global``; then
    ``w_global ← Σ_n m_n w_n / Σ_n m_n``, with ``m_n`` the training examples of client ``n``.

    Args:
        local: How clients train on their own.
        prox: ``μ``, 0 or more; with 0 this is federated averaging.
        cohort: Clients that train in a round and whose mean is taken, 1 to ``N``; all others keep
            their models. By default everyone.
        average: What takes the place of the mean, such as a robust one, as in
            ``hierarchy.robust_means``; by default the mean by examples.
        measure_at: When clients' models are scored, as in ``hierarchy.server.scored_at``.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is one root that holds every client.

    Raises:
        ValueError: If ``prox`` is negative.
    """
    scored = scored_at(local, measure_at, fine_tune_epochs)

    def init(key: PRNGKeyArray, clients: ClientData) -> FedProxState:
        model = local.init(key)
        return FedProxState(stack_copies(model, clients.n_clients), model)

    def one_round(
        key: PRNGKeyArray, state: FedProxState, clients: ClientData
    ) -> tuple[FedProxState, TrainingInfo]:
        count = clients.n_clients
        who = participation.draw(key, count, cohort)
        start = sent(local, state.client, state.server, who)
        client, loss = local.train(key, start, clients, near(state.server, count, prox), cohort=who)
        mean = mean_by_examples(
            client, clients, who, average=average, reference=state.server, key=key
        )
        return FedProxState(client, mean), TrainingInfo(loss)

    def models(state: FedProxState) -> Models:
        return scored.models(state.client, state.server)

    return Algorithm(init, one_round, models, scored.before_scoring, scored.moment)
