"""From what clients learn to a hierarchy of groups: features, distances, linkage, cut."""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, cast

import jax.numpy as jnp

from demjax.base import Hierarchy, KnownDistances, Organization
from demjax.clustering.by_label import by_label
from demjax.clustering.clusterings import Clustering, Wanted
from demjax.clustering.cuts import Cut
from demjax.clustering.distances import Metric, euclidean
from demjax.clustering.features import Features
from demjax.clustering.linkage import Backend, Method
from demjax.hierarchy import root_only, without
from demjax.registry import CLUSTERINGS, CUTS, DISTANCES, FEATURES, LINKAGES, Slot, configurable


class SelfOrganization(NamedTuple):
    """How clients organise themselves.

    Attributes:
        features: What their likeness is judged by.
        organize: ``(seen, hierarchy, organization, last) -> (hierarchy, organization)``: from their
            features, and how they were organised before, to how they are now; traceable. Where
            there is an attendance, those that have not trained yet are in no group but the root.
        begin: ``(clients) -> (hierarchy, organization)``: before so many clients first organise
            themselves.
        levels: Levels of groups under the root, ``K``.
        slots: Group slots on a level, ``G``.
        needs: Fewest clients that can be so many groups.
    """

    features: Features
    organize: Callable[..., tuple[Hierarchy, Organization]]
    begin: Callable[..., tuple[Hierarchy, Organization]]
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
    clustering: Annotated[Clustering | str, CLUSTERINGS] = "auto",
    cut: Annotated[Cut | str, Slot(CUTS, inferred=True)] = "depth",
    changing: Any = None,
) -> SelfOrganization:
    """Say how clients organise themselves; by default as in the DemLearn paper.

    What a choice takes can be given beside its name, ``cut="counts", groups=(12, 6, 3)``, and a cut
    is found by it: ``levels=2`` cuts by depth, ``groups=…`` by counts, ``heights=…`` by heights.

    Args:
        features: What likeness is judged by: a name, or ``updates()``.
        metric: Distances between clients from their features: a name, or ``cosine``. Features with
            a distance of their own, as ``label_gradients`` with ``by_label``, have no other.
        linkage: Linkage method, one of ``METHODS``.
        linkage_backend: Where linkage is computed, one of ``BACKENDS``.
        clustering: Whether all clients are compared over all parameters: a name, or
            ``two_stage(512)``.
        cut: How the dendrogram is cut into levels: a name, or ``counts((12, 6, 3))``.
        changing: The most clients whose features change from one time to the next, an ``int``;
            ``None`` for all. Where that is less than half of them, and the metric euclidean or
            sqeuclidean, distances are kept, and only those of the others computed anew.

    Raises:
        ValueError: If a name is unknown, a number out of its range, or a choice of another type.
        TypeError: If an argument is unknown.
    """
    features, cut, way = cast(Features, features), cast(Cut, cut), cast(Clustering, clustering)
    method, metric = cast(Method, linkage), _metric_of(features, cast(Metric, metric))
    wanted = Wanted(metric, method, linkage_backend, cut.compares, changing or 0)

    def begin(clients):
        kind = wanted.kind
        keep = changing is not None and 2 * changing < clients and way.compares(wanted, clients)
        nobody, now = unorganized(clients, cut.levels, cut.slots, cut.needs)
        if not keep or kind is None or kind.angular:
            return nobody, now
        nothing = jnp.zeros((clients, clients), jnp.float32)
        return nobody, now._replace(known=KnownDistances(nothing, jnp.int32(0)))

    def organize(seen, hierarchy, organization, last=None):
        made = way.dendrogram(wanted, seen, last, organization.known)
        times = organization.times + 1
        now = Organization(hierarchy.groups, made.merges, made.cophenetic, times, made.known)
        found = cut.take(made.merges, made.distances, wanted)
        if last is not None:
            found = without(found, last < 0, cut.least)
        return found, now

    return SelfOrganization(features, organize, begin, cut.levels, cut.slots, cut.needs)


def _metric_of(features: Features, asked: Metric) -> Metric:
    """The distance that goes with features, where it was not another that was asked for."""
    if features.metric is None and asked is by_label:
        raise ValueError(
            "The metric by_label compares gradients label by label, but the features are others; "
            "possible is features label_gradients."
        )
    if features.metric not in (None, asked) and asked is not euclidean:
        raise ValueError(
            "These features have a metric of their own, which compares them label by label, but "
            "another was asked for; possible is no metric, or by_label."
        )
    return features.metric or asked
