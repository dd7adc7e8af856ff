"""FedRC: soft clusters that part clients by what labels mean, not by which labels they have.

Guo, Tang and Lin, *FedRC: Tackling Diverse Distribution Shifts Challenge in Federated Learning by
Robust Clustering*, ICML 2024, arXiv 2301.12379.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from demjax import keys
from demjax.base import NO_GROUP, Algorithm, ClientData, Models
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clients.parameters import taking_part
from demjax.clients.soft_clusters import Mixture, expected, train_part
from demjax.hierarchy.cluster_models import (
    Clusters,
    below_one_root,
    check_clusters,
    cluster_models,
    different_models,
)
from demjax.hierarchy.mixing import Weighting
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server import Epochs, ServerMoment
from demjax.hierarchy.server_mean import server_mean
from demjax.pytrees import like, model_bytes, rows_where
from demjax.registry import ALGORITHMS, Range


class FedRCState(NamedTuple):
    """What the next round needs."""

    clusters: Clusters  # their models, and the one of each client that most of it is
    omega: Float[Array, " N K"]  # what of each client is each cluster's
    labels: Float[Array, " K Y"]  # the share of each label in each cluster


class FedRCInfo(NamedTuple):
    """What one may want to see of a round."""

    loss: Float[Array, " N"]  # of its cluster's model, each example counted by its part
    omega: Float[Array, " N K"]  # after the round
    bytes_up: Float[Array, ""]  # all models, and ``K Y`` numbers, for each that takes part
    bytes_down: Float[Array, ""]  # likewise


@ALGORITHMS.register(label="FedRC", paper="Guo et al., ICML 2024, arXiv 2301.12379")
def fedrc(
    local: LocalTraining,
    *,
    clusters: Annotated[int, Range(1)] = 3,
    weighting: Weighting = "examples",
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: ServerMoment = "averaged",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Train every cluster's model on the part of each example that is the cluster's.

    Maximizes ``1/N Σ_i,j ln Σ_k ω_ik I(x_ij, y_ij; φ_k)`` over models ``φ`` and weights ``ω`` of
    clients, ``Σ_k ω_ik = 1``, with ``I = P(x, y) / P(x) P(y)`` in cluster ``k``: what labels a
    cluster has does not matter, what they go with does. ``I`` is taken as
    ``exp(−f(x, y; φ_k)) / C_{y;k}``, the loss against the label's share of the cluster. In a round

    1. ``γ_ijk = ω_ik I(x_ij, y_ij; φ_k) / Σ_n ω_in I(x_ij, y_ij; φ_n)`` for each example;
    2. ``ω_ik ← Σ_j γ_ijk / m_i``;
    3. client ``i`` trains all models ``φ_k``, by gradients ``Σ_j γ_ijk ∇f(x_ij, y_ij; φ_k) / B`` of
       batches, and each becomes the mean of what clients made of it by their examples ``m_i``;
    4. ``C_{y;k} ← Σ_i,j: y_ij = y γ_ijk / Σ_i,j γ_ijk``.

    With one cluster it is federated averaging. The authors score a client by the mean of all
    models' predictions, by ``ω_ik``; here it has the model that most of it is,
    ``argmax_k ω_ik``. Clusters are not removed.

    Args:
        local: How clients train on their own: once for each cluster.
        clusters: ``K``, from 1 to the number of clients.
        weighting: What counts in means: ``examples``; or ``clients``, all alike.
        cohort: Clients that train in a round, 1 to ``N``; by default everyone.
        average: What takes the place of the mean, as in ``hierarchy.robust_means``.
        measure_at: When clients' models are scored: what each last ``trained``; its cluster's
            model, ``averaged``; or ``fine-tuned`` from that.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is the clusters below a root, the mean of their models.

    Raises:
        ValueError: If the task has no labels, or there are more clusters than clients.
    """
    if local.losses is None or local.predict is None:
        raise ValueError(
            "FedRC needs the loss of each example, which the task does not tell; possible is one "
            "with predict and losses, such as classification(model, example) makes."
        )
    part = cluster_models(
        local, weighting=weighting, measure_at=measure_at, fine_tune_epochs=fine_tune_epochs
    )

    def init(key: PRNGKeyArray, clients: ClientData) -> FedRCState:
        check_clusters("FedRC", clusters, count := clients.n_clients)
        if clients.y.ndim != 1 or not jnp.issubdtype(clients.y.dtype, jnp.integer):
            raise ValueError(
                f"FedRC needs a label of each example, but targets of {clients.y.dtype} were "
                "given; possible is 'ifca', which needs none."
            )
        model = different_models(local, key, clusters)
        one = jax.ShapeDtypeStruct((1, *clients.x.shape[1:]), clients.x.dtype)
        classes = jax.eval_shape(cast(Callable, local.predict), model.model(0), one).shape[-1]
        now = part.init(model, jnp.full(count, NO_GROUP, jnp.int32))
        omega = jnp.ones((count, clusters)) / clusters
        return FedRCState(now, omega, jnp.ones((clusters, classes)) / classes)

    def one_round(
        key: PRNGKeyArray, state: FedRCState, clients: ClientData
    ) -> tuple[FedRCState, FedRCInfo]:
        now, old = state.clusters, Mixture(state.clusters.cluster, state.omega, state.labels)
        count, who = clients.n_clients, participation.draw(key, clients.n_clients, cohort)
        new = expected(local, key, old, clients, who)
        best = jnp.argmax(new.omega, axis=1).astype(jnp.int32)
        now = part.placed(now, participation.kept(now.hierarchy.groups[0], who, best), clients)

        def one_model(carry, number):
            everyone = below_one_root(jnp.full(count, number), clusters)
            begin = part.start(now._replace(hierarchy=everyone))
            trained, loss = train_part(local, key, begin, old, number, clients, who)
            form = {"average": average, "reference": now.cluster.model(number)}
            noise = keys.for_part(keys.for_noise(key), number)
            mean = server_mean(trained, clients, who, weighting, key=noise, **form)
            made = trained if part.holds else (), loss
            return jax.tree.map(partial(rows_where, best == number), made, carry), mean

        nothing = now.client, jnp.full(count, jnp.nan)
        (client, loss), means = lax.scan(one_model, nothing, jnp.arange(clusters))
        client = participation.kept(now.client, who, client) if part.holds else ()
        now = now._replace(client=client, cluster=like(now.cluster, means))
        sent = taking_part(count, who) * (clusters * model_bytes(now.cluster) + 4 * old.labels.size)
        return FedRCState(now, *new[1:]), FedRCInfo(loss, new.omega, sent, sent)

    def models(state: FedRCState) -> Models:
        return part.models(state.clusters)

    return Algorithm(init, one_round, models, part.before_scoring, part.moment)
