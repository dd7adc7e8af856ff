"""Of some clients that are asked for their loss, those with the highest take part.

Cho, Wang and Joshi, *Client Selection in Federated Learning: Convergence Analysis and
Power-of-Choice Selection Strategies*, arXiv 2010.01243.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax import keys
from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients.local_training import LocalTraining
from demjax.clients.losses_before import losses_at
from demjax.hierarchy.global_model import Held, global_model
from demjax.hierarchy.mixing import Weighting
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server import Epochs, ServerMoment
from demjax.pytrees import model_bytes, stack_copies
from demjax.registry import ALGORITHMS, Range, check_number


class PowerOfChoiceState(NamedTuple):
    """What the next round needs.

    Attributes:
        held: What is held of clients.
        server: The global model.
    """

    held: Held
    server: Params


class PowerOfChoiceInfo(NamedTuple):
    """What one may want to see of a round.

    Attributes:
        loss: Mean training loss of each client in its last epoch; NaN for who was not chosen.
        loss_before: Of each candidate that of the global model it was sent; NaN for all others.
        bytes_down: A model for each candidate; up goes one of each that was chosen.
    """

    loss: Float[Array, " N"]
    loss_before: Float[Array, " N"]
    bytes_down: Float[Array, ""]


@ALGORITHMS.register(
    label="Power-of-Choice", paper="Cho et al., 2020, arXiv 2010.01243", tells="clients' losses"
)
def power_of_choice(
    local: LocalTraining,
    *,
    candidates: Annotated[int | None, Range(1)] = None,
    weighting: Weighting = "clients",
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: ServerMoment = "averaged",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Train the clients with the highest loss of some, average their models.

    In a round

    1. ``d`` candidates are drawn without replacement, in proportion to their training examples;
    2. they are sent the global model ``w``, and tell its mean loss ``F_n(w)`` on all of these;
    3. the ``m`` of them with the highest loss train from it, and ``w ← Σ_n w_n / m``.

    With ``d = m`` that is a cohort drawn by examples; the larger ``d``, the more the worst-off
    clients decide. With everyone in the cohort there is nothing to choose.

    Args:
        local: How clients train on their own.
        candidates: ``d``, from the cohort to ``N``; by default twice the cohort, at most ``N``,
            the least that the paper tries.
        weighting: What counts in the mean: ``clients``, all alike, as in the paper, whose draw
            goes by examples already; or ``examples``.
        cohort: ``m``: clients that train in a round and whose mean is taken, 1 to ``N``; by default
            everyone.
        average: What takes the place of the mean, such as a robust one, as in
            ``hierarchy.robust_means``.
        measure_at: When clients' models are scored, as in ``hierarchy.server.scored_at``; by
            default the global model for each, ``averaged``, and no client model is kept.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is one root that holds every client.

    Raises:
        ValueError: If there are fewer candidates than the cohort, or more of either than clients.
    """
    if callable(cohort):
        raise ValueError(
            "Power-of-Choice asks clients for their losses and chooses among them itself, so that "
            "nobody can be taken out of its rounds beforehand; possible is a number as its cohort, "
            "and no dropouts."
        )
    trained = global_model(
        local, measure_at=measure_at, fine_tune_epochs=fine_tune_epochs, average=average
    )

    def numbers(count: int) -> tuple[int, int]:
        """How many are asked, and how many of them train."""
        train = count if cohort is None else cohort
        check_number("Power-of-Choice", "a cohort", train, 1, count)
        ask = min(2 * train, count) if candidates is None else candidates
        check_number("Power-of-Choice", "candidates", ask, train, count)
        return ask, train

    def init(key: PRNGKeyArray, clients: ClientData) -> PowerOfChoiceState:
        numbers(clients.n_clients)
        model = local.init(key)
        return PowerOfChoiceState(trained.init(model, clients.n_clients), model)

    def one_round(
        key: PRNGKeyArray, state: PowerOfChoiceState, clients: ClientData
    ) -> tuple[PowerOfChoiceState, PowerOfChoiceInfo]:
        ask, train = numbers(clients.n_clients)
        asked = _drawn_by_examples(keys.for_cohort(key), clients.train_size, ask)
        before = losses_at(local, key, state.server, clients, asked)
        _, highest = jax.lax.top_k(before[asked], train)
        who = jnp.sort(asked[highest])
        size = clients.train_size
        weight = jnp.ones_like(size) if weighting == "clients" else size
        held, mean, loss = trained.train(key, state.held, state.server, clients, who, weight)
        down = jnp.float32(ask) * model_bytes(stack_copies(state.server, 1))
        return PowerOfChoiceState(held, mean), PowerOfChoiceInfo(loss, before, down)

    def models(state: PowerOfChoiceState) -> Models:
        return trained.models(state.held, state.server)

    return Algorithm(init, one_round, models, trained.before_scoring, trained.moment)


def _drawn_by_examples(key: PRNGKeyArray, size: Int[Array, " N"], count: int) -> Int[Array, " d"]:
    """Some clients, one after another, each with a chance in proportion to its examples.

    The largest of ``log m_n + G_n`` with Gumbel noise ``G`` are such a draw (Vieira, 2014).
    """
    noise = jax.random.gumbel(key, size.shape)
    _, drawn = jax.lax.top_k(jnp.log(size.astype(jnp.float32)) + noise, count)
    return jnp.sort(drawn).astype(jnp.int32)
