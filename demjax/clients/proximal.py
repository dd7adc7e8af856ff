"""Proximal terms: what draws a client's model towards others while it trains."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from demjax.base import Params
from demjax.pytrees import as_pytree, select, stack_copies


class ProximalTerm(NamedTuple):
    """A proximal term for each client, ``½ Σ_j weight[n, j] ‖w − anchors[which[n, j]]‖²``.

    Anchors are stacked models that clients point into, so that many clients who share an anchor
    cost one copy of it.

    Attributes:
        anchors: Stacked models, leaves ``[A, ...]``.
        which: Anchors of each client, as rows of the stacked models.
        weight: Strength towards each of them, 0 or more.
        chosen: Leaves that the term is of, as a pytree of plain truth values; by default all.
    """

    anchors: Params
    which: Int[Array, " N J"]
    weight: Float[Array, " N J"]
    chosen: Params | None = None


def near(model: Params, clients: int, strength: Float[Array, ""] | float) -> ProximalTerm:
    """The term that keeps every client near one model, ``½ μ ‖w − model‖²``.

    Args:
        model: The model, a plain pytree.
        clients: Number of clients, ``N``.
        strength: ``μ``, 0 or more.
    """
    return ProximalTerm(
        anchors=stack_copies(model, 1, exact=True),
        which=jnp.zeros((clients, 1), jnp.int32),
        weight=jnp.full((clients, 1), strength, jnp.float32),
    )


def towards(term: ProximalTerm, client: Int[Array, ""]) -> tuple[Float[Array, ""], Params]:
    """Total strength of a client's term, and its anchors' sum weighted by their strengths.

    The gradient ``Σ_j weight_j (w − anchor_j)`` is then ``total · w − sum``.
    """
    which, weight = term.which.at[client].get(mode="clip"), term.weight.at[client].get(mode="clip")

    # Written as a sum, not a product: accelerators round the factors of a product by default.
    def weighted_sum(anchors):
        return jnp.sum(weight.reshape(-1, *[1] * (anchors.ndim - 1)) * anchors[which], axis=0)

    return jnp.sum(weight), as_pytree(jax.tree.map(weighted_sum, term.anchors))


def add_gradient(
    gradient: Params,
    model: Params,
    strength_and_target: tuple[Float[Array, ""], Params],
    chosen: Params | None,
) -> Params:
    """A client's gradient with that of its proximal term, ``total · w − sum``, on chosen leaves."""
    strength, target = strength_and_target
    added = jax.tree.map(lambda g, w, t: g + strength * w - t, gradient, model, target)
    return added if chosen is None else select(chosen, added, gradient)
