"""Control variates: what each client's gradients differ by from everybody's is taken off its steps.

Karimireddy et al., *SCAFFOLD: Stochastic Controlled Averaging for Federated Learning*, ICML 2020,
arXiv 1910.06378, algorithm 1 with option II.
"""

from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clients.mean_gradients import train_with_variates
from demjax.clients.parameters import parameter_bytes, taking_part
from demjax.clients.sending import sent
from demjax.hierarchy.global_model import Held, global_model
from demjax.hierarchy.means import mean_of_all
from demjax.hierarchy.mixing import Weighting
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server import Epochs, ServerMoment, server_step
from demjax.hierarchy.server_mean import server_mean
from demjax.pytrees import difference, each_array, model_bytes, stack_copies
from demjax.registry import ALGORITHMS, Number, Range


class ScaffoldState(NamedTuple):
    """What the next round needs.

    Attributes:
        held: What is held of clients' models.
        variates: ``c_n`` of each client, leaves ``[N, ...]``.
        server: The global model ``x``.
        variate: ``c``, the mean of all clients' variates.
    """

    held: Held
    variates: Params
    server: Params
    variate: Params


class ScaffoldInfo(NamedTuple):
    """What one may want to see of a round.

    Attributes:
        loss: Mean training loss of each client in its last epoch; NaN outside the cohort.
        bytes_up: Of a model and the change of a control variate, from each of the cohort.
        bytes_down: Of a model and the server's control variate, to each of the cohort.
    """

    loss: Float[Array, " N"]
    bytes_up: Float[Array, ""]
    bytes_down: Float[Array, ""]


@ALGORITHMS.register(
    label="SCAFFOLD",
    paper="Karimireddy et al., ICML 2020, arXiv 1910.06378",
    tells="control variates",
)
def scaffold(
    local: LocalTraining,
    *,
    server_lr: Annotated[Number, Range(0, 1e3)] = 1.0,
    weighting: Weighting = "clients",
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: ServerMoment = "averaged",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Train from the global model with corrected gradients, average models and corrections.

    In a round every client ``n`` of the cohort ``S`` starts from the global model, ``y_n = x``:

    1. for each of its ``K`` batches, ``y_n ← y_n − η (g_n(y_n) − c_n + c)``;
    2. ``c_n⁺ = c_n − c + (x − y_n) / (K η)``, option II;

    then ``x ← x + η_g mean_S (y_n − x)`` and ``c ← c + |S|/N mean_S (c_n⁺ − c_n)``. Variates begin
    at 0, so that ``c`` is always the mean of all ``c_n``, and computed as that. By 1. the way
    ``(x − y_n) / (K η)`` is the mean of ``g_n − c_n + c``, so that 2. says that ``c_n⁺`` is the
    mean of the gradients that the client met. That is what is computed here: the same for plain
    SGD, at any rate, and the rule that is taken for every other local optimizer, which is given
    corrected gradients.

    Args:
        local: How clients train on their own; the paper's clients use plain SGD.
        server_lr: ``η_g``, 0 or more; the paper's 1. State that is no parameter is the mean as it
            is.
        weighting: What counts in both means: ``clients``, all alike, as in the paper, or
            ``examples``.
        cohort: Clients that train in a round and whose means are taken, 1 to ``N``; by default
            everyone.
        average: What takes the place of both means, such as a robust one, as in
            ``hierarchy.robust_means``.
        measure_at: When clients' models are scored, as in ``hierarchy.server.scored_at``; by
            default the global model for each, ``averaged``.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is one root that holds every client.

    Raises:
        ValueError: If ``server_lr`` is out of its range.
    """
    kept = global_model(local, measure_at=measure_at, fine_tune_epochs=fine_tune_epochs)
    server = server_step("SCAFFOLD's server", local, optax.sgd(server_lr))

    def init(key: PRNGKeyArray, clients: ClientData) -> ScaffoldState:
        model, count = local.init(key), clients.n_clients
        nothing = jax.tree.map(jnp.zeros_like, model)
        return ScaffoldState(kept.init(model, count), stack_copies(nothing, count), model, nothing)

    def one_round(
        key: PRNGKeyArray, state: ScaffoldState, clients: ClientData
    ) -> tuple[ScaffoldState, ScaffoldInfo]:
        held, variates, model, variate = state
        count = clients.n_clients
        who = participation.draw(key, count, cohort)
        start = sent(local, kept.own(held, model), model, who)
        client, told, loss = train_with_variates(local, key, start, clients, variates, variate, who)
        averaged = partial(server_mean, average=average, key=key)
        mean = averaged(client, clients, who, weighting, reference=model)
        size = jnp.ones(count, jnp.int32) if weighting == "clients" else clients.train_size
        if average is None:
            variate = mean_of_all(told, size)
        else:  # what liars tell of their variates is held off like what they tell of their models
            nothing = jax.tree.map(jnp.zeros_like, variate)
            way = averaged(difference(told, variates), clients, who, weighting, reference=nothing)
            part = jnp.sum(participation.counted(size, who)) / jnp.sum(size)
            variate = each_array(lambda c, d: c + part * d, variate, way)
        new, _ = server.step(model, server.init(model), mean)
        one = model_bytes(client) + parameter_bytes(local, client)
        sum_of_bytes = taking_part(count, who) * one
        now = kept.keep(held, client), told, new, variate
        return ScaffoldState(*now), ScaffoldInfo(loss, sum_of_bytes, sum_of_bytes)

    def models(state: ScaffoldState) -> Models:
        return kept.models(state.held, state.server)

    return Algorithm(init, one_round, models, kept.before_scoring, kept.moment)
