"""Federated averaging, and the control that lets its clients keep some of their own model.

McMahan et al., *Communication-Efficient Learning of Deep Networks from Decentralized Data*,
AISTATS 2017, arXiv 1602.05629; server optimizers: Reddi et al., *Adaptive Federated
Optimization*, ICLR 2021, arXiv 2003.00295.
"""

from typing import Annotated, Any, Literal, NamedTuple, cast

from jaxtyping import Array, Float, PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining, TrainingInfo
from demjax.clients.sending import sent
from demjax.hierarchy.robust_means import Average, mean_by_examples
from demjax.hierarchy.server import (
    Epochs,
    ServerMoment,
    ServerOptimizer,
    scored_at,
    server_step,
)
from demjax.pytrees import interpolate, stack_copies
from demjax.registry import ALGORITHMS, Range

Moment = Literal["trained", "mixed", "averaged", "fine-tuned"]


class FedAvgState(NamedTuple):
    """What the next round needs.

    Attributes:
        client: Client models after the last round, leaves ``[N, ...]``.
        server: The global model.
        optimizer: The server optimizer's state.
    """

    client: Params
    server: Params
    optimizer: Any


@ALGORITHMS.register(label="FedAvg", paper="McMahan et al., AISTATS 2017, arXiv 1602.05629")
def fedavg(
    local: LocalTraining,
    *,
    mix: Annotated[Float[Array, ""] | float | None, Range(0, 1)] = None,
    server_optimizer: ServerOptimizer = None,
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: Moment | None = None,
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Train from the global model, average by examples.

    ``w_global ← Σ_n m_n w_n / Σ_n m_n``, with ``m_n`` the training examples of client ``n``. A
    server optimizer is given ``w_global − mean`` as its gradient instead; ``optax.sgd(1.0)``
    is plain averaging. State that is no parameter, such as batch statistics, is the mean as it is.

    With ``mix`` it becomes the control for DemLearn: after each round
    ``w_n ← (1−α) w_n + α w_global``, measured there, and trained on from there in the next.

    Args:
        local: How clients train on their own.
        mix: ``α``, from 0 to 1, for the control; by default federated averaging, whose client
            models are measured right after local training.
        server_optimizer: Any optimizer, or its name; by default the mean replaces the global model.
        cohort: Clients that train in a round and whose mean is taken, 1 to ``N``; all others keep
            their models. By default everyone.
        average: What takes the place of the mean, such as a robust one, as in
            ``hierarchy.robust_means``; by default the mean by examples.
        measure_at: When clients' models are scored: what each last ``trained``, which with a cohort
            may be long ago; the global model, ``averaged``; ``fine-tuned`` from that, on each
            client's own examples; or ``mixed``. By default trained, with ``mix`` mixed.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is one root that holds every client.

    Raises:
        ValueError: If ``mix`` is out of its range, or there is no such moment.
    """
    server = server_step("FedAvg's server", local, server_optimizer)
    own = "trained" if mix is None else "mixed"
    moment = measure_at or own
    if {moment, own} == {"trained", "mixed"}:
        raise ValueError(
            f"FedAvg {'without' if mix is None else 'with'} mix was to be measured at {moment!r}; "
            f"possible are {own!r}, 'averaged' and 'fine-tuned'."
        )
    after = "trained" if moment == own else moment
    scored = scored_at(local, cast(ServerMoment, after), fine_tune_epochs)

    def init(key: PRNGKeyArray, clients: ClientData) -> FedAvgState:
        model = local.init(key)
        return FedAvgState(stack_copies(model, clients.n_clients), model, server.init(model))

    def one_round(
        key: PRNGKeyArray, state: FedAvgState, clients: ClientData
    ) -> tuple[FedAvgState, TrainingInfo]:
        who = participation.draw(key, clients.n_clients, cohort)
        start = state.client if mix is not None else sent(local, state.client, state.server, who)
        client, loss = local.train(key, start, clients, cohort=who)
        mean = mean_by_examples(
            client, clients, who, average=average, reference=state.server, key=key
        )
        model, optimizer = server.step(state.server, state.optimizer, mean)
        if mix is not None:
            mixed = interpolate(client, stack_copies(model, clients.n_clients, exact=True), mix)
            client = participation.kept(client, who, local.begin(client, mixed))
        return FedAvgState(client, model, optimizer), TrainingInfo(loss)

    def models(state: FedAvgState) -> Models:
        return scored.models(state.client, state.server)

    return Algorithm(init, one_round, models, scored.before_scoring, moment)
