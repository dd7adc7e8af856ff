"""Merging all pairs of mutual nearest neighbours at once: few large steps instead of many small.

On an accelerator a step of the chain costs its launch, however few numbers it touches, and one pass
over the whole matrix costs hardly more. Two clusters that are each other's nearest, and nearer
than anything else is to either, are merged in every correct order of merging; so all such pairs
are merged in one pass, exactly. Trees that peel off one client after another have one pair a
pass: there the chain goes on. Pairs with a tie are left to the chain too, which breaks ties as
SciPy does.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

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
    numbers = jnp.arange(width, dtype=jnp.int32)
    alive = slots.dead == 0
    apart = alive[:, None] & alive[None] & (numbers[:, None] != numbers[None])
    near = jnp.where(apart, slots.distances, INFINITY)
    height = jnp.min(near, axis=1)
    hits = (near == height[:, None]) & apart
    nearest = jnp.min(jnp.where(hits, numbers, width), axis=1)
    nearest = jnp.where(jnp.sum(hits, axis=1) == 1, nearest, width)
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
    update_rows = jax.vmap(update, in_axes=(0, 0, 0, 0, None, 0))

    def one_pass(carry):
        slots, merges, (distance, nearest, upper) = carry
        x = jnp.where(upper, nearest, 0)
        others = slots.clusters[:, x]
        before = slots.clusters[SIZE]
        size = jnp.where(upper, before + others[SIZE], before)

        def merged(rows, sizes):
            new = update_rows(rows[x], rows, others[SIZE], before, sizes, distance)
            return jnp.where(upper[:, None], new, rows)

        # First the rows, with columns as they were, then the columns, with rows already merged.
        distances = merged(merged(slots.distances, before).T, size)
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
