"""Means, soft update and mixing in one pass over the models, written where the old ones were."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, PRNGKeyArray

from demjax import hierarchy as tree
from demjax.backend import policy
from demjax.backend.blocks import fold
from demjax.backend.narrow import narrowed, readable, widened, writable
from demjax.backend.sharding import (
    AXIS,
    devices_at_work,
    with_rows_for_nobody,
    without_rows_for_nobody,
)
from demjax.base import Hierarchy, Params
from demjax.clients import participation
from demjax.hierarchy.robust_means import Average, average_of_groups
from demjax.pytrees import StackedModels, interpolate, select
from demjax.registry import check_number


def average_and_mix(
    client: Params,
    group: Params,
    hierarchy: Hierarchy,
    *,
    mix: Sequence[Float[Array, ""] | float],
    soft: Float[Array, ""] | float = 1.0,
    weight: Float[Array, " N"] | Float[Array, " L N"] | None = None,
    amplification: Float[Array, ""] | float = 1.0,
    cohort: participation.Cohort = None,
    chosen: Params | None = None,
    block: int | None = None,
) -> tuple[Params, Params]:
    """Average clients upwards and mix groups downwards: the second half of a round.

    The same as three functions, one after another:

        means = group_means(client, hierarchy, weight, amplification)
        client, group = mix_down(client, interpolate(group, means, soft), hierarchy, mix)

    Each parameter's numbers depend on that parameter's alone. So a block of them goes all the way
    before the next one starts, and is written over the old ones: no model is made in fresh memory,
    which on a CPU costs more than the sums. Devices add up what they have of a block. A number that
    is not finite spoils its parameter, of up to 128 groups in all models.

    Args:
        client, group, hierarchy, mix: As in ``mix_down``.
        soft: ``γ``, from 0 to 1: what groups take of their means.
        weight, amplification: As in ``group_means``.
        cohort: The clients that take part in groups' models, all of which count in means; by
            default everyone.
        chosen: Leaves that clients take from groups, as a pytree of plain truth values; by
            default all.
        block: Parameters worked on at a time, at least 1; by default as many as
            ``policy.parameters_averaged_at_once`` says.

    Returns:
        The mixed client and group models, in the precision of those given.

    Raises:
        ValueError: If ``mix`` does not hold ``L`` numbers, or ``block`` is below 1.

    Source: as of ``group_means`` and ``mix_down``.
    """
    check_number("Aggregation", "block", block, 1)
    count, slots = hierarchy.groups.shape[1], hierarchy.size.size
    devices = devices_at_work()
    width = block or policy.parameters_averaged_at_once(slots + -(-count // devices))
    if chosen is None:
        chosen = jax.tree.map(lambda _: True, client)
    elif isinstance(client, StackedModels):
        chosen = client.said_of(chosen)
    share = tree.mean_shares(hierarchy, weight, amplification).reshape(slots, count)
    takes = None if cohort is None else jnp.zeros(count, bool).at[cohort].set(True)
    of_clients = share.T, tree.lowest_group(hierarchy), takes
    of_all = tree.mixing(hierarchy, mix), soft, mix[0]

    def one_device(client, flat, of_clients, of_all):
        (share, lowest, takes), (down, soft, own_mix) = of_clients, of_all

        def one_block(own, flat):
            mean = jnp.matmul(share.T, own, precision=lax.Precision.HIGHEST)
            mean = lax.psum(mean, AXIS) if devices > 1 else mean
            flat = down(interpolate(flat, mean, soft))
            mixed = interpolate(own, flat[lowest], own_mix)
            return mixed if takes is None else jnp.where(takes[:, None], mixed, own), flat

        def some_columns(own, flat, is_chosen):
            mixed, flat = one_block(own, flat)
            return jnp.where(is_chosen, mixed, own), flat

        def one_array(own, flat, is_chosen):
            if jnp.ndim(is_chosen):
                return _in_blocks(some_columns, (own, flat), (is_chosen[None],), width)
            if is_chosen:
                return _in_blocks(one_block, (own, flat), (), width)
            others = _in_blocks(lambda flat, own: one_block(own, flat)[1:], (flat,), (own,), width)
            return own, *others

        arrays, structure = jax.tree.flatten(client)
        rest = jax.tree.leaves(flat), jax.tree.leaves(chosen)
        new = [one_array(*each) for each in zip(arrays, *rest, strict=True)]
        return tuple(jax.tree.unflatten(structure, some) for some in zip(*new, strict=True))

    if devices > 1:
        parts, whole = PartitionSpec(AXIS), PartitionSpec()
        given, made = (parts, whole, parts, whole), (parts, whole)
        one_device = jax.shard_map(one_device, in_specs=given, out_specs=made, check_vma=False)
        client, of_clients = jax.tree.map(with_rows_for_nobody, (client, of_clients))
    client, flat = one_device(client, tree.flat_groups(group), of_clients, of_all)
    if devices > 1:
        client = jax.tree.map(lambda leaf: without_rows_for_nobody(leaf, count), client)
    return client, jax.tree.map(lambda flat, old: flat.reshape(old.shape), flat, group)


def by_any_average(
    average: Average | None,
    client: Params,
    group: Params,
    hierarchy: Hierarchy,
    *,
    mix: Sequence[Float[Array, ""] | float] | None,
    soft: Float[Array, ""] | float = 1.0,
    weight: Float[Array, " N"] | Float[Array, " L N"],
    amplification: Float[Array, ""] | float = 1.0,
    cohort: participation.Cohort = None,
    chosen: Params | None = None,
    key: PRNGKeyArray,
) -> tuple[Params, Params]:
    """``average_and_mix`` with any average in place of the mean, or without mixing.

    Args:
        average: As in ``hierarchy.robust_means``, which is not amplified; ``None`` for the mean.
        mix: As in ``mix_down``; ``None`` for no mixing, which leaves clients as they are.
        key: The round's.
        client, group, hierarchy, soft, weight, amplification, cohort, chosen: As in
            ``average_and_mix``.
    """
    if average is None and mix is not None:
        return average_and_mix(
            client,
            group,
            hierarchy,
            mix=mix,
            soft=soft,
            weight=weight,
            amplification=amplification,
            cohort=cohort,
            chosen=chosen,
        )
    if average is None:
        means = tree.group_means(client, hierarchy, weight, amplification)
        return client, interpolate(group, means, soft)
    group = average_of_groups(average, client, group, hierarchy, weight, soft=soft, key=key)
    if mix is None:
        return client, group
    mixed, group = tree.mix_down(client, group, hierarchy, mix)
    mixed = mixed if chosen is None else select(chosen, mixed, client)
    return participation.kept(client, cohort, mixed), group


def _in_blocks(function: Callable, written: tuple, read: tuple, width: int) -> tuple:
    """Write what ``function(*written, *read)`` finds over ``written``, so many columns at a time.

    Args:
        function: ``(*blocks) -> blocks``, one for each array that is written.
        written: Arrays ``[rows, ...]`` of as many columns, rows flattened.
        read: Likewise.
        width: Most columns at a time.
    """
    shapes = [x.shape for x in written]
    written, read = (tuple(x.reshape(x.shape[0], -1) for x in some) for some in (written, read))
    dtypes = [x.dtype for x in (*written, *read)]
    columns = written[0].shape[1]
    width = -(-columns // max(1, -(-columns // width)))  # blocks of about the same size
    tile = policy.columns_in_a_tile()
    width += -width % tile if columns % tile == 0 else 0

    def one_block(now, start, new):
        parts = [lax.dynamic_slice_in_dim(x, start, width, axis=1) for x in (*now, *read)]
        old = [readable(x, dtype) for x, dtype in zip(parts, dtypes, strict=True)]
        found = function(*map(widened, old))

        def put(x, was, new_ones):
            made = narrowed(new_ones, was.dtype).astype(was.dtype)
            made = writable(jnp.where(new, made, was))
            return lax.dynamic_update_slice_in_dim(x, made, start, axis=1)

        return tuple(put(*each) for each in zip(now, old[: len(now)], found, strict=True))

    now = tuple(map(writable, written))
    now = fold(columns, width, one_block, now) if columns else now
    return tuple(
        readable(x, dtype).reshape(shape)
        for x, dtype, shape in zip(now, dtypes, shapes, strict=False)
    )
