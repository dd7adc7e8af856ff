"""Trees that are given, not found: equal groups of clients in order or drawn, or read from a file.

A file is a table (CSV). Its first line names the columns: ``client``, then the levels from the
lowest up. Each further line holds a client's number, from 0, and the name of its group on each
level; an empty one is none.
"""

import csv
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, PRNGKeyArray

from demjax import keys
from demjax.base import NO_GROUP, Hierarchy
from demjax.hierarchy.groups import from_groups
from demjax.registry import Range, check_whole

Placement = Literal["order", "random", "true_clusters"]
"""Which clients are in a group: neighbours in the order of their numbers, as many in each; as many,
drawn at random; or those of one true cluster."""

Counts = Annotated[Sequence[int], Range(1)]


class GivenTree(NamedTuple):
    """A tree that is known before any round.

    Attributes:
        levels: Levels under the root, ``K``.
        slots: Group slots on a level, ``G``.
        place: ``(key, clients) -> Hierarchy``: the tree of so many clients, drawn by the key of
            their initial model where it is drawn; a ``ValueError`` where there is none of so many.
    """

    levels: int
    slots: int
    place: Callable[[PRNGKeyArray, int], Hierarchy]


def given_tree(
    whose: str,
    groups: Counts | None,
    placement: Placement = "order",
    tree_file: str | None = None,
    client_groups: Int[np.ndarray, " *K N"] | None = None,
    *,
    usual: Counts,
) -> GivenTree:
    """The tree that options say.

    Args:
        whose: Whose tree it is, for sentences.
        groups: Number of groups on each level, lowest first; of as many clients as can be, and
            each above of as many groups. ``None`` for the usual ones, or those of file or array.
        placement: Which clients are in which group.
        tree_file: A file that says so, in place of numbers.
        client_groups: The group of each client on each level, the lowest first, whole numbers from
            0, ``NO_GROUP`` for none; or on the only one: in place of numbers.
        usual: The usual numbers.

    Raises:
        ValueError: If more than one tree is given, the true clusters are not known, the groups of
            two levels do not nest, or the file cannot be read.
    """
    if placement == "true_clusters" and client_groups is None:
        raise ValueError(
            f"{whose} was to have the true clusters as groups, but these data have none; possible "
            "is --conflict rotated, --partition planted, or --placement order."
        )
    asked = [name for name, value in (("numbers", groups), ("a file", tree_file)) if value]
    asked += [] if client_groups is None else ["the group of each client"]
    if len(asked) > 1 or (placement == "random" and asked and asked != ["numbers"]):
        also = " and drawn at random" if placement == "random" else ""
        raise ValueError(
            f"{whose} was given its groups as {' and '.join(asked)}{also}; possible is one of them."
        )
    if client_groups is not None:
        return _listed(whose, np.atleast_2d(np.asarray(client_groups)))
    if tree_file is not None:
        return _listed(whose, read_tree(tree_file))
    counts = tuple(usual if groups is None else groups)
    for count in counts:
        check_whole(whose, "numbers of groups", count, 1)
    if any(lower < above for lower, above in pairwise(counts)):
        raise ValueError(
            f"{whose} was given {', '.join(map(str, counts))} groups, which do not nest from the "
            f"lowest level up; possible is {', '.join(map(str, sorted(counts, reverse=True)))}."
        )
    drawn = placement == "random"
    return GivenTree(len(counts), max(counts, default=1), partial(_equal, whose, counts, drawn))


def read_tree(path: str | Path) -> Int[np.ndarray, " K N"]:
    """The group of each client on each level, from a file.

    Raises:
        ValueError: If there is no such file, or it is not of this form.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            head, *rows = [row for row in csv.reader(file) if row]
    except OSError as error:
        raise ValueError(f"The file of groups {path} cannot be read: {error.strerror}.") from None
    except (ValueError, csv.Error):  # no line, no UTF-8, a stray quote
        head, rows = [], []
    if len(head) < 2 or head[0].strip().lower() != "client" or not rows:
        raise ValueError(
            f"The file of groups {path} must be a table that begins with a line such as "
            "client,edge, and go on with a line for each client, such as 0,west."
        )
    table: dict[int, list[str]] = {}
    for row in rows:
        client, *names = (cell.strip() for cell in row)
        whole = client.isdecimal() and len(client) < 10
        expected = whole and int(client) < len(rows) and int(client) not in table
        if not expected or len(row) != len(head):
            raise ValueError(
                f"The file of groups {path} holds the line {','.join(row)!r}; expected are "
                f"{len(head)} values, the first a client of 0 to {len(rows) - 1}, each once."
            )
        table[int(client)] = names
    levels = zip(*(table[client] for client in range(len(rows))), strict=True)
    return np.array([_numbered(names) for names in levels])


def _numbered(names: Sequence[str]) -> list[int]:
    """Groups as numbers, in the order in which they are first met."""
    number: dict[str, int] = {"": NO_GROUP}
    for name in names:
        number.setdefault(name, len(number) - 1)
    return [number[name] for name in names]


def _listed(whose: str, groups: Int[np.ndarray, " K N"]) -> GivenTree:
    if groups.dtype.kind not in "iu" or groups.ndim != 2 or groups.min(initial=0) < NO_GROUP:
        raise ValueError(
            f"{whose} needs the group of each client as whole numbers from 0, one row a level, "
            f"but {groups.dtype} of shape {groups.shape} was given."
        )
    for level, (lower, above) in enumerate(pairwise(groups), start=1):
        for group in set(lower.tolist()) - {NO_GROUP}:
            parents = sorted(set(above[lower == group].tolist()))
            if len(parents) > 1:
                raise ValueError(
                    f"{whose} needs groups that nest, but clients of group {group} of level "
                    f"{level} are in {' and '.join(map(str, parents))} of the next."
                )

    def place(key: PRNGKeyArray, clients: int) -> Hierarchy:
        if clients != groups.shape[1]:
            raise ValueError(
                f"{whose} was given the groups of {groups.shape[1]} clients, but there are "
                f"{clients}."
            )
        root = np.zeros((1, clients), groups.dtype)
        return from_groups(jnp.asarray(np.concatenate([groups, root]), jnp.int32), slots)

    slots = int(groups.max(initial=0)) + 1
    return GivenTree(len(groups), slots, place)


def _equal(
    whose: str, counts: Sequence[int], drawn: bool, key: PRNGKeyArray, clients: int
) -> Hierarchy:
    """Client ``n`` of ``N`` in group ``⌊n G / N⌋``, group ``g`` in ``⌊g H / G⌋`` of ``H`` above."""
    if max(counts, default=1) > clients:
        raise ValueError(
            f"{whose} was to have {max(counts)} groups, but there are {clients} clients; possible "
            f"is 1 to {clients}."
        )
    levels, of, held = [], np.arange(clients), clients
    for count in counts:
        of, held = of * count // held, count
        levels.append(of)
    groups: Any = jnp.asarray(np.stack([*levels, np.zeros(clients, int)]), jnp.int32)
    if drawn:
        groups = groups[:, jax.random.permutation(keys.for_groups(key), clients)]
    return from_groups(groups, max(counts, default=1))
