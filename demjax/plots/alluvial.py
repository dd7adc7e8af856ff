"""The layout of an alluvial map: bars for groups, ribbons for who goes where."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

ALONE = -1
"""The block of clients that are in no group."""


class Block(NamedTuple):
    """A group at a moment, as a bar: how many clients, and where the bar begins and ends."""

    moment: int
    group: int
    size: int
    bottom: float
    top: float


class Ribbon(NamedTuple):
    """Clients of one colour that go from a block to one of the next moment.

    Attributes:
        moment: Place of the earlier of the two moments.
        source: Their group there, ``ALONE`` for none.
        target: Their group at the next moment.
        colour: Their colour's number.
        size: How many they are, which is how wide the ribbon is.
        start: Lower edge of the ribbon at the earlier moment.
        end: Lower edge at the later one.
    """

    moment: int
    source: int
    target: int
    colour: int
    size: int
    start: float
    end: float


def flows(
    groups: Int[np.ndarray, " S N"], colours: Int[np.ndarray, " N"], *, gap: float
) -> tuple[list[Block], list[Ribbon]]:
    """Lay out an alluvial map: bars for groups, ribbons for who goes where.

    At each moment groups are stacked in the order of where their members came from on average, so
    that few ribbons cross; who is in no group is at the bottom.

    Args:
        groups: The group of each client at each of ``S`` moments, ``ALONE`` for none.
        colours: A number for each client; clients of one colour share a ribbon.
        gap: Room between two bars, in clients.

    Returns:
        The bars and the ribbons. The sizes of the bars of a moment, and of the ribbons between
        two moments, sum to ``N``.
    """
    blocks: list[Block] = []
    ribbons: list[Ribbon] = []
    height = np.zeros(groups.shape[1])
    before: dict[int, Block] = {}
    for moment, row in enumerate(groups):
        order = _order(row, height if moment else None)
        now, bottom = {}, 0.0
        for group in order:
            size = int((row == group).sum())
            now[group] = Block(moment, group, size, bottom, bottom + size)
            bottom += size + gap
        blocks += now.values()
        if moment:
            ribbons += _ribbons(moment - 1, groups[moment - 1], row, colours, before, now)
        before = now
        height = np.array([(now[group].bottom + now[group].top) / 2 for group in row.tolist()])
    return blocks, ribbons


def _order(row: np.ndarray, height: np.ndarray | None) -> list[int]:
    """The groups of a moment from the bottom up: by where their members were, or by number."""
    found = [int(group) for group in np.unique(row)]
    if height is None:
        return found
    return sorted(found, key=lambda g: (g != ALONE, float(height[row == g].mean()), g))


def _ribbons(
    moment: int,
    row: np.ndarray,
    after: np.ndarray,
    colours: np.ndarray,
    before: dict[int, Block],
    now: dict[int, Block],
) -> list[Ribbon]:
    """The ribbons between two moments, each bar's stacked so that they cross least."""
    ways, sizes = np.unique(np.stack([row, after, colours]), axis=1, return_counts=True)
    many = list(zip(*ways.tolist(), sizes.tolist(), strict=True))
    starts: dict[tuple, float] = {}
    ends: dict[tuple, float] = {}
    level = {group: block.bottom for group, block in before.items()}
    for way in sorted(many, key=lambda w: (now[w[1]].bottom, w[2])):
        starts[way], level[way[0]] = level[way[0]], level[way[0]] + way[3]
    level = {group: block.bottom for group, block in now.items()}
    for way in sorted(many, key=lambda w: (before[w[0]].bottom, w[2])):
        ends[way], level[way[1]] = level[way[1]], level[way[1]] + way[3]
    return [Ribbon(moment, *way, start=starts[way], end=ends[way]) for way in many]
