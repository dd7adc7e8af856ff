"""FedRep: a representation that clients share, under a head that each trains for itself first.

Collins et al., *Exploiting Shared Representations for Personalized Federated Learning*, ICML 2021,
arXiv 2102.07078, algorithm 1.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from jaxtyping import PRNGKeyArray

from demjax import keys
from demjax.base import Algorithm, ClientData, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clients.own_layers import SharingInfo, all_but, head_of, sent_but, sharing_info
from demjax.hierarchy.groups import under_one_root
from demjax.hierarchy.mixing import Weighting
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server_mean import server_mean
from demjax.pytrees import stack_copies
from demjax.registry import ALGORITHMS, Range


class FedRepState(NamedTuple):
    """What the next round needs.

    Attributes:
        client: Client models as they are scored, leaves ``[N, ...]``, each with its own head.
        server: The shared representation, under the mean of heads, which nobody is sent.
    """

    client: Params
    server: Params


@ALGORITHMS.register(label="FedRep", paper="Collins et al., ICML 2021, arXiv 2102.07078")
def fedrep(
    local: LocalTraining,
    *,
    head_layers: Sequence[str] = (),
    head_epochs: Annotated[int, Range(1)] = 10,
    weighting: Weighting = "clients",
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: Literal["personal", "trained"] = "personal",
) -> Algorithm:
    """Train the own head first, then the shared representation, and average that.

    A model is a representation ``φ`` and a head ``h``. In a round, for each client ``n``:

    1. ``τ_h`` epochs of local training of its head ``h_n``, from where it left it, with the
       ``φ`` that it was sent fixed;
    2. the epochs of local training of ``φ_n``, from ``φ``, with ``h_n`` fixed;
    3. then ``φ ← mean_n φ_n``.

    What is scored as the global model is ``φ`` under the mean of all heads that were trained.

    Args:
        local: How clients train; its epochs are those of step 2, in the paper 1 or 5.
        head_layers: Layers of the head, such as ``Dense_0``; by default the model's last layer.
        head_epochs: ``τ_h``, at least 1; the paper's by default.
        weighting: What counts in the mean: ``clients`` alike, as in the paper, or ``examples``.
        cohort: Clients that train in a round and whose mean is taken, 1 to ``N``; all others keep
            their heads. By default everyone.
        average: What takes the place of the mean, such as a robust one, as in
            ``hierarchy.robust_means``.
        measure_at: When clients' models are scored: ``personal``, their own heads on the new
            ``φ``, as in the paper; or as each was last ``trained``, on its own ``φ_n``.

    Returns:
        The algorithm; its hierarchy is one root that holds every client.

    Raises:
        ValueError: If a number is out of its range; when it begins, if the model has no layer
            beside its head, or none of a name.
    """

    def init(key: PRNGKeyArray, clients: ClientData) -> FedRepState:
        client = stack_copies(model := local.init(key), clients.n_clients)
        head_of("FedRep", local, client, clients, head_layers)
        return FedRepState(client, model)

    def one_round(
        key: PRNGKeyArray, state: FedRepState, clients: ClientData
    ) -> tuple[FedRepState, SharingInfo]:
        head = head_of("FedRep", local, state.client, clients, head_layers)
        who = participation.draw(key, clients.n_clients, cohort)
        start = sent_but(local, state.client, state.server, head, who)
        first = {"trained": head, "epochs": head_epochs}
        client, _ = local.train(key, start, clients, cohort=who, **first)
        second = keys.for_second_stage(key)
        client, loss = local.train(second, client, clients, cohort=who, trained=all_but(head))
        server = server_mean(
            client, clients, who, weighting, average=average, reference=state.server, key=key
        )
        if measure_at == "personal":
            client = sent_but(local, client, server, head)
        return FedRepState(client, server), sharing_info(loss, client, head)

    return Algorithm(init, one_round, lambda state: under_one_root(*state), moment=measure_at)
