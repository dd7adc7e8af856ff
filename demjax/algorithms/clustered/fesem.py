"""FeSEM: every client joins the cluster whose model its own is nearest to.

Xie et al., *Multi-Center Federated Learning*, arXiv 2005.01026; *Multi-center Federated Learning:
Clients Clustering for Better Personalization*, World Wide Web 2023.
"""

from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models
from demjax.clients.local_training import LocalTraining, TrainingInfo
from demjax.clients.parameters import parameters_alone
from demjax.clustering.flat_clusters import flat_clusters
from demjax.clustering.nearest import squares_to
from demjax.hierarchy.cluster_models import Clusters, check_clusters, cluster_models
from demjax.hierarchy.mixing import Weighting
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server import Epochs, ServerMoment
from demjax.pytrees import stack_copies
from demjax.registry import ALGORITHMS, Range


class FeSEMState(NamedTuple):
    """What the next round needs.

    Attributes:
        clusters: The clusters' models, the centres, and who is in which.
        round: Rounds done.
    """

    clusters: Clusters
    round: Int[Array, ""]


@ALGORITHMS.register(label="FeSEM", paper="Xie et al., arXiv 2005.01026")
def fesem(
    local: LocalTraining,
    *,
    clusters: Annotated[int, Range(1)] = 4,
    weighting: Weighting = "clients",
    average: Average | None = None,
    measure_at: ServerMoment = "averaged",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Train the centre of the own cluster, join the nearest centre, average in each cluster.

    Minimizes ``1/N Σ_k Σ_i r_ik ‖W_i − W̃_k‖²``, ``r_ik`` being 1 for the cluster ``k`` of client
    ``i`` and 0 for all others, as by K-means whose points learn. In a round everyone trains to
    ``W_i`` from its cluster's centre; then

    1. expectation: ``r_ik = 1`` for ``k = argmin_j ‖W_i − W̃_j‖²``;
    2. maximization: ``W̃_k ← Σ_i r_ik W_i / Σ_i r_ik``; a cluster that nobody joined keeps its
       centre.

    At first all train from one model. The paper leaves open which centres are the first: here those
    of Ward's linkage of what they made of it, which lessens the same sum greedily. With one
    cluster, and means by examples, it is federated averaging.

    Args:
        local: How clients train on their own.
        clusters: ``K``, from 1 to the number of clients.
        weighting: What counts in means: ``clients``, all alike, as in the paper; or ``examples``.
        average: What takes the place of the mean, as in ``hierarchy.robust_means``.
        measure_at: When clients' models are scored: what each ``trained``; its cluster's model,
            ``averaged``; or ``fine-tuned`` from that.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is the clusters below a root, the mean of their models.

    Raises:
        ValueError: If there are more clusters than clients.
    """
    way = flat_clusters("FeSEM", clusters, None, clusters, "euclidean", "ward")
    part = cluster_models(
        local,
        weighting=weighting,
        average=average,
        measure_at=measure_at,
        fine_tune_epochs=fine_tune_epochs,
    )

    def init(key: PRNGKeyArray, clients: ClientData) -> FeSEMState:
        check_clusters("FeSEM", clusters, count := clients.n_clients)
        centres = stack_copies(local.init(key), clusters)
        return FeSEMState(part.init(centres, jnp.zeros(count, jnp.int32)), jnp.int32(0))

    def one_round(
        key: PRNGKeyArray, state: FeSEMState, clients: ClientData
    ) -> tuple[FeSEMState, TrainingInfo]:
        now, number = state
        trained, loss = part.train(key, now, clients, None)
        points, centres = (parameters_alone(local, each) for each in (trained, now.cluster))

        def first():
            return way.organize(points, *way.begin(clients.n_clients))[0].groups[0]

        def nearest():
            return jnp.argmin(squares_to(points, centres), axis=1).astype(jnp.int32)

        now = part.placed(now, lax.cond(number == 0, first, nearest), clients)
        now = part.averaged(key, now, trained, clients, None)
        return FeSEMState(now, number + 1), TrainingInfo(loss)

    def models(state: FeSEMState) -> Models:
        return part.models(state.clusters)

    return Algorithm(init, one_round, models, part.before_scoring, part.moment)
