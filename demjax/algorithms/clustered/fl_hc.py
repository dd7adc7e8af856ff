"""FL+HC: some rounds for everyone, one hierarchical clustering of updates, then rounds in clusters.

Briggs, Fan and Andras, *Federated Learning with Hierarchical Clustering of Local Updates to Improve
Training on Non-IID Data*, IJCNN 2020, arXiv 2004.11791, algorithm 1.
"""

from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, PRNGKeyArray

from demjax import keys
from demjax.base import Algorithm, ClientData, Models, Organization
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clients.parameters import taking_part
from demjax.clustering.distances import Metric
from demjax.clustering.flat_clusters import MaxClusters, flat_clusters
from demjax.clustering.linkage import Method
from demjax.hierarchy.cluster_models import ClusteredInfo, Clusters, cluster_models
from demjax.hierarchy.mixing import Weighting
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server import Epochs, ServerMoment
from demjax.pytrees import difference, model_bytes, stack_copies
from demjax.registry import ALGORITHMS, DISTANCES, LINKAGES, Number, Range


class FLHCState(NamedTuple):
    """What the next round needs.

    Attributes:
        clusters: The clusters' models; before there are any, everyone is in the first.
        organization: The dendrogram that they were cut from.
        round: Rounds done.
    """

    clusters: Clusters
    organization: Organization
    round: Int[Array, ""]


@ALGORITHMS.register(label="FL+HC", paper="Briggs et al., IJCNN 2020, arXiv 2004.11791")
def fl_hc(
    local: LocalTraining,
    *,
    rounds_before: Annotated[int, Range(0)] = 10,
    clusters: Annotated[int | None, Range(1)] = None,
    threshold: Annotated[Number | None, Range(0)] = None,
    max_clusters: MaxClusters = 16,
    metric: Annotated[Metric | str, DISTANCES] = "euclidean",
    linkage: Annotated[Method | str, LINKAGES] = "ward",
    weighting: Weighting = "examples",
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: ServerMoment = "averaged",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Average over everyone, cluster clients by their updates once, then average in each cluster.

    1. ``n`` rounds of federated averaging, ``w ← Σ_k m_k w_k / Σ_k m_k``;
    2. at the beginning of the next, everyone trains from ``w``, which gives ``Δw_k = w_k − w``, of
       which a dendrogram is made and cut, into a number of clusters or at a height;
    3. each cluster ``c`` goes on from ``w`` by itself: ``w_c ← Σ_{k ∈ c} m_k w_k / Σ_{k ∈ c} m_k``.

    The training of step 2 takes no part in means. With one cluster it is federated averaging.

    Args:
        local: How clients train on their own.
        rounds_before: ``n``, 0 or more.
        clusters: How many to make of the dendrogram, from 1 to the number of clients; by default
            4. (Fewer where merges tie.)
        threshold: The height to cut it at, as in the paper, in place of a number.
        max_clusters: Most clusters where a height is given; it is raised until they suffice.
        metric: Distances between updates; the paper also tries sums of absolute differences.
        linkage: The linkage method.
        weighting: What counts in means: ``examples``, as in the paper; or ``clients``, all alike.
        cohort: Clients that train in a round, 1 to ``N``, but for step 2; by default everyone.
        average: What takes the place of the mean, as in ``hierarchy.robust_means``.
        measure_at: When clients' models are scored: what each last ``trained``; its cluster's
            model, ``averaged``; or ``fine-tuned`` from that.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is the clusters below a root, the mean of their models.

    Raises:
        ValueError: If a number and a height are given, or there are more clusters than clients.
    """
    way = flat_clusters("FL+HC", clusters, threshold, max_clusters, metric, linkage)
    part = cluster_models(
        local,
        weighting=weighting,
        average=average,
        measure_at=measure_at,
        fine_tune_epochs=fine_tune_epochs,
    )

    def init(key: PRNGKeyArray, clients: ClientData) -> FLHCState:
        _, organization = way.begin(count := clients.n_clients)
        now = part.init(stack_copies(local.init(key), way.slots), jnp.zeros(count, jnp.int32))
        return FLHCState(now, organization, jnp.int32(0))

    def one_round(
        key: PRNGKeyArray, state: FLHCState, clients: ClientData
    ) -> tuple[FLHCState, ClusteredInfo]:
        now, organization, number = state
        count = clients.n_clients
        due = number == rounds_before
        who = participation.draw(key, count, cohort)

        def found(now: Clusters, known: Organization) -> tuple[Clusters, Organization]:
            own = keys.for_second_stage(key)
            trained, _ = part.train(own, now, clients, None)
            updates = difference(trained, part.start(now))
            tree, known = way.organize(updates, now.hierarchy, known)
            everywhere = now.cluster.gather(jnp.zeros(way.slots, jnp.int32))
            placed = part.placed(now._replace(cluster=everywhere), tree.groups[0], clients)
            return placed, known

        now, organization = lax.cond(due, found, lambda *same: same, now, organization)
        trained, loss = part.train(key, now, clients, who)
        now = part.averaged(key, now, trained, clients, who)
        sent = (taking_part(count, who) + due * count) * model_bytes(now.cluster)
        return FLHCState(now, organization, number + 1), ClusteredInfo(loss, sent, sent)

    def models(state: FLHCState) -> Models:
        return part.models(state.clusters)._replace(organization=state.organization)

    return Algorithm(init, one_round, models, part.before_scoring, part.moment)
