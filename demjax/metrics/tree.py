"""What a tree of groups looks like: sizes, agreement with other partitions, its dendrogram."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from demjax.base import NO_GROUP, ClientData, Hierarchy
from demjax.hierarchy.groups import checked_groups


class Structure(NamedTuple):
    """What a tree looks like: a number for each level under the root, the lowest first.

    Attributes:
        groups: Number of groups.
        largest: Clients in the largest group; 0 if the level has none.
        smallest: Clients in the smallest group; 0 if the level has none.
        singletons: Share of the clients that are alone: in a group of one, or in none.
        rand_true: Adjusted Rand index of the groups and the clients' true clusters.
        rand_before: The same of the groups and those before the last regrouping, else NaN.
        moved: Clients that moved at the last regrouping, else 0.
    """

    groups: Int[Array, " K"]
    largest: Int[Array, " K"]
    smallest: Int[Array, " K"]
    singletons: Float[Array, " K"]
    rand_true: Float[Array, " K"]
    rand_before: Float[Array, " K"]
    moved: Int[Array, " K"]


def label_sets(clients: ClientData) -> Int[np.ndarray, " N"]:
    """The cluster of each client: which set of labels its training examples have.

    Args:
        clients: Everybody's data; concrete arrays, not traced ones.

    Returns:
        The number of each client's set, from 0, in the order in which the sets first appear;
        without labels, where targets are floating point, all 0.
    """
    if not jnp.issubdtype(clients.y.dtype, jnp.integer):
        return np.zeros(clients.n_clients, np.int32)
    train, size, y = (np.asarray(z) for z in (clients.train, clients.train_size, clients.y))
    sets = [frozenset(y[mine[:n]].tolist()) for mine, n in zip(train, size, strict=True)]
    number: dict[frozenset, int] = {}
    return np.asarray([number.setdefault(one, len(number)) for one in sets], np.int32)


def checked_clusters(true_clusters: Any, count: int) -> Int[np.ndarray, " N"]:
    """A user's true clusters, numbered anew from 0 without gaps.

    Raises:
        ValueError: They are not whole numbers from 0, one for each client.
    """
    found = np.asarray(true_clusters)
    if found.shape != (count,) or found.dtype.kind not in "iu" or found.min(initial=0) < 0:
        least = f", the least {found.min()}" if found.size and found.dtype.kind in "iu" else ""
        raise ValueError(
            f"True clusters must be whole numbers from 0, one for each of the {count} clients, not "
            f"{found.dtype} of shape {found.shape}{least}."
        )
    return np.unique(found, return_inverse=True)[1].astype(np.int32)


def describe(
    hierarchy: Hierarchy,
    true_clusters: Int[Array, " N"],
    n_clusters: int,
    before: Int[Array, " L N"] | None = None,
    known: Bool[Array, ""] | bool = True,
) -> Structure:
    """Describe a tree, level by level.

    Args:
        hierarchy: The tree.
        true_clusters: That of each client, ``0 … n_clusters - 1``, such as ``label_sets`` finds
            and ``checked_clusters`` makes of any others.
        n_clusters: True clusters there can be, at least 1.
        before: The groups before the last regrouping; ``None`` if there were none.
        known: Whether ``before`` means anything: false before the first regrouping.

    Raises:
        ValueError: If ``true_clusters`` or ``before`` is of another shape than the tree, or
            a true cluster is out of its range.
    """
    (levels, count), slots = hierarchy.groups.shape, hierarchy.size.shape[1]
    if before is None:
        before, known = hierarchy.groups, False
    _check_shape("true_clusters", true_clusters, (count,))
    _check_shape("groups before", before, (levels, count))
    groups, size = hierarchy.groups[:-1], hierarchy.size[:-1]
    largest = jnp.max(size, axis=1)
    together = jnp.sum(jnp.where(size > 1, size, 0), axis=1)

    def compare(rows):
        now, then = rows
        to_true = adjusted_rand(now, true_clusters, slots, n_clusters)
        return to_true, adjusted_rand(then, now, slots, slots), moved(then, now, slots)

    # A map, not all levels at once: one table of pairs of groups at a time takes memory.
    to_true, to_before, movers = lax.map(compare, (groups, jnp.asarray(before)[:-1]))
    return Structure(
        groups=jnp.sum(size > 0, axis=1, dtype=jnp.int32),
        largest=largest,
        smallest=jnp.min(jnp.where(size > 0, size, largest[:, None]), axis=1),
        singletons=(count - together) / jnp.float32(count),
        rand_true=to_true,
        rand_before=jnp.where(known, to_before, jnp.nan),
        moved=jnp.where(known, movers, 0),
    )


def _check_shape(name: str, given: Array, shape: tuple[int, ...]) -> None:
    if jnp.shape(given) != shape:
        raise ValueError(f"The {name} need shape {shape}, but {jnp.shape(given)} was given.")


def adjusted_rand(
    one: Int[Array, " N"], other: Int[Array, " N"], slots_one: int, slots_other: int
) -> Float[Array, ""]:
    """How alike two partitions are, from -½ to 1: 1 if the same, on average 0 if unrelated.

    ``2 (a d − b c) / ((a + b)(b + d) + (a + c)(c + d))``, where ``a`` pairs of clients are
    together in both partitions, ``b`` in the one only, ``c`` in the other only, ``d`` in neither;
    they are counted exactly up to 65,536 clients. Where ``b = c = 0`` it is 1.

    Args:
        one: Group of each client, ``0 … slots_one - 1``; who has ``NO_GROUP`` is a group of one.
        other: Group of each client in the other partition, likewise.
        slots_one: Groups there can be in the one partition.
        slots_other: Groups there can be in the other; memory is the product of the two.

    Source: Hubert and Arabie, Comparing Partitions, Journal of Classification 2, 1985.
    """
    count = one.shape[0]
    number = jnp.uint32 if count <= 65_536 else jnp.float32

    def pairs(members):
        members = members.astype(number)
        return jnp.sum(members * (jnp.maximum(members, 1) - 1) // 2, dtype=number)

    table = _contingency(one, other, slots_one, slots_other)
    both = pairs(table[:-1, :-1])
    only_one = pairs(jnp.sum(table[:-1], axis=1)) - both
    only_other = pairs(jnp.sum(table[:, :-1], axis=0)) - both
    neither = jnp.asarray(count * (count - 1) // 2, number) - both - only_one - only_other
    a, b, c, d = (x.astype(jnp.float32) for x in (both, only_one, only_other, neither))
    disagree = (b > 0) | (c > 0)
    spread = jnp.where(disagree, (a + b) * (b + d) + (a + c) * (c + d), 1.0)
    return jnp.where(disagree, 2 * (a * d - b * c) / spread, 1.0)


def moved(before: Int[Array, " N"], after: Int[Array, " N"], slots: int) -> Int[Array, ""]:
    """How many clients are not where they were, whatever the groups are called now.

    A group ``g`` goes on as ``h`` when no group holds more of its members than ``h``, and no
    group has given ``h`` more members than ``g``; of equals, the lowest slot counts. Clients
    stay when their group goes on as theirs, or when they had none and have none.

    Args:
        before: Group of each client before, ``0 … slots - 1`` or ``NO_GROUP``.
        after: Group of each client after, likewise.
        slots: Groups there can be.
    """
    table = _contingency(before, after, slots, slots)[:-1, :-1]
    heir, origin = jnp.argmax(table, axis=1), jnp.argmax(table, axis=0)
    goes_on = (heir[before] == after) & (origin[after] == before)
    stays = jnp.where(before == NO_GROUP, after == NO_GROUP, goes_on)
    return jnp.sum(~stays, dtype=jnp.int32)


def _contingency(
    one: Int[Array, " N"], other: Int[Array, " N"], slots_one: int, slots_other: int
) -> Int[Array, " G1+1 G2+1"]:
    """Clients in each pair of groups; ``NO_GROUP``, as an index, is the last row or column."""
    one, other = checked_groups(one, slots_one), checked_groups(other, slots_other)
    return jnp.zeros((slots_one + 1, slots_other + 1), jnp.int32).at[one, other].add(1)
