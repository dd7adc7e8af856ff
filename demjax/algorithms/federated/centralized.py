"""One model trained on everybody's examples at once: the control that knows no clients."""

from typing import Literal, NamedTuple, cast

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from demjax.backend.examples import together
from demjax.base import Algorithm, ClientData, Hierarchy, Models, Params
from demjax.clients.local_training import LocalTraining
from demjax.hierarchy.groups import root_only
from demjax.hierarchy.server import Epochs, ServerMoment, scored_at
from demjax.pytrees import stack_copies
from demjax.registry import ALGORITHMS


class CentralizedState(NamedTuple):
    """What the next round needs.

    Attributes:
        model: The one model.
        hierarchy: Everyone under one root.
    """

    model: Params
    hierarchy: Hierarchy


class CentralizedInfo(NamedTuple):
    """What one may want to see of a round.

    Attributes:
        loss: Mean training loss of the last epoch over all examples, the same for each client.
        bytes_up: Bytes of models that clients send: none; their data were sent once, before.
        bytes_down: Bytes of models that they are sent: none.
    """

    loss: Float[Array, " N"]
    bytes_up: int = 0
    bytes_down: int = 0


@ALGORITHMS.register(
    label="centralized", paper="the control of pooled data, without clients", pooled=True
)
def centralized(
    local: LocalTraining,
    *,
    measure_at: Literal["trained", "fine-tuned"] = "trained",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Train one model on the pooled training examples of all clients.

    A round is as many epochs as a round of local training, over all ``Σ_n m_n`` examples in one
    random order, so that every example is seen as often as in a round of FedAvg with everyone.
    These are ``ceil(Σ_n m_n / B)`` steps an epoch, one after another: about as many as all clients
    of FedAvg make together, and about ``N`` times as many as each of them, whose steps are side by
    side. An example of several clients is there once for each.

    The optimizer starts afresh each round. The pooled examples are ``N M`` numbers of memory, one
    model is trained, and several devices gain nothing: each has all examples for it.

    Args:
        local: How the model is trained, as if all were one client.
        measure_at: What is scored as every client's model: the one that was ``trained``; or this
            ``fine-tuned`` on each client's own examples.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is one root that holds every client, and has the same model.

    Raises:
        ValueError: If epochs of fine-tuning are given, but not that moment.
    """
    scored = scored_at(local, cast(ServerMoment, measure_at), fine_tune_epochs)

    def init(key: PRNGKeyArray, clients: ClientData) -> CentralizedState:
        return CentralizedState(local.init(key), root_only(clients.n_clients, 0, 1))

    def one_round(
        key: PRNGKeyArray, state: CentralizedState, clients: ClientData
    ) -> tuple[CentralizedState, CentralizedInfo]:
        stacked, loss = local.train(key, stack_copies(state.model, 1), pooled(clients))
        told = CentralizedInfo(jnp.broadcast_to(loss, (clients.n_clients,)))
        return state._replace(model=stacked.model(0)), told

    def models(state: CentralizedState) -> Models:
        count = state.hierarchy.groups.shape[1]
        return scored.models(stack_copies(state.model, count), state.model)

    return Algorithm(init, one_round, models, scored.before_scoring, scored.moment)


def pooled(clients: ClientData) -> ClientData:
    """The same data with a single client, who has all training examples, and the first's tests.

    They are in the order of the pool, so that it does not matter how clients are numbered.
    """
    width, total = clients.train.shape[1], jnp.sum(clients.train_size)
    last = jnp.iinfo(jnp.int32).max
    there = jnp.arange(width) < clients.train_size[:, None]
    rows = jnp.sort(jnp.where(there, clients.train, last).reshape(-1))
    rows = jnp.where(rows == last, rows[0], rows)
    return together(clients)._replace(
        train=rows[None],
        train_size=total[None],
        test=clients.test[:1],
        test_size=clients.test_size[:1],
    )
