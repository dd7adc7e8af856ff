"""Merging all pairs of mutual nearest neighbours at once: few large steps instead of many small.

On an accelerator a step of the chain costs its launch, however few numbers it touches, and one pass
over the whole matrix costs hardly more. Two clusters that are each other's nearest, and nearer
than anything else is to either, are merged in every correct order of merging; so all such pairs
are merged in one pass, exactly, some rows at a time, in the matrix itself. Trees that peel off one
client after another have one pair a pass: there the chain goes on. Pairs with a tie are left to the
chain too, which breaks ties as SciPy does.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from demjax.backend.blocks import STRIPS, fold, rows_of_a_part
from demjax.clustering.neighbor_chain import HEIGHT, INFINITY, NODE, SIZE, Merges, Slots, Update


def mutual_pairs(
    slots: Slots,
) -> tuple[Float[Array, " S"], Int[Array, " S"], Bool[Array, " S"]]:
    """Nearest neighbour of every cluster, and which of the slots is the upper one of a pair.

    Returns:
        Distance to the nearest, its slot, and whether both are each other's only nearest and the
        neighbour's slot is the lower one.
    """
    width = slots.dead.shape[0]
    rows = rows_of_a_part(width, STRIPS)
    numbers = jnp.arange(width, dtype=jnp.int32)
    alive = slots.dead == 0

    def some_rows(found, start, new):
        here = start + jnp.arange(rows, dtype=jnp.int32)
        apart = alive[here][:, None] & alive & (here[:, None] != numbers)
        some = lax.dynamic_slice_in_dim(slots.distances, start, rows)
        near = jnp.where(apart, some, INFINITY)
        height = jnp.min(near, axis=1)
        hits = (near == height[:, None]) & apart
        nearest = jnp.min(jnp.where(hits, numbers, width), axis=1)
        nearest = jnp.where(jnp.sum(hits, axis=1) == 1, nearest, width)
        return tuple(
            lax.dynamic_update_slice_in_dim(all_, own, start, axis=0)
            for all_, own in zip(found, (height, nearest), strict=True)
        )

    height, nearest = fold(width, rows, some_rows, (jnp.zeros_like(slots.dead), numbers))
    back = nearest.at[nearest].get(mode="fill", fill_value=-1)
    return height, nearest, (back == numbers) & (nearest < numbers)


def merge_together(
    slots: Slots, merges: Merges, until: int, update: Update, at_least: int
) -> tuple[Slots, Merges]:
    """Merge mutual pairs, all at once, as long as there are many.

    Args:
        slots: Clusters that are left.
        merges: Merges made so far.
        until: Stop when so many merges are made in all; the last pass may make more.
        update: How distances to a merged cluster follow from those to its parts.
        at_least: Stop when fewer pairs are found, 1 or more.
    """
    clients = merges.rows.shape[0] + 1

    def one_pass(carry):
        slots, merges, (distance, nearest, upper) = carry
        x = jnp.where(upper, nearest, 0)
        others = slots.clusters[:, x]
        before = slots.clusters[SIZE]
        size = jnp.where(upper, before + others[SIZE], before)

        rows = rows_of_a_part(before.shape[0], STRIPS)

        def some_rows(distances, start, fresh):
            """Merge rows, with columns as they were, and then their columns."""
            mine = start + jnp.arange(rows)
            old = lax.dynamic_slice_in_dim(distances, start, rows)
            own = (each[mine][:, None] for each in (others[SIZE], before, distance))
            n_x, n_y, apart = own
            new = update(distances[x[mine]], old, n_x, n_y, before, apart)
            new = jnp.where(upper[mine][:, None], new, old)
            columns = update(new[:, x], new, others[SIZE], before, size[mine][:, None], distance)
            new = jnp.where(upper, columns, new)
            new = jnp.where(fresh[:, None], new, old)
            return lax.dynamic_update_slice_in_dim(distances, new, start, axis=0)

        # From the last rows on: a row is merged with one before it that is as it was.
        distances = fold(before.shape[0], rows, some_rows, slots.distances, backwards=True)
        parts = jnp.maximum(slots.clusters[HEIGHT], others[HEIGHT])
        height = jnp.maximum(distance, parts)
        number = merges.made + jnp.cumsum(upper, dtype=jnp.int32) - 1
        made = jnp.stack([others[NODE], slots.clusters[NODE], height, size], axis=1)
        merges = Merges(
            rows=merges.rows.at[jnp.where(upper, number, clients)].set(made, mode="drop"),
            made=merges.made + jnp.sum(upper, dtype=jnp.int32),
        )
        cluster = jnp.stack([size, height, (clients + number).astype(jnp.float32)])
        gone = jnp.where(upper, nearest, upper.shape[0])
        slots = Slots(
            distances=distances,
            clusters=jnp.where(upper, cluster, slots.clusters),
            dead=slots.dead.at[gone].set(INFINITY, mode="drop"),
        )
        return slots, merges, mutual_pairs(slots)

    def worth_it(carry):
        _, merges, (_, _, upper) = carry
        return (merges.made < until) & (jnp.sum(upper) >= at_least)

    slots, merges, _ = lax.while_loop(worth_it, one_pass, (slots, merges, mutual_pairs(slots)))
    return slots, merges
