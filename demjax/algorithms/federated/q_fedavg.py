"""Fair federated averaging: clients with a high loss count more.

Li et al., *Fair Resource Allocation in Federated Learning*, ICLR 2020, arXiv 1905.10497 (q-FFL).
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining, TrainingInfo
from demjax.clients.losses_before import losses_at
from demjax.clients.parameters import parameters_alone, state_from
from demjax.clients.sending import sent
from demjax.clients.step_lengths import way_of_steps
from demjax.hierarchy.global_model import Held, global_model
from demjax.hierarchy.robust_means import Average, mean_by_weight
from demjax.hierarchy.server import Epochs, ServerMoment
from demjax.pytrees import difference, interpolate, stack_copies
from demjax.registry import ALGORITHMS, Number, Range


class QFedAvgState(NamedTuple):
    """What the next round needs.

    Attributes:
        held: What is held of clients.
        server: The global model.
    """

    held: Held
    server: Params


@ALGORITHMS.register(
    label="q-FedAvg", paper="Li et al., ICLR 2020, arXiv 1905.10497", tells="clients' losses"
)
def q_fedavg(
    local: LocalTraining,
    *,
    q: Annotated[Number, Range(0, 1e3)] = 1.0,
    lipschitz: Annotated[Number | None, Range(1e-6, 1e9)] = None,
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: ServerMoment = "averaged",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Train from the global model, average by a power of the losses there.

    With ``F_n`` the loss of the global model ``w`` on all of client ``n``'s training examples,
    before it trains, and ``w_n`` what it makes of ``w``, the cohort's clients send

    1. ``Δ_n = F_n^q L (w − w_n)``;
    2. ``h_n = q F_n^(q−1) ‖L (w − w_n)‖² + L F_n^q``;

    and ``w ← w − Σ_n Δ_n / Σ_n h_n``. All count alike whatever their examples, so that ``q = 0``
    is federated averaging with plain weights, for any ``L``. As in the authors' code ``F_n`` is
    taken to be at least 1e-10. State that is no parameter, such as batch statistics, is the mean
    by ``F_n^q``.

    Args:
        local: How clients train on their own; the paper's clients use plain SGD.
        q: Of fairness, 0 or more; the larger, the more alike are clients' losses. The paper tunes
            it for each task, between .001 and 5.
        lipschitz: ``L``, above 0; by default the paper's ``1/η``, with ``η`` the length of the
            local optimizer's first step from a gradient of 1, which for SGD is its rate.
        cohort: Clients that train in a round, 1 to ``N``, drawn alike; by default everyone. (The
            paper draws them by their examples.)
        average: What takes the place of ``Σ_n F_n^q w_n / Σ_n F_n^q``, such as a robust mean, as in
            ``hierarchy.robust_means``.
        measure_at: When clients' models are scored, as in ``hierarchy.server.scored_at``; by
            default the global model for each, ``averaged``, and no client model is kept.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is one root that holds every client.

    Raises:
        ValueError: If a number is out of its range.
    """
    trained = global_model(local, measure_at=measure_at, fine_tune_epochs=fine_tune_epochs)

    def init(key: PRNGKeyArray, clients: ClientData) -> QFedAvgState:
        model = local.init(key)
        return QFedAvgState(trained.init(model, clients.n_clients), model)

    def shares(
        loss: Float[Array, " c"], squares: Float[Array, " c"], there: Bool[Array, " c"]
    ) -> Float[Array, " c"]:
        """What of each client's way the step is made of, ``F_n^q L / Σ h``."""
        first = way_of_steps(local.optimizer, jnp.ones(1, jnp.int32))[0]
        steep = 1 / first if lipschitz is None else lipschitz
        loss = jnp.maximum(loss, 1e-10)
        curved = q * loss ** (q - 1) * steep**2 * squares + steep * loss**q
        there = there & jnp.isfinite(curved)  # or one way of no number would end the step of all
        return jnp.where(there, steep * loss**q, 0) / jnp.sum(jnp.where(there, curved, 0))

    def one_round(
        key: PRNGKeyArray, state: QFedAvgState, clients: ClientData
    ) -> tuple[QFedAvgState, TrainingInfo]:
        count, server = clients.n_clients, state.server
        who = participation.draw(key, count, cohort)
        before = losses_at(local, key, server, clients, who)
        start = sent(local, trained.own(state.held, server), server, who)
        client, loss = local.train(key, start, clients, cohort=who)
        there = participation.numbers(count, who) < count
        some = participation.rows(client, who)
        # As numbers of their own: else the copies that clients began from stay until here.
        begun = stack_copies(jax.lax.optimization_barrier(server), some.count)
        way = parameters_alone(local, difference(some, begun))
        squares = [
            jnp.sum(jnp.square(leaf.reshape(leaf.shape[0], -1)), axis=1)
            for leaf in jax.tree.leaves(way)
        ]
        share = shares(participation.rows(before, who), jnp.sum(jnp.stack(squares), 0), there)
        mean = mean_by_weight(some, share, average=average, reference=server, key=key)
        model = state_from(local, interpolate(server, mean, jnp.sum(share)), mean)
        return QFedAvgState(trained.keep(state.held, client), model), TrainingInfo(loss)

    def models(state: QFedAvgState) -> Models:
        return trained.models(state.held, state.server)

    return Algorithm(init, one_round, models, trained.before_scoring, trained.moment)
