"""Ways from what clients learned to a dendrogram: exact, from a sketch, in two stages."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from demjax.backend.sharding import everywhere, on_one
from demjax.base import KnownDistances, Params
from demjax.clients import participation
from demjax.clustering.changed_rows import with_changed
from demjax.clustering.count_sketch import count_sketch
from demjax.clustering.dendrogram import cophenetic_correlation, upgma_correlation
from demjax.clustering.distances import KINDS, Metric
from demjax.clustering.linkage import Method, linkage
from demjax.clustering.pivots import Kind
from demjax.clustering.two_stage import two_stage_linkage
from demjax.pytrees import used_columns
from demjax.registry import CLUSTERINGS, LINKAGES, Range

SKETCHED_FROM, TWO_STAGE_FROM = 1_000, 5_000
"""Clients from which on ``auto`` takes a sketch, and two stages."""
BUCKETS, WORTH_IT = 2039, 2
"""Numbers in a sketch, and how many times more parameters there are where ``auto`` takes one."""

TOLERANCE = 1e-3
"""Up to what part of it a distance that is known may differ from the same computed anew."""

Size = Annotated[int, Range(1)]


class Wanted(NamedTuple):
    """What dendrogram is wanted.

    Attributes:
        metric: Distances between clients from their features.
        method: The linkage method.
        backend: Where linkage is computed.
        distances: Whether distances of all clients are needed to cut it.
        changing: The most clients whose features change from one time to the next, where distances
            are kept.
    """

    metric: Metric
    method: Method
    backend: str
    distances: bool
    changing: int = 0

    @property
    def kind(self) -> Kind | None:
        """What the distance is made of, if a sketch keeps it."""
        kind = KINDS.get(self.metric)
        return None if kind is None or kind.less_mean else kind


class Dendrogram(NamedTuple):
    """A dendrogram, and what it was made of.

    Attributes:
        merges: SciPy's linkage matrix.
        cophenetic: Correlation of its heights and the distances; in two stages of centroids.
        distances: Of all clients; ``None`` in two stages.
        known: The distances that the next time begins from, if they are kept.
    """

    merges: Float[Array, " N-1 4"]
    cophenetic: Float[Array, ""]
    distances: Float[Array, " N N"] | None
    known: KnownDistances | tuple[()]


class Clustering(NamedTuple):
    """A way from features to a dendrogram, made by ``exact``, ``sketch``, ``two_stage``, ``auto``.

    Attributes:
        dendrogram: ``(wanted, seen, last, known) -> Dendrogram``: of the features that are seen, of
            clients who trained last in those rounds, ``None`` if all always do; traceable.
        compares: ``(wanted, clients) -> bool``: whether distances of so many clients are made.
    """

    dendrogram: Callable[..., Dendrogram]
    compares: Callable[[Wanted, int], bool]


@CLUSTERINGS.register()
def exact() -> Clustering:
    """Distances over all parameters, and linkage of all clients.

    Where a few clients train in a round, only their distances are computed anew.
    """
    return Clustering(_of_distances, lambda wanted, clients: True)


@CLUSTERINGS.register()
def sketch(buckets: Size = BUCKETS) -> Clustering:
    """Distances of a count sketch, right to ``1 / √(2 · buckets)``, and linkage of all clients.

    Args:
        buckets: Numbers that stand for a model, at least 1; best a prime number.
    """

    def dendrogram(wanted, seen, last, known):
        return _of_distances(wanted, [_sketched(wanted, seen, buckets)], last, known)

    return Clustering(dendrogram, lambda wanted, clients: True)


@CLUSTERINGS.register("two-stage")
def two_stage(centroids: Annotated[int, Range(2)] = 2048, buckets: Size = 1021) -> Clustering:
    """Clients around centroids, by a count sketch, then linkage of the centroids.

    Args:
        centroids: How many, at least 2; more are more exact.
        buckets: Numbers that stand for a model, at least 1; best a prime number.

    Source: the first stage of BIRCH, Zhang et al., SIGMOD 1996, with a sample for its tree.
    """

    def dendrogram(wanted, seen, last, known):
        if wanted.distances or wanted.backend != "xla":
            what = "min_size above 1" if wanted.distances else "linkage_backend 'scipy'"
            raise ValueError(
                f"Clustering in two stages makes no distances of all clients, which {what} needs; "
                "possible is clustering 'sketch' or 'exact'."
            )
        points = _sketched(wanted, seen, buckets)
        if last is not None:
            points = points[participation.stand_ins(last)]
        kind = wanted.kind
        assert kind is not None  # else there is no sketch
        merges, cophenetic = two_stage_linkage(points, kind, wanted.method, centroids)
        return Dendrogram(merges, cophenetic, None, known)

    return Clustering(dendrogram, lambda wanted, clients: False)


@CLUSTERINGS.register()
def auto() -> Clustering:
    """Exact for few clients, from 1,000 on a sketch, from 5,000 on in two stages.

    Below 5,000 exact also of models of few parameters; always where a sketch does not keep the
    metric, as a user's own; a sketch where ``min_size`` or SciPy need distances of all.
    """

    def chosen(wanted: Wanted, clients: int) -> Clustering:
        if wanted.kind is None or clients < SKETCHED_FROM:
            return exact()
        two = clients >= TWO_STAGE_FROM and not wanted.distances and wanted.backend == "xla"
        return two_stage() if two else sketch()

    def dendrogram(wanted, seen, last, known):
        columns = used_columns(seen)
        way = chosen(wanted, clients := columns[0][0].shape[0])
        if sum(used for _, used in columns) < WORTH_IT * BUCKETS and way.compares(wanted, clients):
            way = exact()
        return way.dendrogram(wanted, seen, last, known)

    return Clustering(
        dendrogram, lambda wanted, clients: chosen(wanted, clients).compares(wanted, 0)
    )


def _sketched(wanted: Wanted, seen: Params, buckets: int) -> Float[Array, " N D"]:
    if wanted.kind is None:
        raise ValueError(
            "A sketch keeps the metrics euclidean, sqeuclidean and cosine, but another was asked "
            "for; possible is one of these, or clustering 'exact'."
        )
    return count_sketch(seen, buckets, centred=not wanted.kind.angular)


def _of_distances(
    wanted: Wanted,
    seen: Params,
    last: participation.Attendance,
    known: KnownDistances | tuple[()],
) -> Dendrogram:
    """The dendrogram of all distances, of which those known are not computed again."""
    if isinstance(known, KnownDistances):
        assert last is not None  # else none are kept
        distances = everywhere(_from_known(wanted, seen, last, known))
        known = KnownDistances(distances, jnp.max(last))
    else:
        distances = everywhere(wanted.metric(seen))
    if last is not None:
        like = participation.stand_ins(last)

        def placed(distances):
            return distances[like[:, None], like]

        distances = lax.cond(jnp.any(last < 0), placed, lambda all_: all_, distances)
    merges, cophenetic = on_one(partial(_merged, wanted), distances)
    return Dendrogram(merges, cophenetic, distances, known)


def _from_known(
    wanted: Wanted, seen: Params, last: Int[Array, " N"], known: KnownDistances
) -> Float[Array, " N N"]:
    """Distances of which only those of clients who trained since are computed anew.

    Another client is looked at as well: where its distances are not those known, as when a run goes
    on by another metric, or more clients trained than there is room for, all are.
    """
    kind, count = wanted.kind, last.shape[0]
    assert kind is not None  # else none are kept
    stale = last >= known.since
    fresh = (last >= 0) & ~stale
    rows = jnp.nonzero(stale, size=wanted.changing, fill_value=count)[0]
    witness = jnp.argmax(fresh)
    rows = jnp.append(rows, jnp.where(fresh[witness], witness, count)).astype(jnp.int32)
    found = with_changed(kind, seen, known.distances, rows)
    before = known.distances[witness]
    same = jnp.abs(found[witness] - before) <= TOLERANCE * before
    right = jnp.all(same | ~fresh) & (jnp.sum(stale) <= wanted.changing)
    return lax.cond(right, lambda: found, lambda: wanted.metric(seen))


def _merged(
    wanted: Wanted, distances: Float[Array, " N N"]
) -> tuple[Float[Array, " N-1 4"], Float[Array, ""]]:
    merges = linkage(distances, wanted.method, wanted.backend)
    if wanted.method is LINKAGES["average"].make():
        return merges, upgma_correlation(merges, distances)
    return merges, cophenetic_correlation(merges, distances)
