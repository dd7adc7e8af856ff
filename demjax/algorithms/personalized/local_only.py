"""Every client on its own: the baseline that never talks, and the file to copy for a new one."""

from typing import Literal, NamedTuple

from jaxtyping import Array, Float, PRNGKeyArray

from demjax import hierarchy as tree
from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.hierarchy.groups import under_one_root
from demjax.pytrees import stack_copies
from demjax.registry import ALGORITHMS


class LocalOnlyState(NamedTuple):
    """What the next round needs.

    Attributes:
        client: Client models, leaves ``[N, ...]``.
    """

    client: Params


class LocalOnlyInfo(NamedTuple):
    """What one may want to see of a round.

    Attributes:
        loss: Mean training loss of each client in its last epoch; NaN outside the cohort.
        bytes_up: Bytes that clients send: none.
        bytes_down: Bytes that they are sent: none.
    """

    loss: Float[Array, " N"]
    bytes_up: int = 0
    bytes_down: int = 0


@ALGORITHMS.register(label="local only", paper="the baseline of no collaboration")
def local_only(
    local: LocalTraining,
    *,
    cohort: int | None = None,
    measure_at: Literal["trained"] = "trained",
) -> Algorithm:
    """Clients train from their own model and share nothing.

    The global model, so that it can be measured like any other, is the plain mean of the
    clients' models; nobody receives it.

    Args:
        local: How clients train on their own.
        cohort: Clients that train in a round, 1 to ``N``; by default everyone.
        measure_at: When clients' models are scored: what each last ``trained``.

    Returns:
        The algorithm; its hierarchy is one root that holds every client.
    """

    def init(key: PRNGKeyArray, clients: ClientData) -> LocalOnlyState:
        return LocalOnlyState(stack_copies(local.init(key), clients.n_clients))

    def one_round(
        key: PRNGKeyArray, state: LocalOnlyState, clients: ClientData
    ) -> tuple[LocalOnlyState, LocalOnlyInfo]:
        who = participation.draw(key, clients.n_clients, cohort)
        client, loss = local.train(key, state.client, clients, cohort=who)
        return LocalOnlyState(client), LocalOnlyInfo(loss)

    def models(state: LocalOnlyState) -> Models:
        return under_one_root(state.client, tree.mean_of_all(state.client))

    return Algorithm(init, one_round, models, moment=measure_at)
