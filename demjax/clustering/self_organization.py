"""From what clients learn to a hierarchy of groups: features, distances, linkage, cut."""

from collections.abc import Callable
from typing import Annotated, NamedTuple, cast

import jax.numpy as jnp

from demjax.backend.sharding import everywhere, on_one
from demjax.base import Hierarchy, Organization
from demjax.clients import participation
from demjax.clustering.cuts import Cut
from demjax.clustering.dendrogram import cophenetic_correlation
from demjax.clustering.distances import Metric
from demjax.clustering.features import Features
from demjax.clustering.linkage import Backend, Method
from demjax.clustering.linkage import linkage as linkage_matrix
from demjax.hierarchy import root_only, without
from demjax.registry import CUTS, DISTANCES, FEATURES, LINKAGES, Slot, configurable


class SelfOrganization(NamedTuple):
    """How clients organise themselves.

    Attributes:
        features: What their likeness is judged by.
        organize: ``(seen, hierarchy, organization, last) -> (hierarchy, organization)``: from their
            features, and how they were organised before, to how they are now; traceable. Where
            there is an attendance, those that have not trained yet are in no group but the root.
        levels: Levels of groups under the root, ``K``.
        slots: Group slots on a level, ``G``.
        needs: Fewest clients that can be so many groups.
    """

    features: Features
    organize: Callable[..., tuple[Hierarchy, Organization]]
    levels: int
    slots: int
    needs: int = 1


def unorganized(
    clients: int, levels: int, slots: int, needs: int = 1
) -> tuple[Hierarchy, Organization]:
    """Before clients first organise themselves: a tree with room for them, and nobody in it.

    Raises:
        ValueError: If there are less clients than it needs.
    """
    if clients < needs:
        raise ValueError(
            f"A tree of {levels} levels with up to {slots} groups each needs at least {needs} "
            f"clients, but there are {clients}; possible are fewer levels or groups, or a smaller "
            "min_size."
        )
    nobody, merges = root_only(clients, levels, slots), jnp.zeros((clients - 1, 4), jnp.float32)
    return nobody, Organization(nobody.groups, merges, jnp.float32(jnp.nan), jnp.int32(0))


@configurable
def self_organization(
    *,
    features: Annotated[Features | str, FEATURES] = "weights",
    metric: Annotated[Metric | str, DISTANCES] = "euclidean",
    linkage: Annotated[Method | str, LINKAGES] = "average",
    linkage_backend: Backend = "xla",
    cut: Annotated[Cut | str, Slot(CUTS, inferred=True)] = "depth",
) -> SelfOrganization:
    """Say how clients organise themselves; by default as in the DemLearn paper.

    What a choice takes can be given beside its name, ``cut="counts", groups=(12, 6, 3)``, and a cut
    is found by it: ``levels=2`` cuts by depth, ``groups=…`` by counts, ``heights=…`` by heights.

    Args:
        features: What likeness is judged by: a name, or ``updates()``.
        metric: Distances between clients from their features: a name, or ``cosine``.
        linkage: Linkage method, one of ``METHODS``.
        linkage_backend: Where linkage is computed, one of ``BACKENDS``.
        cut: How the dendrogram is cut into levels: a name, or ``counts((12, 6, 3))``.

    Raises:
        ValueError: If a name is unknown, a number out of its range, or a choice of another type.
        TypeError: If an argument is unknown.
    """
    features, cut = cast(Features, features), cast(Cut, cut)
    measured = cast(Metric, metric)

    def merged(distances):
        merges = linkage_matrix(distances, linkage, linkage_backend)
        return merges, cophenetic_correlation(merges, distances)

    def organize(seen, hierarchy, organization, last=None):
        distances = everywhere(measured(seen))
        if last is not None:
            like = participation.stand_ins(last)
            distances = distances[like][:, like]
        merges, cophenetic = on_one(merged, distances)
        now = Organization(hierarchy.groups, merges, cophenetic, organization.times + 1)
        found = cut.take(merges, distances)
        if last is not None:
            found = without(found, last < 0, cut.least)
        return found, now

    return SelfOrganization(features, organize, cut.levels, cut.slots, cut.needs)
