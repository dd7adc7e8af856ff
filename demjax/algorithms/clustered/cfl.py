"""CFL: a cluster that has come to rest, but whose clients have not, is parted in two.

Sattler, Müller and Samek, *Clustered Federated Learning: Model-Agnostic Distributed Multitask
Optimization under Privacy Constraints*, IEEE TNNLS 2021, arXiv 1910.01991.
"""

from typing import Annotated, Literal, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models, Params
from demjax.clients.local_training import LocalTraining
from demjax.clients.parameters import parameters_alone
from demjax.clustering.bipartition import second_halves
from demjax.clustering.distances import cosine
from demjax.clustering.nearest import lengths
from demjax.hierarchy.cluster_models import Clusters, cluster_models, counted
from demjax.hierarchy.mixing import Weighting
from demjax.hierarchy.robust_means import Average
from demjax.hierarchy.server import Epochs, ServerMoment
from demjax.pytrees import combine, difference, stack_copies
from demjax.registry import ALGORITHMS, LINKAGES, Number, Range


class CFLState(NamedTuple):
    """What the next round needs.

    Attributes:
        clusters: The clusters' models, of which the first ones exist.
        round: Rounds done.
    """

    clusters: Clusters
    round: Int[Array, ""]


class CFLInfo(NamedTuple):
    """What one may want to see of a round.

    Attributes:
        loss: Mean training loss of each client in its last epoch.
        mean_update: Length of each cluster's mean update, which ``ε₁`` is for; 0 where none is.
        largest_update: Of each cluster the length of its largest, which ``ε₂`` is for.
    """

    loss: Float[Array, " N"]
    mean_update: Float[Array, " C"]
    largest_update: Float[Array, " C"]


@ALGORITHMS.register(label="CFL", paper="Sattler et al., IEEE TNNLS 2021, arXiv 1910.01991")
def cfl(
    local: LocalTraining,
    *,
    eps1: Annotated[Number, Range(0)] = 0.4,
    eps2: Annotated[Number, Range(0)] = 1.6,
    split_after: Annotated[int, Range(0)] = 20,
    min_cluster: Annotated[int, Range(1)] = 2,
    max_clusters: Annotated[int, Range(1)] = 16,
    linkage: Literal["complete", "single", "average"] = "complete",
    weighting: Weighting = "examples",
    average: Average | None = None,
    measure_at: ServerMoment = "averaged",
    fine_tune_epochs: Epochs | None = None,
) -> Algorithm:
    """Average in clusters, and part a cluster in two where its clients pull different ways.

    All begin in one cluster. In a round everyone trains from its cluster's model, which gives
    updates ``Δ_i``; then, for every cluster ``c``,

    1. where ``‖Σ_{i ∈ c} m_i Δ_i / Σ_{i ∈ c} m_i‖ < ε₁`` and ``max_{i ∈ c} ‖Δ_i‖ > ε₂`` it is
       parted into the two of which the highest cosine of updates across,
       ``⟨Δ_i, Δ_j⟩ / ‖Δ_i‖ ‖Δ_j‖``, is least;
    2. ``θ_c ← θ_c + Σ_{i ∈ c} m_i Δ_i / Σ_{i ∈ c} m_i``, in both parts of one that was parted.

    The exact bipartition is that of single linkage, as in the paper's algorithm; its authors'
    experiments take complete linkage, which leaves fewer clients alone. ``ε₁`` and ``ε₂`` are in
    units of updates: what they should be depends on the model and the local work, and the info
    tells both lengths. That never parts is federated averaging.

    Args:
        local: How clients train on their own.
        eps1: ``ε₁``, 0 or more; 0 never parts.
        eps2: ``ε₂``, 0 or more.
        split_after: Rounds before the first split, 0 or more; 20 in the authors' experiments.
        min_cluster: Clusters of so many clients, at least 1, or fewer stay whole.
        max_clusters: Most clusters; while there are as many, none is parted.
        linkage: How a cluster is parted.
        weighting: What counts in means: ``examples``, the paper's ``m_i``; or ``clients``.
        average: What takes the place of the mean, as in ``hierarchy.robust_means``.
        measure_at: When clients' models are scored: what each ``trained``; its cluster's model,
            ``averaged``; or ``fine-tuned`` from that.
        fine_tune_epochs: Epochs of fine-tuning, at least 1; by default 1.

    Returns:
        The algorithm; its hierarchy is the clusters below a root, the mean of their models.

    Raises:
        ValueError: If a number is out of its range.
    """
    method = LINKAGES[linkage].make()
    part = cluster_models(
        local,
        weighting=weighting,
        average=average,
        measure_at=measure_at,
        fine_tune_epochs=fine_tune_epochs,
    )

    def init(key: PRNGKeyArray, clients: ClientData) -> CFLState:
        everyone = jnp.zeros(clients.n_clients, jnp.int32)
        now = part.init(stack_copies(local.init(key), max_clusters), everyone)
        return CFLState(now, jnp.int32(0))

    def one_round(
        key: PRNGKeyArray, state: CFLState, clients: ClientData
    ) -> tuple[CFLState, CFLInfo]:
        now, number = state
        trained, loss = part.train(key, now, clients, None)
        updates = parameters_alone(local, difference(trained, part.start(now)))
        here = now.hierarchy.groups[0] == jnp.arange(max_clusters)[:, None]
        weight = here * counted(weighting, clients)
        share = weight / jnp.maximum(jnp.sum(weight, axis=1, keepdims=True), 1)
        mean = lengths(combine(updates, share))
        largest = jnp.max(here * lengths(updates), axis=1)
        due = (mean < eps1) & (largest > eps2) & (now.hierarchy.size[0] > min_cluster)
        due = due & (number >= split_after)
        now = lax.cond(jnp.any(due), parted, lambda now, *_: now, now, updates, due, clients)
        now = part.averaged(key, now, trained, clients, None)
        return CFLState(now, number + 1), CFLInfo(loss, mean, largest)

    def parted(now: Clusters, updates: Params, due: Array, clients: ClientData) -> Clusters:
        groups, exist = now.hierarchy.groups[0], jnp.sum(now.hierarchy.size[0] > 0)
        new = exist + jnp.cumsum(due) - 1
        new = jnp.where(due & (new < max_clusters), new, max_clusters)
        halves = second_halves(cosine(updates), groups, method, 2.0)
        moves = halves & (new[groups] < max_clusters)
        source = jnp.arange(max_clusters).at[new].set(jnp.arange(max_clusters), mode="drop")
        now = now._replace(cluster=now.cluster.gather(source))
        groups = jnp.where(moves, new[groups], groups).astype(jnp.int32)
        return part.placed(now, groups, clients)

    def models(state: CFLState) -> Models:
        return part.models(state.clusters)

    return Algorithm(init, one_round, models, part.before_scoring, part.moment)
