"""Normalized averaging: clients that make more steps do not draw the global model further.

Wang et al., *Tackling the Objective Inconsistency Problem in Heterogeneous Federated
Optimization*, NeurIPS 2020, arXiv 2007.07481.
"""

from collections.abc import Callable
from numbers import Real
from typing import Annotated, NamedTuple, cast

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining, TrainingInfo
from demjax.clients.parameters import state_from
from demjax.clients.proximal import near
from demjax.clients.step_lengths import way_of_steps
from demjax.hierarchy.global_model import Held, global_model
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server import Epochs, ServerMoment
from demjax.pytrees import interpolate
from demjax.registry import ALGORITHMS, Number, Range


class FedNovaState(NamedTuple):
    """What the next round needs.

    Attributes:
        held: What is held of clients.
        server: The global model.
    """

    held: Held
    server: Params


@ALGORITHMS.register(label="FedNova", paper="Wang et al., NeurIPS 2020, arXiv 2007.07481")
def fednova(
    local: LocalTraining,
    *,
    prox: Annotated[Number, Range(0, 1e6)] = 0.0,
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: ServerMoment = "averaged",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Train from the global model, average each client's way by the length of its steps.

    Client ``n`` of the cohort makes ``τ_n`` steps in a round, as many as its batches, which take it
    ``x − w_n = η Σ_k a_nk g_nk`` away from the global model ``x``. With ``m_n`` its training
    examples and ``p_n = m_n / Σ m``,

    ``x ← x − τ_eff Σ_n p_n (x − w_n) / ‖a_n‖₁``, with ``τ_eff = Σ_n p_n ‖a_n‖₁``.

    For plain SGD ``‖a_n‖₁ = τ_n``. For any other local optimizer, and with a proximal term, it is
    how far that one goes in ``τ_n`` steps whose gradient is 1, in units of its first: exactly the
    paper's ``a_n`` for momentum, Nesterov's, schedules of rates, and ``prox``. Where all make as
    many steps this is federated averaging, or FedProx.

    State that is no parameter, such as batch statistics, is the mean with weights ``p_n / ‖a_n‖₁``.

    Args:
        local: How clients train on their own.
        prox: ``μ`` of a proximal term ``μ/2 ‖w − x‖²``, 0 or more; by default there is none.
        cohort: Clients that train in a round and whose mean is taken, 1 to ``N``; by default
            everyone.
        average: What takes the place of the mean with weights ``p_n / ‖a_n‖₁``, such as a robust
            one, as in ``hierarchy.robust_means``.
        measure_at: When clients' models are scored, as in ``hierarchy.server.scored_at``; by
            default the global model for each, ``averaged``, and no client model is kept.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is one root that holds every client.

    Raises:
        ValueError: If ``prox`` is out of its range.
    """
    trained = global_model(
        local, measure_at=measure_at, fine_tune_epochs=fine_tune_epochs, average=average
    )
    drawn = not (isinstance(prox, Real) and prox == 0)

    def init(key: PRNGKeyArray, clients: ClientData) -> FedNovaState:
        model = local.init(key)
        return FedNovaState(trained.init(model, clients.n_clients), model)

    def one_round(
        key: PRNGKeyArray, state: FedNovaState, clients: ClientData
    ) -> tuple[FedNovaState, TrainingInfo]:
        who = participation.draw(key, clients.n_clients, cohort)
        steps = cast(Callable, local.batches)(clients, key=key)
        way = way_of_steps(local.optimizer, steps, prox)
        share = clients.train_size / way
        nearby = near(state.server, clients.n_clients, prox) if drawn else None
        now = key, state.held, state.server, clients, who, share, nearby
        held, mean, loss = trained.train(*now)
        # The mean's weights add up to Σ p/‖a‖, of which it holds one part.
        examples, share, way = (
            participation.counted(each, who) for each in (clients.train_size, share, way)
        )
        total = jnp.sum(examples)
        rate = jnp.sum(examples * way) / total * (jnp.sum(share) / total)
        model = state_from(local, interpolate(state.server, mean, rate), mean)
        return FedNovaState(held, model), TrainingInfo(loss)

    def models(state: FedNovaState) -> Models:
        return trained.models(state.held, state.server)

    return Algorithm(init, one_round, models, trained.before_scoring, trained.moment)
