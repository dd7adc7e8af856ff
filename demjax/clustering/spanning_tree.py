"""Single linkage from a minimum spanning tree.

Prim's algorithm visits one client after another, always the one nearest to those visited. In this
order every cluster of single linkage is a run of neighbours: the clusters at height ``t`` are what
remains together when the order is cut wherever a step was longer than ``t``. So the merges are the
steps in the order of their lengths, and what a step merges is the longest step on either side of
it, up to the next longer one.

Source: Prim, Bell System Technical Journal 36, 1957; Gower and Ross, Applied Statistics 18, 1969.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from demjax.clustering.neighbor_chain import INFINITY, Merges, nearest


def visiting_order(
    distances: Float[Array, " N N"],
) -> tuple[Int[Array, " N"], Float[Array, " N-1"]]:
    """Prim's order of the clients, from client 0 on, and the length of each step of it."""
    count = distances.shape[0]
    numbers = jnp.arange(count, dtype=jnp.int32)

    def one_step(step, carry):
        visits, ahead, here = carry
        row = lax.dynamic_index_in_dim(distances, here, keepdims=False)
        # What was visited is infinitely far ahead, and stays so.
        left = (ahead < INFINITY) & (numbers != here)
        ahead = jnp.where(left, jnp.minimum(ahead, row), INFINITY)
        here, shortest = nearest(ahead)
        visit = jnp.stack([here.astype(jnp.float32), shortest])
        return lax.dynamic_update_index_in_dim(visits, visit, step + 1, 0), ahead, here

    far = jnp.full(count, jnp.finfo(jnp.float32).max, jnp.float32)
    start = (jnp.zeros((count, 2), jnp.float32), far, jnp.int32(0))
    visits, _, _ = lax.fori_loop(0, count - 1, one_step, start)
    return visits[:, 0].astype(jnp.int32), visits[1:, 1]


def next_greater(rank: Int[Array, " S"]) -> Int[Array, " S"]:
    """For each number the place of the next greater one, or the end where there is none.

    Places are skipped in strides of powers of two, the longest first, while the largest number in
    a stride is smaller.
    """
    count = rank.shape[0]
    largest = [rank]
    while 2 ** len(largest) <= count:
        half = 2 ** (len(largest) - 1)
        ahead = jnp.pad(largest[-1][half:], (0, half), constant_values=count)
        largest.append(jnp.maximum(largest[-1], ahead))
    place = jnp.arange(1, count + 1, dtype=jnp.int32)
    for power in reversed(range(len(largest))):
        in_stride = largest[power].at[place].get(mode="fill", fill_value=count)
        place = jnp.where(in_stride < rank, place + 2**power, place)
    return jnp.minimum(place, count)


def merges_along(order: Int[Array, " N"], length: Float[Array, " N-1"]) -> Merges:
    """The merges of single linkage, sorted by height, from Prim's order and its steps."""
    steps = length.shape[0]
    clients = steps + 1
    here = jnp.arange(steps, dtype=jnp.int32)
    rank = jnp.zeros(steps, jnp.int32).at[jnp.argsort(length, stable=True)].set(here)
    after = next_greater(rank)
    before = steps - 1 - next_greater(rank[::-1])[::-1]

    # A step's merge is a part of the lower of the two steps that bound it.
    rank_after = rank.at[after].get(mode="fill", fill_value=steps)
    rank_before = jnp.where(before < 0, steps, rank[before])
    into_after = jnp.where(rank_after < rank_before, after, steps)
    into_before = jnp.where(rank_before < rank_after, before, steps)
    left = order[:-1].at[into_after].set(clients + rank, mode="drop")
    right = order[1:].at[into_before].set(clients + rank, mode="drop")
    columns = [left, right, length, after - before]
    rows = jnp.stack([column.astype(jnp.float32) for column in columns], axis=1)
    return Merges(jnp.zeros((steps, 4), jnp.float32).at[rank].set(rows), jnp.int32(steps))
