"""From what clients learn to a hierarchy of groups: features, distances, linkage, cut."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from demjax.backend.sharding import everywhere, on_one
from demjax.base import Hierarchy, Organization, Params
from demjax.clustering.cuts import Cut, depth
from demjax.clustering.dendrogram import cophenetic_correlation
from demjax.clustering.distances import Metric, euclidean
from demjax.clustering.features import Features, weights
from demjax.clustering.linkage import check_backend, check_method, linkage
from demjax.hierarchy import root_only

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
    levels: int | None = None,
    min_size: int | None = None,
    cut: Cut | None = None,
    features: Features = _WEIGHTS,
    metric: Metric = euclidean,
    method: str = "average",
    backend: str = "xla",
) -> SelfOrganization:
    """Say how clients organise themselves; by default as published.

    Args:
        levels: Levels of groups under the root, ``K``, 0 or more, cut by depth; by default 3.
        min_size: Fewest clients of a group, at least 1, the default; what is smaller joins the
            nearest group.
        cut: Another cut, such as ``counts((12, 6, 3))``, which says ``levels`` and ``min_size``.
        features: What likeness is judged by, such as ``updates()``.
        metric: Distances between clients from their features.
        method: Linkage method, one of ``METHODS``.
        backend: Where linkage is computed, one of ``BACKENDS``.

    Raises:
        ValueError: If a number is out of its range, the method or backend unknown, or a cut
            given beside ``levels`` or ``min_size``.
        TypeError: If the metric is no function.
    """
    check_method(method)
    check_backend(backend)
    if not callable(metric):
        raise TypeError(f"A metric is a function such as linkage.cosine, but {metric!r} was given.")
    if cut is not None and (levels, min_size) != (None, None):
        raise ValueError("A cut says how many levels there are and how small groups may be itself.")
    levels, min_size = 3 if levels is None else levels, 1 if min_size is None else min_size
    chosen = depth(levels, min_size=min_size) if cut is None else cut

    def merged(distances):
        merges = linkage(distances, method, backend)
        return merges, cophenetic_correlation(merges, distances)

    def organize(seen, hierarchy, organization):
        distances = everywhere(metric(seen))
        merges, cophenetic = on_one(merged, distances)
        now = Organization(hierarchy.groups, merges, cophenetic, organization.times + 1)
        return chosen.take(merges, distances), now

    return SelfOrganization(features, organize, chosen.levels, chosen.slots)
