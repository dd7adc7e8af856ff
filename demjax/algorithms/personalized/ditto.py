"""Ditto: a global model by averaging, and beside it a personal model for each client.

Li et al., *Ditto: Fair and Robust Federated Learning Through Personalization*, ICML 2021,
arXiv 2012.04221, algorithm 1.
"""

from typing import Annotated, Literal, NamedTuple

from jaxtyping import Array, Float, PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining, TrainingInfo
from demjax.clients.proximal import near
from demjax.clients.sending import sent
from demjax.hierarchy.groups import under_one_root
from demjax.hierarchy.robust_means import Average, mean_by_examples
from demjax.pytrees import stack_copies
from demjax.registry import ALGORITHMS, Range


class DittoState(NamedTuple):
    """What the next round needs.

    Attributes:
        personal: Each client's own model, leaves ``[N, ...]``; it never leaves the client.
        server: The global model.
    """

    personal: Params
    server: Params


@ALGORITHMS.register(label="Ditto", paper="Li et al., ICML 2021, arXiv 2012.04221")
def ditto(
    local: LocalTraining,
    *,
    prox: Annotated[Float[Array, ""] | float, Range(0, 1e6)] = 1.0,
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: Literal["personal", "averaged"] = "personal",
) -> Algorithm:
    """Average a global model, and train personal models near it.

    In a round, with ``w`` the global model as it was sent, ``F_n`` the loss of client ``n`` and
    ``m_n`` its training examples:

    1. clients train ``w`` on their own data, and ``w ← Σ_n m_n w_n / Σ_n m_n``;
    2. they train their personal models on ``F_n(v_n) + λ/2 ‖v_n − w‖²``, from ``v_n``.

    Both see the same batches in the same order.

    Args:
        local: How clients train on their own, for both models.
        prox: ``λ``, 0 or more; with 0 personal models are those of local training alone.
        cohort: Clients that train in a round, 1 to ``N``; all others keep their models. By default
            everyone.
        average: What takes the place of the mean, such as a robust one, as in
            ``hierarchy.robust_means``; by default the mean by examples.
        measure_at: What is scored as the clients' models: their ``personal`` ones, or the global
            one for each, ``averaged``.

    Returns:
        The algorithm; its client models are the personal ones, under one root, the global model.

    Raises:
        ValueError: If ``prox`` is out of its range.
    """

    def init(key: PRNGKeyArray, clients: ClientData) -> DittoState:
        model = local.init(key)
        return DittoState(stack_copies(model, clients.n_clients), model)

    def one_round(
        key: PRNGKeyArray, state: DittoState, clients: ClientData
    ) -> tuple[DittoState, TrainingInfo]:
        count = clients.n_clients
        who = participation.draw(key, count, cohort)
        if average is None and local.mean is not None:
            weight, own = clients.train_size, state.personal
            server, _ = local.mean(key, state.server, clients, weight, who, own)
        else:
            sent = local.begin(state.personal, stack_copies(state.server, count))
            trained, _ = local.train(key, sent, clients, cohort=who)
            server = mean_by_examples(
                trained, clients, who, average=average, reference=state.server, key=key
            )
        nearby = near(state.server, count, prox)
        personal, loss = local.train(key, state.personal, clients, nearby, cohort=who)
        return DittoState(personal, server), TrainingInfo(loss)

    def models(state: DittoState) -> Models:
        if measure_at == "personal":
            return under_one_root(*state)
        return under_one_root(sent(local, *state), state.server)

    return Algorithm(init, one_round, models, moment=measure_at)
