"""FedBN: everything is averaged but batch normalization, which each client keeps to itself.

Li et al., *FedBN: Federated Learning on Non-IID Features via Local Batch Normalization*, ICLR 2021,
arXiv 2102.07623, algorithm 1.
"""

from typing import Literal, NamedTuple

from jaxtyping import PRNGKeyArray

from demjax.base import Algorithm, ClientData, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clients.own_layers import SharingInfo, normalization_of, sent_but, sharing_info
from demjax.hierarchy.groups import under_one_root
from demjax.hierarchy.mixing import Weighting
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server_mean import server_mean
from demjax.pytrees import stack_copies
from demjax.registry import ALGORITHMS


class FedBNState(NamedTuple):
    """What the next round needs.

    Attributes:
        client: Client models as they are scored, leaves ``[N, ...]``, each with its own batch
            normalization.
        server: The shared layers, beside the mean of batch normalization, which nobody is sent.
    """

    client: Params
    server: Params


@ALGORITHMS.register(label="FedBN", paper="Li et al., ICLR 2021, arXiv 2102.07623")
def fedbn(
    local: LocalTraining,
    *,
    weighting: Weighting = "clients",
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: Literal["personal", "trained"] = "personal",
) -> Algorithm:
    """Average all layers but those of batch normalization.

    A model is layers of batch normalization ``b``, their scale, shift, mean and variance, and all
    other layers ``u``. In a round, for each client ``n``, local training goes from ``(u, b_n)`` to
    ``(u_n, b_n)``, and then ``u ← mean_n u_n``. ``b_n`` stays where it is.

    What is scored as the global model is ``u`` beside the mean of all ``b_n`` that were trained.

    Args:
        local: How clients train, with a model that has batch normalization.
        weighting: What counts in the mean: ``clients`` alike, as in the paper, or ``examples``.
        cohort: Clients that train in a round and whose mean is taken, 1 to ``N``; all others keep
            their batch normalization. By default everyone.
        average: What takes the place of the mean, such as a robust one, as in
            ``hierarchy.robust_means``.
        measure_at: When clients' models are scored: ``personal``, their own ``b_n`` beside the new
            ``u``, as in the paper; or as each was last ``trained``.

    Returns:
        The algorithm; its hierarchy is one root that holds every client.

    Raises:
        ValueError: When it begins, if the model has no batch normalization, or nothing else.
    """

    def init(key: PRNGKeyArray, clients: ClientData) -> FedBNState:
        client = stack_copies(model := local.init(key), clients.n_clients)
        normalization_of("FedBN", local, client)
        return FedBNState(client, model)

    def one_round(
        key: PRNGKeyArray, state: FedBNState, clients: ClientData
    ) -> tuple[FedBNState, SharingInfo]:
        kept = normalization_of("FedBN", local, state.client)
        who = participation.draw(key, clients.n_clients, cohort)
        start = sent_but(local, state.client, state.server, kept, who)
        client, loss = local.train(key, start, clients, cohort=who)
        server = server_mean(
            client, clients, who, weighting, average=average, reference=state.server, key=key
        )
        if measure_at == "personal":
            client = sent_but(local, client, server, kept)
        return FedBNState(client, server), sharing_info(loss, client, kept)

    return Algorithm(init, one_round, lambda state: under_one_root(*state), moment=measure_at)
