"""Clusters of clients that share a model each: who starts from which, and what becomes of it.

A system says who is in which cluster, and when that changes. Clusters are the lower of two levels;
the root holds everyone, and its model, the mean of the clusters', is trained by nobody.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax import keys
from demjax.base import ClientData, Hierarchy, Models, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.hierarchy.edges import at_edges, stacked
from demjax.hierarchy.groups import from_groups
from demjax.hierarchy.mixing import Weighting, from_parent
from demjax.hierarchy.robust_means import Average, weighted_mean
from demjax.hierarchy.server import Epochs, ServerMoment, scored_at
from demjax.pytrees import StackedModels, combine, stack_copies


class Clusters(NamedTuple):
    """What is held of clusters between rounds.

    Attributes:
        client: What each client last trained, leaves ``[N, ...]``; ``()`` where nothing asks for
            it.
        cluster: The clusters' models, leaves ``[C, ...]``.
        hierarchy: The cluster of each client, ``NO_GROUP`` where it has none yet, and the root.
        share: What each cluster's model counts in the root's; they add up to 1.
    """

    client: Params
    cluster: Params
    hierarchy: Hierarchy
    share: Float[Array, " C"]


class ClusteredInfo(NamedTuple):
    """What one may want to see of a round.

    Attributes:
        loss: Mean training loss of each client in its last epoch; NaN outside the cohort.
        bytes_up: Bytes that clients send.
        bytes_down: Bytes that they are sent.
    """

    loss: Float[Array, " N"]
    bytes_up: Float[Array, ""]
    bytes_down: Float[Array, ""]


class ClusterModels(NamedTuple):
    """How clusters' models are trained, and what is scored of them.

    Attributes:
        init: ``(cluster, groups[N]) -> Clusters``: models ``[C, ...]`` before any round. The root
            has the first one's, as no cluster counts more than another yet.
        start: ``(now) -> models``: for each client its cluster's, leaves ``[N, ...]``.
        placed: ``(now, groups[N], clients) -> Clusters``: the same with clients in these clusters,
            of whom one at least has one.
        train: ``(key, now, clients, cohort) -> (models, loss[N])``: what clients make of that.
        averaged: ``(key, now, models, clients, cohort) -> Clusters``: each cluster's mean of what
            its own clients in the cohort trained; without any it keeps what it has.
        models: ``(now) -> Models``, as of ``Algorithm``.
        before_scoring: As of ``Algorithm``.
        moment: When clients' models are scored.
        holds: Whether what clients trained is held.
    """

    init: Callable[[Params, Int[Array, " N"]], Clusters]
    start: Callable[[Clusters], Params]
    placed: Callable[[Clusters, Int[Array, " N"], ClientData], Clusters]
    train: Callable[..., tuple[Params, Float[Array, " N"]]]
    averaged: Callable[..., Clusters]
    models: Callable[[Clusters], Models]
    before_scoring: Callable | None
    moment: str
    holds: bool


def cluster_models(
    local: LocalTraining,
    *,
    weighting: Weighting,
    average: Average | None = None,
    measure_at: ServerMoment,
    fine_tune_epochs: Epochs | None = None,
) -> ClusterModels:
    """Training of clusters' models, ``w_c ← Σ_n v_n w_n / Σ_n v_n`` over the clients of each.

    The root's model is ``Σ_c V_c w_c / Σ_c V_c``, with ``V_c`` the ``v_n`` of all clients that are
    in the cluster, whether they took part or not.

    Args:
        local: How clients train on their own.
        weighting: ``"clients"``: ``v_n = 1``; ``"examples"``: ``v_n`` are the training examples.
        average: What takes the place of the mean; ``None`` for the mean.
        measure_at: When clients' models are scored, as in ``server.scored_at``: what each last
            ``trained``; its cluster's, ``averaged``, or the root's where it has none; or
            ``fine-tuned`` from that.
        fine_tune_epochs: For the last, at least 1.

    Raises:
        ValueError: If epochs are given for another moment.
    """
    scored, mean = scored_at(local, measure_at, fine_tune_epochs), average or weighted_mean
    holds = measure_at == "trained" or local.state is not None

    def init(cluster: Params, groups: Int[Array, " N"]) -> Clusters:
        slots, count = cluster.count, groups.shape[0]
        client = stack_copies(cluster.model(0), count) if holds else ()
        share = jnp.zeros(slots).at[0].set(1.0)
        return Clusters(client, cluster, below_one_root(groups, slots), share)

    def start(now: Clusters) -> Params:
        given = now.cluster.gather(jnp.maximum(now.hierarchy.groups[0], 0))
        return local.begin(now.client, given) if holds else given

    def placed(now: Clusters, groups: Int[Array, " N"], clients: ClientData) -> Clusters:
        slots = now.cluster.count
        here = groups == jnp.arange(slots)[:, None]
        total = jnp.sum(here * counted(weighting, clients), axis=1).astype(jnp.float32)
        tree = below_one_root(groups, slots)
        return now._replace(hierarchy=tree, share=total / jnp.sum(total))

    def train(
        key: PRNGKeyArray, now: Clusters, clients: ClientData, cohort: participation.Cohort
    ) -> tuple[Params, Float[Array, " N"]]:
        begin = start(now)
        begin = participation.kept(now.client, cohort, begin) if holds else begin
        return local.train(key, begin, clients, cohort=cohort)

    def averaged(
        key: PRNGKeyArray,
        now: Clusters,
        trained: Params,
        clients: ClientData,
        cohort: participation.Cohort,
    ) -> Clusters:
        at, weight = now.hierarchy.groups[0], counted(weighting, clients)
        cluster, _ = at_edges(trained, now.cluster, at, weight, cohort, mean, key)
        return now._replace(client=trained if holds else (), cluster=cluster)

    def models(now: Clusters) -> Models:
        group = stacked(now.cluster, combine(now.cluster, now.share[None]))
        client = now.client
        if measure_at != "trained":
            client = from_parent(client, group, now.hierarchy)
            client = local.begin(now.client, client) if holds else client
        return Models(client, group, now.hierarchy)

    steps = init, start, placed, train, averaged, models
    return ClusterModels(*steps, scored.before_scoring, scored.moment, holds)


def counted(weighting: Weighting, clients: ClientData) -> Int[Array, " N"]:
    """What each client counts in means: 1, or its training examples."""
    size = clients.train_size
    return jnp.ones_like(size) if weighting == "clients" else size


def below_one_root(groups: Int[Array, " N"], slots: int) -> Hierarchy:
    """Clusters as a hierarchy of two levels: theirs, and a root that holds everyone.

    Args:
        groups: The cluster of each client, ``0 … slots - 1`` or ``NO_GROUP``.
        slots: Most clusters, ``C``.
    """
    return from_groups(jnp.stack([groups, jnp.zeros_like(groups)]).astype(jnp.int32), slots)


def different_models(local: LocalTraining, key: PRNGKeyArray, count: int) -> StackedModels:
    """Some models to start from, each drawn for itself; the first is that of all other systems.

    Args:
        local: Says how a model is drawn.
        key: That of the initial model.
        count: How many, at least 1.
    """
    each = [key, *(keys.for_part(key, number) for number in range(1, count))]
    return StackedModels.from_pytree(jax.vmap(local.init)(jnp.stack(each)))


def check_clusters(whose: str, clusters: int, clients: int) -> None:
    """Refuse more clusters than clients.

    Raises:
        ValueError: One sentence: what was given, and what is possible.
    """
    if clusters > clients:
        raise ValueError(
            f"{whose} was to find {clusters} clusters, but there are {clients} clients; possible "
            f"is 1 to {clients}."
        )
