"""Cohorts: in each round a few clients, drawn at random, train; all others keep their models."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from demjax import keys
from demjax.base import Params
from demjax.registry import check_number

Cohort = Int[Array, " c"] | None
"""The clients that train in a round, all different; ``None`` for everyone."""


def draw(key: PRNGKeyArray, clients: int, size: int | None) -> Cohort:
    """Draw a round's cohort, each client as likely as any other.

    Args:
        key: The round's; clients' own keys follow from it as if everyone trained.
        clients: Number of clients, ``N``.
        size: How many train, 1 to ``N``; ``None`` for everyone.

    Returns:
        Numbers of clients in ascending order; ``None`` where that is everyone.

    Raises:
        ValueError: If the size is out of its range.
    """
    if size is None:
        return None
    check_number("A round", "a cohort", size, 1, clients)
    return jnp.sort(jax.random.permutation(keys.for_cohort(key), clients)[:size].astype(jnp.int32))


def rows(stacked: Params, cohort: Cohort) -> Params:
    """The cohort's rows of stacked arrays, ``[c, ...]``."""
    if cohort is None:
        return stacked
    return jax.tree.map(lambda leaf: leaf.at[cohort].get(mode="clip"), stacked)


def put(stacked: Params, cohort: Cohort, new: Params) -> Params:
    """Stacked arrays ``[N, ...]`` with new rows ``[c, ...]`` for the cohort."""
    if cohort is None:
        return new
    return jax.tree.map(lambda old, some: old.at[cohort].set(some), stacked, new)


def kept(old: Params, cohort: Cohort, new: Params) -> Params:
    """Of stacked arrays the new rows for the cohort, and the old ones for all others."""
    return put(old, cohort, rows(new, cohort))
