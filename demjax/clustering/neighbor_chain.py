"""The nearest-neighbour chain: exact agglomerative clustering in one program, static shapes.

From any cluster, go to its nearest one, from there to *its* nearest, and so on: distances shrink,
so the walk ends at two clusters that are each other's nearest. For the methods here, whose merged
clusters are never nearer to others than the nearer of their parts was, such a pair is merged in
every correct order of merging. So the pair is merged, the walk goes on from where it came from, and
the merges are sorted by their heights at the end.

A cluster lives in a *slot*, a row and column of the matrix of distances. A merge of slots ``x < y``
leaves the new cluster in ``y``; ``x`` is dead. When half the slots are dead, the others move into a
matrix of half the side, so that all searches together cost ``O(N²)``. Ties are broken as SciPy
breaks them: the neighbour one comes from, else the lowest slot.

Source: Müllner, *Modern hierarchical, agglomerative clustering algorithms*, arXiv 1109.2378.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from demjax.backend.blocks import STRIPS, fold, rows_of_a_part

INFINITY = jnp.inf
SIZE, HEIGHT, NODE = range(3)
COMPACT_ABOVE = 96
"""Below so many slots, moving the living ones costs more than it saves."""

Update = Callable[..., Float[Array, " ..."]]
"""Lance-Williams: ``(d_x, d_y, n_x, n_y, n, height) -> d``, the distance to ``x ∪ y``."""


def larger_first(d_x, d_y, n_x, n_y):
    """Distances to the larger part, and to the other.

    What is written as the first and a change is rounded once. Where clusters grow by a client at a
    time, their distances are rounded thousands of times.
    """
    return jnp.where(n_x >= n_y, d_x, d_y), jnp.where(n_x >= n_y, d_y, d_x)


def average(d_x, d_y, n_x, n_y, n, height):
    """Mean over all pairs: ``(n_x d_x + n_y d_y) / (n_x + n_y)``."""
    most, least = larger_first(d_x, d_y, n_x, n_y)
    return most + (least - most) * (jnp.minimum(n_x, n_y) / (n_x + n_y))


def complete(d_x, d_y, n_x, n_y, n, height):
    """The largest of all pairs."""
    return jnp.maximum(d_x, d_y)


def single(d_x, d_y, n_x, n_y, n, height):
    """The smallest of all pairs."""
    return jnp.minimum(d_x, d_y)


def weighted(d_x, d_y, n_x, n_y, n, height):
    """Mean of the two parts, whatever their sizes."""
    return (d_x + d_y) / 2


def ward(d_x, d_y, n_x, n_y, n, height):
    """Growth of the sum of squares, on squared distances and heights ``h``.

    ``((n + n_x) d_x + (n + n_y) d_y − n h) / (n + n_x + n_y)``
    """
    most, least = larger_first(d_x, d_y, n_x, n_y)
    change = jnp.minimum(n_x, n_y) * (least - most) + n * (least - height)
    return most + change / (n + n_x + n_y)


class Merges(NamedTuple):
    """Merges in the order they were made; clients are nodes ``0 … N-1``, merge ``t`` is ``N + t``.

    Attributes:
        rows: As in SciPy's linkage matrix: the two nodes, the height, the number of clients.
            Heights are at least those of both nodes. Nodes are whole up to 2²⁴.
        made: Merges made so far.
    """

    rows: Float[Array, " N-1 4"]
    made: Int[Array, ""]


class Slots(NamedTuple):
    """Clusters that are left, each in a slot.

    Attributes:
        distances: Between slots; rows and columns of dead ones, and the diagonal, mean nothing.
        clusters: Rows ``SIZE``, its clients, ``HEIGHT``, where it was made, and ``NODE``, its
            number: one table, so that a step reads and writes one column of it.
        dead: 0 for a cluster, infinity for a dead slot: a mask that adds.
    """

    distances: Float[Array, " S S"]
    clusters: Float[Array, " 3 S"]
    dead: Float[Array, " S"]


def stages(count: int) -> list[int]:
    """Numbers of slots to go through: halves, down to where compacting does not pay."""
    sizes = [count]
    while sizes[-1] > COMPACT_ABOVE:
        sizes.append(sizes[-1] // 2)
    return sizes


def clients_as_slots(
    distances: Float[Array, " N N"], sizes: Float[Array, " N"] | None = None
) -> Slots:
    """Every client a cluster, or so many clients as one."""
    count = distances.shape[0]
    nothing, numbers = jnp.zeros(count, jnp.float32), jnp.arange(count, dtype=jnp.float32)
    sizes = nothing + 1 if sizes is None else sizes.astype(jnp.float32)
    return Slots(distances, jnp.stack([sizes, nothing, numbers]), nothing)


def compact(slots: Slots, size: int) -> Slots:
    """Move the clusters that are left, at most ``size``, into so many slots, in their order."""
    alive = slots.dead == 0
    kept = jnp.nonzero(alive, size=size, fill_value=0)[0].astype(jnp.int32)
    dead = jnp.where(jnp.arange(size) < jnp.sum(alive), 0.0, INFINITY).astype(jnp.float32)
    rows = rows_of_a_part(size, STRIPS)

    def some_rows(distances, start, new):
        mine = lax.dynamic_slice_in_dim(kept, start, rows)
        return lax.dynamic_update_slice_in_dim(
            distances, slots.distances[mine][:, kept], start, axis=0
        )

    distances = fold(size, rows, some_rows, jnp.zeros((size, size), slots.distances.dtype))
    return Slots(distances, slots.clusters[:, kept], dead)


def nearest(row: Float[Array, " S"]) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """The first of the smallest numbers: where it is, and what it is."""
    width = row.shape[0]
    if width <= 1024:
        place = jnp.argmin(row).astype(jnp.int32)
        return place, row[place]
    # Two passes that a CPU does eight numbers at a time, in place of one that it does one by one.
    least = jnp.min(row)
    numbers = jnp.arange(width, dtype=jnp.int32)
    return jnp.min(jnp.where(row == least, numbers, width - 1)), least


def walk(slots: Slots, merges: Merges, until: int, update: Update) -> tuple[Slots, Merges]:
    """Merge along the chain until so many merges are made.

    A merged row is written at the start of the next step, not when it is made: a loop that reads a
    matrix and writes it twice in one step is compiled to copy the matrix each time.

    Args:
        slots: Clusters that are left.
        merges: Merges made so far.
        until: Merges to be made in all.
        update: How distances to a merged cluster follow from those to its parts.
    """
    width = slots.dead.shape[0]
    numbers = jnp.arange(width, dtype=jnp.int32)
    clients = merges.rows.shape[0] + 1
    zero = jnp.int32(0)

    def put(array, new, place):
        return lax.dynamic_update_slice(array, new.astype(array.dtype), place)

    def written(distances, row, slot):
        return put(put(distances, row[None], (slot, zero)), row[:, None], (zero, slot))

    def one_merge(carry):
        slots, merges, path, length, row, slot = carry
        distances = written(slots.distances, row, slot)

        def longer(step):
            path, length, before, tip, _, _ = step
            near = lax.dynamic_slice(distances, (tip, zero), (1, width))[0] + slots.dead
            near = jnp.where(numbers == tip, INFINITY, near)
            after, height = nearest(near)
            mutual = (before < width) & (near[jnp.minimum(before, width - 1)] <= height)
            mutual = mutual | (length >= width)  # no path is longer, unless d_mn ≠ d_nm
            path = put(path, after[None], (length + 1,))
            length, before, tip = (
                jnp.where(mutual, old, new)
                for old, new in ((length, length + 1), (before, tip), (tip, after))
            )
            return path, length, before, tip, height, mutual

        # An empty path starts anew from the first cluster that is left.
        first = jnp.argmin(slots.dead).astype(jnp.int32)
        tip = jnp.where(length > 0, path[length], first)
        length = jnp.maximum(length, 1)
        path = put(path, tip[None], (length,))
        step = (path, length, path[length - 1], tip, jnp.float32(0), jnp.bool_(False))
        path, length, before, tip, height, _ = lax.while_loop(lambda s: ~s[-1], longer, step)

        x, y = jnp.minimum(before, tip), jnp.maximum(before, tip)
        one = lax.dynamic_slice(slots.clusters, (zero, x), (3, 1))[:, 0]
        other = lax.dynamic_slice(slots.clusters, (zero, y), (3, 1))[:, 0]
        row = update(
            distances[x], distances[y], one[SIZE], other[SIZE], slots.clusters[SIZE], height
        )
        size = one[SIZE] + other[SIZE]
        # Rounding could put a merge below its parts; they come first.
        height = jnp.maximum(height, jnp.maximum(one[HEIGHT], other[HEIGHT]))
        made = jnp.stack([one[NODE], other[NODE], height, size])
        node = (clients + merges.made).astype(jnp.float32)
        cluster = jnp.stack([size, height, node])
        slots = Slots(
            distances=distances,
            clusters=put(slots.clusters, cluster[:, None], (zero, y)),
            dead=put(slots.dead, jnp.full(1, INFINITY), (x,)),
        )
        merges = Merges(put(merges.rows, made[None], (merges.made, zero)), merges.made + 1)
        # A path that was cut short may hold what is dead by now.
        return slots, merges, path, jnp.where(length >= width, 0, length - 2), row, y

    # Before the first of the path stands nobody.
    path = jnp.full(width + 2, width, jnp.int32)
    start = (slots, merges, path, jnp.int32(0), slots.distances[0], jnp.int32(0))
    end = lax.while_loop(lambda carry: carry[1].made < until, one_merge, start)
    slots, merges, _, _, row, slot = end
    return slots._replace(distances=written(slots.distances, row, slot)), merges
