"""Rounds of a server with an optimizer: clients train its model, it steps towards their mean."""

from typing import Any, NamedTuple

import optax
from jaxtyping import PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining, TrainingInfo
from demjax.hierarchy.global_model import Held, global_model
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server import Epochs, ServerMoment, server_step


class ServerState(NamedTuple):
    """What the next round needs.

    Attributes:
        held: What is held of clients.
        server: The global model.
        optimizer: The server optimizer's state.
    """

    held: Held
    server: Params
    optimizer: Any


def server_rounds(
    whose: str,
    local: LocalTraining,
    optimizer: optax.GradientTransformation,
    *,
    cohort: int | None,
    average: Average | None,
    measure_at: ServerMoment,
    fine_tune_epochs: Epochs | None,
) -> Algorithm:
    """An algorithm in which clients train the global model, and an optimizer steps by their mean.

    The optimizer is given ``w − Σ_n m_n w_n / Σ_n m_n`` as its gradient, with ``m_n`` the training
    examples of client ``n`` of a round's cohort.

    Args:
        whose: Whose server it is, for sentences.
        local: How clients train on their own.
        optimizer: The server's.
        cohort: Clients that train in a round; ``None`` for everyone.
        average: What takes the place of the mean; ``None`` for the mean.
        measure_at: When clients' models are scored, as in ``server.scored_at``.
        fine_tune_epochs: For the moment ``fine-tuned``.
    """
    server = server_step(whose, local, optimizer)
    trained = global_model(
        local, measure_at=measure_at, fine_tune_epochs=fine_tune_epochs, average=average
    )

    def init(key: PRNGKeyArray, clients: ClientData) -> ServerState:
        model = local.init(key)
        return ServerState(trained.init(model, clients.n_clients), model, server.init(model))

    def one_round(
        key: PRNGKeyArray, state: ServerState, clients: ClientData
    ) -> tuple[ServerState, TrainingInfo]:
        who = participation.draw(key, clients.n_clients, cohort)
        now = key, state.held, state.server, clients, who, clients.train_size
        held, mean, loss = trained.train(*now)
        model, memory = server.step(state.server, state.optimizer, mean)
        return ServerState(held, model, memory), TrainingInfo(loss)

    def models(state: ServerState) -> Models:
        return trained.models(state.held, state.server)

    return Algorithm(init, one_round, models, trained.before_scoring, trained.moment)
