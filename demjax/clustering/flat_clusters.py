"""One level of clusters from a dendrogram: so many, or as many as there are below a height."""

from collections.abc import Callable
from typing import Annotated, NamedTuple

from demjax.base import Hierarchy, Organization
from demjax.clustering.cuts import counts, heights
from demjax.clustering.distances import Metric
from demjax.clustering.linkage import Method
from demjax.clustering.self_organization import self_organization
from demjax.registry import Number, Range

USUAL = 4
"""Clusters where nothing says how many."""

MaxClusters = Annotated[int, Range(1)]


class FlatClusters(NamedTuple):
    """How clients are clustered once.

    Attributes:
        slots: Most clusters, ``C``.
        begin: ``(clients) -> (hierarchy, organization)``: before so many clients are.
        organize: ``(seen, hierarchy, organization) -> (hierarchy, organization)``: by what is seen
            of them; traceable.
    """

    slots: int
    begin: Callable[[int], tuple[Hierarchy, Organization]]
    organize: Callable[..., tuple[Hierarchy, Organization]]


def flat_clusters(
    whose: str,
    clusters: int | None,
    threshold: Number | None,
    max_clusters: int,
    metric: Metric | str,
    linkage: Method | str,
) -> FlatClusters:
    """Clusters of one level below a root, as ``self_organization`` makes them.

    Args:
        whose: Whose clusters they are, for sentences.
        clusters: How many, at least 1.
        threshold: Or the height to cut at, 0 or more; with neither, 4 clusters.
        max_clusters: Most clusters below a height.
        metric: Distances between clients, of what is seen of them.
        linkage: The linkage method.

    Raises:
        ValueError: If both are given; when it begins, if there are more clusters than clients.
    """
    if clusters is not None and threshold is not None:
        raise ValueError(
            f"{whose} was given {clusters} clusters and a threshold; possible is one of them."
        )
    wanted = USUAL if clusters is None else clusters
    cut = counts((wanted,)) if threshold is None else heights((threshold,), slots=max_clusters)
    _, organize, unorganized, _, slots, _ = self_organization(
        metric=metric, linkage=linkage, cut=cut
    )

    def begin(clients: int) -> tuple[Hierarchy, Organization]:
        if threshold is None and wanted > clients:
            raise ValueError(
                f"{whose} was to find {wanted} clusters, but there are {clients} clients; possible "
                f"is 1 to {clients}."
            )
        return unorganized(clients)

    return FlatClusters(slots, begin, organize)
