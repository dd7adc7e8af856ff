"""Federated averaging, and the control that lets its clients keep some of their own model.

McMahan et al., *Communication-Efficient Learning of Deep Networks from Decentralized Data*,
AISTATS 2017, arXiv 1602.05629; server optimizers: Reddi et al., *Adaptive Federated
Optimization*, ICLR 2021, arXiv 2003.00295.
"""

from typing import Annotated, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining, TrainingInfo
from demjax.clients.optimizers import of_gradients
from demjax.hierarchy.groups import under_one_root
from demjax.hierarchy.robust_means import Average, mean_by_examples
from demjax.pytrees import difference, interpolate, select, stack_copies
from demjax.registry import ALGORITHMS, OPTIMIZERS, Range, Slot

ServerOptimizer = Annotated[
    optax.GradientTransformation | str | None,
    Slot(OPTIMIZERS, prefix="server_", defaults={"lr": 1.0}, inferred=True, table="algorithm"),
]


class FedAvgState(NamedTuple):
    """What the next round needs.

    Attributes:
        client: Client models after the last round, leaves ``[N, ...]``.
        server: The global model.
        optimizer: The server optimizer's state.
    """

    client: Params
    server: Params
    optimizer: optax.OptState


@ALGORITHMS.register(label="FedAvg", paper="McMahan et al., AISTATS 2017, arXiv 1602.05629")
def fedavg(
    local: LocalTraining,
    *,
    mix: Annotated[Float[Array, ""] | float | None, Range(0, 1)] = None,
    server_optimizer: ServerOptimizer = None,
    cohort: int | None = None,
    client_models: Literal["trained", "global"] = "trained",
    average: Average | None = None,
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
        client_models: What is measured as the clients' models: what each last trained, which with a
            cohort may be long ago, or the global model, on each client's own examples.
        average: What takes the place of the mean, such as a robust one, as in
            ``hierarchy.robust_means``; by default the mean by examples.

    Returns:
        The algorithm; its hierarchy is one root that holds every client.

    Raises:
        ValueError: If ``mix`` is out of its range.
    """
    chosen = cast(optax.GradientTransformation, server_optimizer or optax.sgd(1.0))
    server = of_gradients("FedAvg's server", chosen)

    def init(key: PRNGKeyArray, clients: ClientData) -> FedAvgState:
        model = local.init(key)
        return FedAvgState(stack_copies(model, clients.n_clients), model, server.init(model))

    def one_round(
        key: PRNGKeyArray, state: FedAvgState, clients: ClientData
    ) -> tuple[FedAvgState, TrainingInfo]:
        who = participation.draw(key, clients.n_clients, cohort)
        start = state.client
        if mix is None:
            start = local.begin(start, stack_copies(state.server, clients.n_clients))
        start = participation.kept(state.client, who, start)
        client, loss = local.train(key, start, clients, cohort=who)
        mean = mean_by_examples(
            client, clients, who, average=average, reference=state.server, key=key
        )
        if server_optimizer is None:
            model, optimizer = mean, state.optimizer
        else:
            model, optimizer = _stepped(server, local, state, mean)
        if mix is not None:
            mixed = interpolate(client, stack_copies(model, clients.n_clients), mix)
            client = participation.kept(client, who, local.begin(client, mixed))
        return FedAvgState(client, model, optimizer), TrainingInfo(loss)

    def models(state: FedAvgState) -> Models:
        if client_models == "global":
            return under_one_root(stack_copies(state.server, state.client.count), state.server)
        return under_one_root(state.client, state.server)

    return Algorithm(init=init, round=one_round, models=models)


def _stepped(
    server: optax.GradientTransformation, local: LocalTraining, state: FedAvgState, mean: Params
) -> tuple[Params, optax.OptState]:
    """The global model after a step of the server's optimizer towards the mean, and its memory."""
    gradient = difference(state.server, mean)
    parameters = None
    if local.state is not None:  # a variance that is stepped would not stay above 0
        parameters = jax.tree.map(lambda is_state: not is_state, local.state(mean))
        gradient = select(parameters, gradient, jax.tree.map(jnp.zeros_like, gradient))
    updates, memory = server.update(gradient, state.optimizer, state.server)
    model = optax.apply_updates(state.server, updates)
    return model if parameters is None else select(parameters, model, mean), memory
