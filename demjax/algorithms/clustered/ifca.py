"""IFCA: every client joins the cluster whose model has the least loss on its examples.

Ghosh, Chung, Yin and Ramchandran, *An Efficient Framework for Clustered Federated Learning*,
NeurIPS 2020, arXiv 2006.04088, algorithm 1.
"""

from typing import Annotated, Literal

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from demjax.base import NO_GROUP, Algorithm, ClientData, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clients.losses_before import gradients_at, losses_at_each
from demjax.clients.parameters import taking_part
from demjax.hierarchy.cluster_models import (
    ClusteredInfo,
    Clusters,
    check_clusters,
    cluster_models,
    counted,
    different_models,
)
from demjax.hierarchy.mixing import Weighting
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server import Epochs, ServerMoment
from demjax.pytrees import combine, difference, model_bytes
from demjax.registry import ALGORITHMS, Number, Range


@ALGORITHMS.register(label="IFCA", paper="Ghosh et al., NeurIPS 2020, arXiv 2006.04088")
def ifca(
    local: LocalTraining,
    *,
    clusters: Annotated[int, Range(1)] = 4,
    averaging: Literal["models", "gradients"] = "models",
    gradient_lr: Annotated[Number, Range(0)] = 0.1,
    weighting: Weighting = "clients",
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: ServerMoment = "averaged",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Join the cluster whose model fits best, train that, average in each cluster.

    Clusters begin from models ``θ_1 … θ_k`` that are drawn each for itself. In a round, for client
    ``i`` of the ``m`` that take part,

    1. it is sent all of them, and joins ``ĵ = argmin_j F_i(θ_j)``, ``F_i`` its mean loss on all of
       its training examples; of several the first;
    2. it trains ``θ_ĵ`` to ``θ̃_i``; or, for averaging of gradients, computes ``g_i = ∇F_i(θ_ĵ)``;
    3. ``θ_j ← Σ_{i ∈ S_j} θ̃_i / |S_j|``; or ``θ_j ← θ_j − γ Σ_{i ∈ S_j} g_i / m``, over those that
       joined ``j``; a cluster that nobody joined keeps its model.

    With one cluster, and means by examples, it is federated averaging.

    Args:
        local: How clients train on their own.
        clusters: ``k``, from 1 to the number of clients; 4 and 2 in the paper.
        averaging: What is averaged: ``models`` after local training, or ``gradients``, a step a
            round.
        gradient_lr: ``γ``, the rate of that step, 0 or more.
        weighting: What counts in means: ``clients``, all alike, as in the paper; or ``examples``.
        cohort: Clients that take part in a round, 1 to ``N``; all others stay in the cluster that
            they last joined, or in none but the root. By default everyone.
        average: What takes the place of the mean of models, as in ``hierarchy.robust_means``.
        measure_at: When clients' models are scored: what each last ``trained``; its cluster's
            model, ``averaged``; or ``fine-tuned`` from that.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is the clusters below a root, the mean of their models.

    Raises:
        ValueError: If there are more clusters than clients, or gradients are to be averaged where
            client models are scored as trained, of a model with batch statistics, or robustly.
    """
    steps = averaging == "gradients"
    refused = measure_at == "trained" or average is not None or local.state is not None
    if steps and refused:
        raise ValueError(
            "IFCA by gradients trains no client models, takes no other average, and leaves batch "
            "statistics as they are; possible is averaging 'models'."
        )
    part = cluster_models(
        local,
        weighting=weighting,
        average=average,
        measure_at=measure_at,
        fine_tune_epochs=fine_tune_epochs,
    )

    def init(key: PRNGKeyArray, clients: ClientData) -> Clusters:
        check_clusters("IFCA", clusters, count := clients.n_clients)
        nowhere = jnp.full(count, NO_GROUP, jnp.int32)
        return part.init(different_models(local, key, clusters), nowhere)

    def one_round(
        key: PRNGKeyArray, now: Clusters, clients: ClientData
    ) -> tuple[Clusters, ClusteredInfo]:
        count = clients.n_clients
        who = participation.draw(key, count, cohort)
        losses = losses_at_each(local, key, now.cluster, clients, who)
        losses = jnp.where(jnp.isnan(losses), jnp.inf, losses)  # of what diverged, too
        best = jnp.argmin(losses, axis=1).astype(jnp.int32)
        now = part.placed(now, participation.kept(now.hierarchy.groups[0], who, best), clients)
        if steps:
            gradient, loss = gradients_at(local, key, now.cluster, best, clients, who)
            now = now._replace(cluster=stepped(now, gradient, clients, who))
        else:
            trained, loss = part.train(key, now, clients, who)
            now = part.averaged(key, now, trained, clients, who)
        sent = taking_part(count, who) * model_bytes(now.cluster)
        return now, ClusteredInfo(loss, sent, clusters * sent)

    def stepped(
        now: Clusters, gradient: Params, clients: ClientData, who: participation.Cohort
    ) -> Params:
        weight = participation.counted(counted(weighting, clients), who).astype(jnp.float32)
        at = participation.rows(now.hierarchy.groups[0], who)
        share = (at == jnp.arange(clusters)[:, None]) * weight / jnp.sum(weight)
        step = combine(participation.rows(gradient, who), gradient_lr * share)
        return difference(now.cluster, step)

    return Algorithm(init, one_round, part.models, part.before_scoring, part.moment)
