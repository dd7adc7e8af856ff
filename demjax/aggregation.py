"""Means, soft update and mixing in one pass over the models, written where the old ones were."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from demjax import hierarchy as tree
from demjax.base import Hierarchy, Params, check_number
from demjax.spread import AXIS, devices_at_work

CACHED = 2**21
"""Numbers that a block of parameters holds on a CPU, in models of clients and groups together."""


def block_for_backend(models: int) -> int | None:
    """Parameters of all models worked on at a time: few on a CPU, whose caches hold them."""
    return max(512, CACHED // models) if jax.default_backend() == "cpu" else None


def average_and_mix(
    client: Params,
    group: Params,
    hierarchy: Hierarchy,
    *,
    mix: Sequence[Float[Array, ""] | float],
    soft: Float[Array, ""] | float = 1.0,
    weight: Float[Array, " N"] | Float[Array, " L N"] | None = None,
    amplification: Float[Array, ""] | float = 1.0,
    block: int | None = None,
) -> tuple[Params, Params]:
    """Average clients upwards and mix groups downwards: the second half of a round.

    The same as three functions of ``hierarchy``, one after another::

        means = group_means(client, hierarchy, weight, amplification)
        client, group = mix_down(client, soft_update(group, means, soft), hierarchy, mix)

    Each parameter's numbers depend on that parameter's alone. So on a CPU a block of them goes all
    the way before the next one starts, and is written over the old ones: no group model is made
    in fresh memory, which costs more than the sums. Devices add up what they have of a block.

    Args:
        client: One model for each client, leaves ``[N, ...]``.
        group: One model for each group, leaves ``[L, G, ...]``.
        hierarchy: Who is in which group.
        mix: ``α``, as in ``mix_down``.
        soft: ``γ``, as in ``soft_update``.
        weight: What each client counts, as in ``group_means``.
        amplification: The factor ``a`` of ``group_means``.
        block: Parameters worked on at a time, at least 1; by default ``block_for_backend``.

    Returns:
        The mixed client and group models.

    Raises:
        ValueError: If ``mix`` does not hold ``L`` numbers, or ``block`` is below 1.
    """
    check_number("Aggregation", "block", block, 1)
    count, places = hierarchy.groups.shape[1], hierarchy.size.size
    devices = devices_at_work()
    dealt = devices > 1 and count % devices == 0
    width = block or block_for_backend(places + count // (devices if dealt else 1))
    if width is None:
        means = tree.group_means(client, hierarchy, weight, amplification)
        return tree.mix_down(client, tree.soft_update(group, means, soft), hierarchy, mix)
    share = tree.mean_shares(hierarchy, weight, amplification).reshape(places, count)
    each = share.T, tree.lowest_place(hierarchy)
    shared = tree.mixing(hierarchy, mix), soft, mix[0]

    def one_device(client, bank, each, shared):
        (share, lowest), (mixed, soft, own_mix) = each, shared

        def one_block(own, bank):
            mean = jnp.matmul(share.T, own, precision=lax.Precision.HIGHEST)
            mean = lax.psum(mean, AXIS) if dealt else mean
            bank = mixed(tree.soft_update(bank, mean, soft))
            return tree.soft_update(own, bank[lowest], own_mix), bank

        new = [
            _in_blocks(one_block, own, groups, width)
            for own, groups in zip(jax.tree.leaves(client), jax.tree.leaves(bank), strict=True)
        ]
        structure = jax.tree.structure(client)
        return tuple(jax.tree.unflatten(structure, some) for some in zip(*new, strict=True))

    if dealt:
        parts, whole = PartitionSpec(AXIS), PartitionSpec()
        one_device = jax.shard_map(
            one_device,
            in_specs=(parts, whole, parts, whole),
            out_specs=(parts, whole),
            check_vma=False,
        )
    client, bank = one_device(client, tree.places_bank(group), each, shared)
    return client, jax.tree.map(lambda bank, old: bank.reshape(old.shape), bank, group)


def _in_blocks(
    function: Callable, own: Float[Array, " n ..."], bank: Float[Array, " P ..."], width: int
) -> tuple[Array, Array]:
    """Replace two arrays by ``function(own, bank)``, so many columns of both at a time."""
    shapes = own.shape, bank.shape
    own, bank = (x.reshape(x.shape[0], -1) for x in (own, bank))
    blocks = max(1, -(-own.shape[1] // width))
    width = own.shape[1] // blocks

    def replaced(now, start, width):
        found = function(*(lax.dynamic_slice_in_dim(x, start, width, axis=1) for x in now))
        return tuple(
            lax.dynamic_update_slice_in_dim(x, new, start, axis=1)
            for x, new in zip(now, found, strict=True)
        )

    now = lax.fori_loop(0, blocks, lambda i, now: replaced(now, i * width, width), (own, bank))
    if rest := own.shape[1] - blocks * width:
        now = replaced(now, blocks * width, rest)
    return tuple(x.reshape(shape) for x, shape in zip(now, shapes, strict=True))
