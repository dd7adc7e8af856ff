"""From what clients learn to a hierarchy of groups: features, distances, linkage, cut."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from demjax.base import Hierarchy, Organization, Params
from demjax.hierarchy import root_only
from demjax.linkage.agglomerate import check_backend, check_method, linkage
from demjax.linkage.cuts import Cut, depth
from demjax.linkage.dendrogram import cophenetic_correlation
from demjax.linkage.distances import Metric, euclidean
from demjax.linkage.features import Features, weights
from demjax.spread import everywhere

_WEIGHTS = weights()


class SelfOrganization(NamedTuple):
    """How clients organise themselves.

    Attributes:
        features: What their likeness is judged by.
        organize: ``(seen, hierarchy, organization) -> (hierarchy, organization)``: from their
            features, and how they were organised before, to how they are now; traceable.
        levels: Levels of groups under the root, ``K``.
        slots: Group slots on a level, ``G``.
    """

    features: Features
    organize: Callable[[Params, Hierarchy, Organization], tuple[Hierarchy, Organization]]
    levels: int
    slots: int


def unorganized(clients: int, levels: int, slots: int) -> tuple[Hierarchy, Organization]:
    """Before clients first organise themselves: a tree with room for them, and nobody in it."""
    nobody, merges = root_only(clients, levels, slots), jnp.zeros((clients - 1, 4), jnp.float32)
    return nobody, Organization(nobody.groups, merges, jnp.float32(jnp.nan), jnp.int32(0))


def self_organization(
    *,
    levels: int = 3,
    min_size: int = 1,
    cut: Cut | None = None,
    features: Features = _WEIGHTS,
    metric: Metric = euclidean,
    method: str = "average",
    backend: str = "xla",
) -> SelfOrganization:
    """Say how clients organise themselves; by default as published.

    Args:
        levels: Levels of groups under the root, ``K``, 0 or more, cut by depth.
        min_size: Fewest clients of a group, at least 1; what is smaller joins the nearest group.
        cut: Another cut, such as ``counts((12, 6, 3))``, instead of ``levels`` and ``min_size``.
        features: What likeness is judged by, such as ``updates()``.
        metric: Distances between clients from their features.
        method: Linkage method, one of ``METHODS``.
        backend: Where linkage is computed, one of ``BACKENDS``.

    Raises:
        ValueError: If a number is out of its range, or the method or backend unknown.
    """
    check_method(method)
    check_backend(backend)
    chosen = depth(levels, min_size=min_size) if cut is None else cut

    def organize(seen, hierarchy, organization):
        distances = everywhere(metric(seen))
        merges = linkage(distances, method, backend)
        now = Organization(
            before=hierarchy.groups,
            merges=merges,
            cophenetic=cophenetic_correlation(merges, distances),
            times=organization.times + 1,
        )
        return chosen.take(merges, distances), now

    return SelfOrganization(features, organize, chosen.levels, chosen.slots)
