"""PACFL: clusters by the angles between the subspaces of clients' data, before any training.

Vahidian et al., *Efficient Distribution Similarity Identification in Clustered Federated Learning
via Principal Angles Between Client Data Subspaces*, AAAI 2023, arXiv 2209.10526.
"""

from functools import partial
from math import prod
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models, Organization
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clients.parameters import taking_part
from demjax.clustering.flat_clusters import MaxClusters, flat_clusters
from demjax.clustering.linkage import Method
from demjax.clustering.subspaces import Angle, principal_angles, subspaces
from demjax.hierarchy.cluster_models import ClusteredInfo, Clusters, cluster_models
from demjax.hierarchy.mixing import Weighting
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server import Epochs, ServerMoment
from demjax.pytrees import model_bytes, stack_copies
from demjax.registry import ALGORITHMS, LINKAGES, Number, Range, check_number


class PACFLState(NamedTuple):
    """What the next round needs."""

    clusters: Clusters  # their models, and who is in which, the same in all rounds
    organization: Organization  # the dendrogram that they were cut from
    round: Int[Array, ""]  # rounds done


@ALGORITHMS.register(label="PACFL", paper="Vahidian et al., AAAI 2023, arXiv 2209.10526")
def pacfl(
    local: LocalTraining,
    *,
    basis: Annotated[int, Range(1)] = 3,
    angle: Angle = "smallest",
    per_label: bool = False,
    clusters: Annotated[int | None, Range(1)] = None,
    threshold: Annotated[Number | None, Range(0)] = None,
    max_clusters: MaxClusters = 16,
    linkage: Annotated[Method | str, LINKAGES] = "complete",
    weighting: Weighting = "examples",
    cohort: int | None = None,
    average: Average | None = None,
    measure_at: ServerMoment = "averaged",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Cluster clients by what their inputs look like, then average in each cluster.

    Before the first round client ``i`` sends ``U_i``, the ``p`` left singular vectors of its
    training inputs, as columns, that have the largest singular values. Two clients are as far
    apart as the smallest principal angle of their subspaces, ``Θ_1 = arccos σ_max(U_iᵀ U_j)``, or
    as all of them together, ``Σ_k Θ_k``, in degrees. A dendrogram of that is cut at a height, or
    into a number of clusters, which stay. In each ``w_c ← Σ_{i ∈ c} m_i w_i / Σ_{i ∈ c} m_i``.

    Labels play no part, unless each of a client's has a subspace by itself, as in the authors'
    program: then its nearest two count. With one cluster it is federated averaging.

    Args:
        local: How clients train on their own.
        basis: ``p``, at least 1; 3 to 5 in the paper.
        angle: What of the angles counts: the ``smallest``, or the ``sum`` of all.
        per_label: Whether each of a client's labels has a subspace.
        clusters: How many to make, from 1 to the number of clients; by default 4.
        threshold: The height to cut at, in degrees, as in the paper, in place of a number.
        max_clusters: Most clusters where a height is given; it is raised until they suffice.
        linkage: The linkage method.
        weighting: What counts in means: ``examples``, as in the paper; or ``clients``, all alike.
        cohort: Clients that train in a round, 1 to ``N``; by default everyone.
        average: What takes the place of the mean, as in ``hierarchy.robust_means``.
        measure_at: When clients' models are scored: what each last ``trained``; its cluster's
            model, ``averaged``; or ``fine-tuned`` from that.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is the clusters below a root, the mean of their models.

    Raises:
        ValueError: If a number and a height are given, there are more clusters than clients, or a
            basis of more vectors than inputs have numbers, or labels are needed and there are none.
    """
    metric = partial(_angles, angle)
    way = flat_clusters("PACFL", clusters, threshold, max_clusters, metric, linkage)
    part = cluster_models(
        local,
        weighting=weighting,
        average=average,
        measure_at=measure_at,
        fine_tune_epochs=fine_tune_epochs,
    )

    def labels(clients: ClientData) -> int | None:
        if not per_label:
            return None
        if local.predict is None or not jnp.issubdtype(clients.y.dtype, jnp.integer):
            raise ValueError(
                "PACFL was to take a subspace of each label, but the task has no labels; possible "
                "is per_label=False."
            )
        one = jax.ShapeDtypeStruct((1, *clients.x.shape[1:]), clients.x.dtype)
        model = jax.eval_shape(local.init, jax.random.key(0))
        return jax.eval_shape(local.predict, model, one).shape[-1]

    def init(key: PRNGKeyArray, clients: ClientData) -> PACFLState:
        most = min(clients.train.shape[1], prod(clients.x.shape[1:]))
        check_number("PACFL", "a basis", basis, 1, most)
        begin, bases = way.begin(clients.n_clients), subspaces(clients, basis, labels(clients))
        tree, organization = way.organize({"basis": bases}, *begin)
        now = part.init(stack_copies(local.init(key), way.slots), tree.groups[0])
        return PACFLState(part.placed(now, tree.groups[0], clients), organization, jnp.int32(0))

    def one_round(
        key: PRNGKeyArray, state: PACFLState, clients: ClientData
    ) -> tuple[PACFLState, ClusteredInfo]:
        now, _, number = state
        who = participation.draw(key, clients.n_clients, cohort)
        trained, loss = part.train(key, now, clients, who)
        now = part.averaged(key, now, trained, clients, who)
        down = taking_part(clients.n_clients, who) * model_bytes(now.cluster)
        spaces = clients.n_clients * (labels(clients) or 1) * prod(clients.x.shape[1:]) * basis
        up = down + jnp.where(number == 0, 4.0 * spaces, 0.0)
        info = ClusteredInfo(loss, up, down)
        return state._replace(clusters=now, round=number + 1), info

    def models(state: PACFLState) -> Models:
        return part.models(state.clusters)._replace(organization=state.organization)

    return Algorithm(init, one_round, models, part.before_scoring, part.moment)


def _angles(angle: Angle, seen: dict[str, Array]) -> Array:
    return principal_angles(seen["basis"], angle)
