"""Who takes part in a round: a few clients, drawn or given, train; all others keep their models.

A cohort is an array of clients' numbers. It may be drawn here, or come from outside: a mask of who
is there becomes one by ``from_mask``, with the number ``N``, which no client has, in place of those
who are not. Whoever is in no cohort neither trains nor counts, whatever the reason is.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from demjax import keys
from demjax.base import Params
from demjax.pytrees import put_rows, take_rows
from demjax.registry import Number, check_made, check_number

Cohort = Int[Array, " c"] | None
"""The clients that train in a round, all different but for ``N``, nobody; ``None`` for everyone."""

Who = int | Callable[[PRNGKeyArray, int], Cohort] | None
"""How many clients take part, drawn at random; or ``(key, N) -> Cohort``; ``None`` for everyone."""


def draw(key: PRNGKeyArray, clients: int, size: Who) -> Cohort:
    """Draw a round's cohort, each client as likely as any other.

    Args:
        key: The round's; clients' own keys follow from it as if everyone trained.
        clients: Number of clients, ``N``.
        size: How many train, 1 to ``N``; ``None`` for everyone. Or a traceable function
            ``(key, N) -> Cohort`` that says who is there, at least one client; it is given a key
            of its own.

    Returns:
        Numbers of clients in ascending order; ``None`` where that is everyone.

    Raises:
        ValueError: If the size is out of its range.
    """
    if size is None:
        return None
    own = keys.for_cohort(key)
    if callable(size):
        return size(own, clients)
    check_made("A round needs a cohort as", size, int | np.integer, "a whole number or a function")
    check_number("A round", "a cohort", size, 1, clients)
    return jnp.sort(jax.random.permutation(own, clients)[:size].astype(jnp.int32))


def from_mask(mask: Bool[Array, " N"], places: int | None = None) -> Int[Array, " c"]:
    """The cohort of those whom a mask names.

    Args:
        mask: Whether each client takes part; at least one does.
        places: ``c``, the most that take part; by default all clients.
    """
    count = mask.shape[0]
    size = count if places is None else places
    return jnp.nonzero(mask, size=size, fill_value=count)[0].astype(jnp.int32)


def to_mask(cohort: Cohort, clients: int) -> Bool[Array, " N"]:
    """Whether each client is in a cohort."""
    if cohort is None:
        return jnp.ones(clients, bool)
    return jnp.zeros(clients, bool).at[cohort].set(True, mode="drop")


def numbers(clients: int, cohort: Cohort) -> Int[Array, " c"]:
    """The clients' numbers, ``N`` in the place of nobody."""
    everyone = jnp.arange(clients, dtype=jnp.int32)
    return everyone if cohort is None else everyone.at[cohort].get(mode="fill", fill_value=clients)


def counted(weight: Int[Array, " N"], cohort: Cohort) -> Int[Array, " c"]:
    """What each of the cohort counts in a mean: its weight, and 0 in the place of nobody."""
    return weight if cohort is None else weight.at[cohort].get(mode="fill", fill_value=0)


def rows(stacked: Params, cohort: Cohort) -> Params:
    """The cohort's rows of stacked arrays, ``[c, ...]``; in the place of nobody the last row."""
    if cohort is None:
        return stacked
    return take_rows(stacked, cohort)


def put(stacked: Params, cohort: Cohort, new: Params) -> Params:
    """Stacked arrays ``[N, ...]`` with new rows ``[c, ...]`` for the cohort."""
    if cohort is None:
        return new
    return put_rows(stacked, cohort, new)


def kept(old: Params, cohort: Cohort, new: Params) -> Params:
    """Of stacked arrays the new rows for the cohort, and the old ones for all others."""
    return put(old, cohort, rows(new, cohort))


Attendance = Int[Array, " N"] | None
"""The round in which each client last trained, −1 before that; ``None`` where all always do."""


def nobody_yet(clients: int, size: Who) -> Attendance:
    """The attendance before the first round."""
    return None if size is None else jnp.full(clients, -1, jnp.int32)


def changing(size: Who, period: int) -> int | None:
    """The most clients whose models change from one round to another ``period`` rounds later.

    That is whoever trains, and whoever took on another model at the end of the first of these.

    Returns:
        How many; ``None`` where that may be all of them.
    """
    return None if size is None or callable(size) else size * (period + 1)


def attended(last: Attendance, cohort: Cohort, number: Int[Array, ""]) -> Attendance:
    """The attendance once a cohort has trained in round ``number``."""
    return None if last is None else last.at[cohort].set(number, mode="drop")


def recency(
    weight: Float[Array, " *L N"], last: Attendance, factor: Number
) -> Float[Array, " *L N"]:
    """What clients count in means by how recently they trained: ``v_n ρ^(r − r_n)``.

    ``r_n`` is the round in which client ``n`` last trained, ``r`` the latest of all. Whoever has
    never trained counts 0; however long ago it is, at least ``10⁻²⁰ v_n`` is left, so that a group
    in which nobody trained lately keeps a mean.

    Args:
        weight: ``v``, above 0.
        last: The attendance.
        factor: ``ρ``, 0 to 1; 1 for all that have trained alike.
    """
    if last is None:
        return weight
    age = (jnp.max(last) - last).astype(jnp.float32)
    share = jnp.maximum(jnp.float32(factor) ** age, 1e-20)
    return weight * jnp.where(last < 0, 0.0, share)


def stand_ins(last: Int[Array, " N"]) -> Int[Array, " N"]:
    """For whoever has not trained yet a client that has, each for about as many; for others itself.

    Distances of clients and stand-ins, ``d[s][:, s]``, have the dendrogram of those that have
    trained, each with as many copies at distance 0.

    Args:
        last: The attendance; at least one client has trained.
    """
    new = last < 0
    trained = jnp.argsort(new, stable=True)  # those that have trained come first
    turn = jnp.cumsum(new) - 1
    return jnp.where(new, trained[turn % jnp.sum(~new)], jnp.arange(last.shape[0]))


def placed(models: Params, last: Attendance, group: Params) -> Params:
    """Stacked models in which whoever has not trained yet has the root's of ``[L, G, ...]``."""
    if last is None:
        return models

    def one_leaf(own, given):
        return jnp.where((last < 0).reshape(-1, *[1] * (own.ndim - 1)), given[-1, 0], own)

    return jax.tree.map(one_leaf, models, group)
