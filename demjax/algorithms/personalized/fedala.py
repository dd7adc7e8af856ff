"""FedALA: before it trains, each client learns what of the global model's last layers to take on.

Zhang et al., *FedALA: Adaptive Local Aggregation for Personalized Federated Learning*, AAAI 2023,
arXiv 2212.01197, algorithm 1.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from demjax import keys
from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients import participation
from demjax.clients.aggregation_weights import weight_learning
from demjax.clients.local_training import LocalTraining, TrainingInfo
from demjax.clients.own_layers import head_of
from demjax.clients.sending import sent
from demjax.hierarchy.groups import under_one_root
from demjax.hierarchy.mixing import Weighting
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server_mean import server_mean
from demjax.pytrees import StackedModels, stack_copies
from demjax.registry import ALGORITHMS, Number, Range


class FedALAState(NamedTuple):
    """What the next round needs.

    Attributes:
        personal: Each client's own model, as it last trained it, leaves ``[N, ...]``.
        weights: What each takes on of the global model, ``W_n``, for each array of the last layers.
        server: The global model.
    """

    personal: Params
    weights: StackedModels
    server: Params


@ALGORITHMS.register(label="FedALA", paper="Zhang et al., AAAI 2023, arXiv 2212.01197")
def fedala(
    local: LocalTraining,
    *,
    adaptive_layers: Annotated[int, Range(1)] = 1,
    head_layers: Sequence[str] = (),
    weight_lr: Annotated[Number, Range(0, 1e3)] = 1.0,
    weight_epochs: Annotated[int, Range(1)] = 1,
    sampled: Annotated[Number, Range(0, 100)] = 80.0,
    weighting: Weighting = "examples",
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: Literal["personal", "averaged"] = "personal",
) -> Algorithm:
    """Start from a mixture of the own and the global model whose weights are learned.

    In a round, with ``w`` the global model, ``v_n`` a client's own, and products parameter by
    parameter, the client begins with ``w`` in all layers but the last ``p``, and there with
    ``v̂_n = v_n + W_n (w − v_n)``.

    1. It learns ``W_n``, which starts at 1, by ``W_n ← W_n − η ∇f(v̂_n) (w − v_n)``, kept within
       0 and 1, a batch after another of a random ``s`` percent of its training examples;
    2. local training goes from ``v̂_n`` to the new ``v_n``;
    3. ``w ← Σ_n m_n v_n / Σ_n m_n``, with ``m_n`` its training examples.

    The paper has a client learn its first weights until they converge; here each round has as
    many epochs of that.

    Args:
        local: How clients train.
        adaptive_layers: ``p``, at least 1. The authors' code counts arrays: its 2 are the weights
            and biases of one layer.
        head_layers: These layers by name, such as ``Dense_0``; by default the last ``p``.
        weight_lr: ``η``, 0 or more; with 0 this is federated averaging.
        weight_epochs: Epochs of learning the weights, at least 1.
        sampled: ``s``, 0 to 100.
        weighting: What counts in the mean: ``examples``, as in the paper, or ``clients`` alike.
        cohort: Clients that train in a round and whose mean is taken, 1 to ``N``; all others keep
            their models. By default everyone.
        average: What takes the place of the mean, such as a robust one, as in
            ``hierarchy.robust_means``.
        measure_at: What is scored as the clients' models: their ``personal`` ones, ``v_n``, or the
            global one for each, ``averaged``.

    Returns:
        The algorithm; its client models are the personal ones, under one root, the global model.

    Raises:
        ValueError: If a number is out of its range; when it begins, if the model has no layer
            before the last ``p``, or none of a name.
    """

    def last_layers(models: Params, clients: ClientData) -> list[int]:
        head = head_of("FedALA", local, models, clients, head_layers, adaptive_layers)
        return [number for number, own in enumerate(jax.tree.leaves(head)) if own]

    def init(key: PRNGKeyArray, clients: ClientData) -> FedALAState:
        personal = stack_copies(model := local.init(key), clients.n_clients)
        shapes = [leaf.shape for leaf in jax.tree.leaves(model)]
        last = [(clients.n_clients, *shapes[n]) for n in last_layers(personal, clients)]
        weights = StackedModels.from_pytree([jnp.ones(shape) for shape in last])
        return FedALAState(personal, weights, model)

    def one_round(
        key: PRNGKeyArray, state: FedALAState, clients: ClientData
    ) -> tuple[FedALAState, TrainingInfo]:
        own, size = state.personal, clients.train_size
        step, around = weight_learning(last_layers(own, clients), weight_lr, sampled)
        who = participation.draw(key, clients.n_clients, cohort)
        begin = sent(local, own, state.server, who), own, state.weights, size, jnp.zeros_like(size)
        options = {"cohort": who, "epochs": weight_epochs, "around": around}
        second = keys.for_second_stage(key)
        (start, _, weights, *_), _ = local.steps(second, begin, clients, step, **options)
        personal, loss = local.train(key, start, clients, cohort=who)
        server = server_mean(
            personal, clients, who, weighting, average=average, reference=state.server, key=key
        )
        return FedALAState(personal, weights, server), TrainingInfo(loss)

    def models(state: FedALAState) -> Models:
        client = state.personal
        if measure_at == "averaged":
            client = sent(local, client, state.server)
        return under_one_root(client, state.server)

    return Algorithm(init, one_round, models, moment=measure_at)
