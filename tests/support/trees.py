"""Random trees and dendrograms, and what every tree must be, for several tests."""

from fractions import Fraction

import numpy as np
import scipy.cluster.hierarchy
from scipy.spatial.distance import pdist, squareform

from demjax.base import NO_GROUP


def random_linkage(rng, count, method):
    """Distances of random points, sometimes with ties and copies, and their linkage matrix."""
    points = rng.normal(size=(count, 3))
    if rng.random() < 0.3:
        points = np.round(points)
    pairs = pdist(points).astype(np.float32).astype(float)
    return scipy.cluster.hierarchy.linkage(pairs, method), pairs


def random_case(seed, count, method):
    """Points on a small grid, with duplicates and ties: whole distances and the dendrogram."""
    rng = np.random.default_rng(seed)
    points = rng.integers(rng.choice([2, 6, 40]), size=(count, 2)).astype(float)
    distances = np.zeros((count, count), np.float32)
    merges = np.zeros((0, 4), np.float32)
    if count > 1:
        pairs = pdist(points, "cityblock")
        distances = squareform(pairs).astype(np.float32)
        merges = scipy.cluster.hierarchy.linkage(pairs, method).astype(np.float32)
    return merges, distances


def assert_well_formed(hierarchy, min_size=1, balanced=False):
    """The tree nests, its sizes count its members, and no group is too small.

    ``balanced``: of the clients of one parent, all have a group on a level or none has.
    """
    groups, size = np.asarray(hierarchy.groups), np.asarray(hierarchy.size)
    assert groups.dtype == size.dtype == np.int32
    (levels, count), slots = groups.shape, size.shape[1]
    assert groups[-1].tolist() == [0] * count
    assert groups.min() >= NO_GROUP
    assert groups.max() < slots
    for level in range(levels):
        rows = groups[level].tolist()
        assert size[level].tolist() == [rows.count(slot) for slot in range(slots)]
        assert all(
            rows.count(slot) >= min_size for slot in {*rows} - {NO_GROUP} if level < levels - 1
        )
        above = {}
        for client, slot in enumerate(rows):
            if slot != NO_GROUP:
                above.setdefault(slot, set()).add(tuple(groups[level + 1 :, client]))
        assert all(len(one) == 1 for one in above.values())
        if balanced:
            grouped = {}
            for client, slot in enumerate(rows):
                key = tuple(groups[level + 1 :, client])
                grouped.setdefault(key, set()).add(slot != NO_GROUP)
            assert all(len(one) == 1 for one in grouped.values())


# A minimum size of groups, against recursion over sets


def assert_attached(got, groups, distances, min_size):
    """Small groups dissolved, clients attached to the nearest: recursion over sets of clients.

    Among groups that are exactly as near, rounding decides, and any one is right.
    """
    got = np.asarray(got)
    groups, whole = np.asarray(groups), np.asarray(distances).astype(int).tolist()
    result = np.full_like(groups, NO_GROUP)
    result[-1] = 0

    def subgroups(members, level):
        """``{level: {slot: clients}}`` of the groups that hang right under some clients."""
        found, rest = {}, set(members)
        for lower in range(level - 1, -1, -1):
            here = {}
            for client in sorted(rest):
                if groups[lower, client] != NO_GROUP:
                    here.setdefault(groups[lower, client], set()).add(client)
            rest -= {client for group in here.values() for client in group}
            found[lower] = here
        return found

    def regroup(original, present, level):
        for lower, here in subgroups(original, level).items():
            large = {slot: group for slot, group in here.items() if len(group) >= min_size}
            if not large:
                continue

            def goes(client, lower=lower, large=large):
                for slot, group in large.items():
                    if client in group:
                        return slot
                far = {
                    slot: Fraction(sum(whole[client][m] for m in group), len(group))
                    for slot, group in large.items()
                }
                nearest = [slot for slot in far if far[slot] == min(far.values())]
                return got[lower, client] if got[lower, client] in nearest else nearest[0]

            now = {client: goes(client) for client in present}
            for client, slot in now.items():
                result[lower, client] = slot
            for slot, group in large.items():
                regroup(group, {c for c in present if now[c] == slot}, lower)
            return

    everyone = set(range(groups.shape[1]))
    regroup(everyone, everyone, len(groups) - 1)
    np.testing.assert_array_equal(got, result)


def random_tree(seed, count, levels, slots):
    """A ragged tree of groups in shuffled slots; groups may skip levels."""
    rng = np.random.default_rng(seed)
    groups = np.full((levels + 1, count), NO_GROUP)
    groups[-1] = 0
    parents = [np.arange(count)]  # clients right under one group, on any level
    for level in range(levels - 1, -1, -1):
        free, below = list(rng.permutation(slots)), []
        for members in parents:
            label = rng.integers(-1, 3, size=len(members))
            for kind in {*label.tolist()}:
                part = members[label == kind]
                if kind >= 0 and free:
                    groups[level, part] = free.pop()
                below.append(part)
        parents = below
    return groups
