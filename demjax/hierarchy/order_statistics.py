"""Of each parameter the members in the middle: one sort for all groups."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int

from demjax.base import Params


def middle(
    models: Params,
    there: Bool[Array, " A N"],
    cut: Callable[[Int[Array, ""]], Int[Array, ""]],
) -> Params:
    """The mean of each parameter without the smallest and the largest members.

    All members of a row count alike. Parameters are sorted once over all models, and a row takes
    from that order those that are its members.

    Args:
        models: Finite models of ``N`` rows.
        there: Whether each of them is in each group.
        cut: ``(members) -> f``: how many are left out at either end, less than half of them.

    Returns:
        Models of ``A`` rows; 0 for a row without members.
    """

    def of_array(leaf):
        order = jnp.argsort(leaf, axis=0)
        ordered = jnp.take_along_axis(leaf, order, axis=0)

        def of_row(there):
            members = jnp.sum(there)
            out = cut(members)

            def mean():
                inside = there[order]
                rank = jnp.cumsum(inside, axis=0)
                taken = inside & (rank > out) & (rank <= members - out)
                total = jnp.sum(jnp.where(taken, ordered, 0), axis=0)
                return total / jnp.maximum(members - 2 * out, 1)

            return lax.cond(members > 0, mean, lambda: jnp.zeros_like(leaf[0]))

        return lax.map(of_row, there)

    return jax.tree.map(of_array, models)
