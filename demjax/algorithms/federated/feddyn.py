"""Dynamic regularization: a term for each client lets local and global optima agree.

Acar et al., *Federated Learning Based on Dynamic Regularization*, ICLR 2021, arXiv 2111.04263.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining, TrainingInfo
from demjax.clients.parameters import parameters_alone, state_from, taking_part
from demjax.clients.proximal import near
from demjax.clients.sending import sent
from demjax.hierarchy.global_model import Held, global_model
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server import Epochs, ServerMoment
from demjax.hierarchy.server_mean import server_mean
from demjax.pytrees import difference, each_array, stack_copies
from demjax.registry import ALGORITHMS, Number, Range


class FedDynState(NamedTuple):
    """What the next round needs.

    Attributes:
        held: What is held of clients' models.
        drift: ``u`` of each client, leaves ``[N, ...]``: the sum of its ways in earlier rounds.
        server: The global model ``θ``.
        drift_of_all: ``H``, the mean of all clients' ``u``.
    """

    held: Held
    drift: Params
    server: Params
    drift_of_all: Params


@ALGORITHMS.register(
    label="FedDyn",
    paper="Acar et al., ICLR 2021, arXiv 2111.04263",
    tells="the mean of clients' drifts",
)
def feddyn(
    local: LocalTraining,
    *,
    prox: Annotated[Number, Range(0, 1e6)] = 0.1,
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: ServerMoment = "averaged",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Train near the global model, against the direction that a client's own data always pull it.

    In a round, with ``F_n`` the loss of client ``n``, ``g_n`` what it knows of its gradient at its
    optimum, and ``P`` the cohort:

    1. ``θ_n`` minimizes ``F_n(w) − ⟨g_n, w⟩ + α/2 ‖w − θ‖²``, from ``θ``;
    2. ``g_n ← g_n − α (θ_n − θ)`` and ``h ← h − α/N Σ_{n∈P} (θ_n − θ)``;
    3. ``θ ← Σ_{n∈P} θ_n / |P| − h / α``.

    All ``g`` and ``h`` begin at 0. What is kept are ``u_n = −g_n / α`` and ``H = −h / α``, the sums
    of the ways, which need no division: as ``α`` goes to 0 clients train freely, and the server
    adds to the mean all ways of earlier rounds. State that is no parameter, such as batch
    statistics, is the mean as it is.

    Args:
        local: How clients train on their own.
        prox: ``α``, 0 or more; the paper's .1, of .1, .01 and .001 that it tries.
        cohort: Clients that train in a round and whose mean is taken, 1 to ``N``; by default
            everyone.
        average: What takes the place of the mean, such as a robust one, as in
            ``hierarchy.robust_means``; by default the plain mean, as in the paper.
        measure_at: When clients' models are scored, as in ``hierarchy.server.scored_at``; by
            default the global model for each, ``averaged``.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is one root that holds every client.

    Raises:
        ValueError: If ``prox`` is out of its range.
    """
    kept = global_model(local, measure_at=measure_at, fine_tune_epochs=fine_tune_epochs)

    def init(key: PRNGKeyArray, clients: ClientData) -> FedDynState:
        model = local.init(key)
        held = kept.init(model, clients.n_clients)
        nothing = jax.tree.map(jnp.zeros_like, model)
        return FedDynState(held, stack_copies(nothing, clients.n_clients), model, nothing)

    def one_round(
        key: PRNGKeyArray, state: FedDynState, clients: ClientData
    ) -> tuple[FedDynState, TrainingInfo]:
        held, drift, server, drift_of_all = state
        count = clients.n_clients
        who = participation.draw(key, count, cohort)
        client, loss = local.train(
            key,
            sent(local, kept.own(held, server), server, who),
            clients,
            near(server, count, prox),
            cohort=who,
            correction=drift,
            correction_weight=prox,
        )
        way = parameters_alone(local, difference(client, stack_copies(server, count)))
        drift = participation.kept(drift, who, each_array(lambda u, w: u + w, drift, way))
        mean = server_mean(
            client, clients, who, "clients", average=average, reference=server, key=key
        )
        part, step = taking_part(count, who) / count, difference(mean, server)
        drift_of_all = parameters_alone(
            local, each_array(lambda all_, way: all_ + part * way, drift_of_all, step)
        )
        model = state_from(local, each_array(lambda m, all_: m + all_, mean, drift_of_all), mean)
        now = kept.keep(held, client), drift, model, drift_of_all
        return FedDynState(*now), TrainingInfo(loss)

    def models(state: FedDynState) -> Models:
        return kept.models(state.held, state.server)

    return Algorithm(init, one_round, models, kept.before_scoring, kept.moment)
