"""FedPer: base layers that clients share, under personal layers that never leave them.

Arivazhagan et al., *Federated Learning with Personalization Layers*, 2019, arXiv 1912.00818,
algorithms 1 and 2.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from jaxtyping import PRNGKeyArray

from demjax.base import Algorithm, ClientData, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clients.own_layers import SharingInfo, head_of, sent_but, sharing_info
from demjax.hierarchy.groups import under_one_root
from demjax.hierarchy.mixing import Weighting
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server_mean import server_mean
from demjax.pytrees import stack_copies
from demjax.registry import ALGORITHMS


class FedPerState(NamedTuple):
    """What the next round needs.

    Attributes:
        client: Client models as they are scored, leaves ``[N, ...]``, each with its own head.
        server: The base layers, under the mean of personal ones, which nobody is sent.
    """

    client: Params
    server: Params


@ALGORITHMS.register(label="FedPer", paper="Arivazhagan et al., 2019, arXiv 1912.00818")
def fedper(
    local: LocalTraining,
    *,
    head_layers: Sequence[str] = (),
    weighting: Weighting = "examples",
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: Literal["personal", "trained"] = "personal",
) -> Algorithm:
    """Train all layers together, and average all but the head.

    A model is base layers ``B`` and personal ones ``P``, its head. In a round, for each client
    ``n`` with ``m_n`` training examples, local training goes from ``(B, P_n)`` to ``(B_n, P_n)``,
    and then ``B ← Σ_n m_n B_n / Σ_n m_n``. ``P_n`` stays where it is.

    What is scored as the global model is ``B`` under the mean of all ``P_n`` that were trained.

    Args:
        local: How clients train.
        head_layers: The personal layers, such as ``Dense_0``; by default the model's last layer.
        weighting: What counts in the mean: ``examples``, as in the paper, or ``clients`` alike.
        cohort: Clients that train in a round and whose mean is taken, 1 to ``N``; all others keep
            their heads. By default everyone.
        average: What takes the place of the mean, such as a robust one, as in
            ``hierarchy.robust_means``.
        measure_at: When clients' models are scored: ``personal``, their own heads on the new
            ``B``; or as each was last ``trained``, on its own ``B_n``.

    Returns:
        The algorithm; its hierarchy is one root that holds every client.

    Raises:
        ValueError: When it begins, if the model has no layer beside its head, or none of a name.
    """

    def init(key: PRNGKeyArray, clients: ClientData) -> FedPerState:
        client = stack_copies(model := local.init(key), clients.n_clients)
        head_of("FedPer", local, client, clients, head_layers)
        return FedPerState(client, model)

    def one_round(
        key: PRNGKeyArray, state: FedPerState, clients: ClientData
    ) -> tuple[FedPerState, SharingInfo]:
        head = head_of("FedPer", local, state.client, clients, head_layers)
        who = participation.draw(key, clients.n_clients, cohort)
        start = sent_but(local, state.client, state.server, head, who)
        client, loss = local.train(key, start, clients, cohort=who)
        server = server_mean(
            client, clients, who, weighting, average=average, reference=state.server, key=key
        )
        if measure_at == "personal":
            client = sent_but(local, client, server, head)
        return FedPerState(client, server), sharing_info(loss, client, head)

    return Algorithm(init, one_round, lambda state: under_one_root(*state), moment=measure_at)
