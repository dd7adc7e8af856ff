"""A representation that clients share along a tree, under heads of their own."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PRNGKeyArray

from demjax import keys
from demjax.base import ClientData, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clients.own_layers import all_but, head_of
from demjax.clients.proximal import ProximalTerm
from demjax.models.depth import layers_in_order, layers_of
from demjax.models.layers import chosen_layers
from demjax.pytrees import one_of, select


class Parts(NamedTuple):
    """The parts of a model, each as plain truth values of its leaves.

    Attributes:
        head: What clients keep.
        body: The representation.
        reached: What of it each level mixes: the clients', then the groups' from the lowest.
    """

    head: Params
    body: Params
    reached: list[Params]


def parts_of(
    whose: str,
    local: LocalTraining,
    models: Params,
    clients: ClientData,
    head_layers: Sequence[str],
    group_layers: Sequence[str],
    levels: int,
) -> Parts:
    """Clients mix the representation, the lowest groups its first layers, all others nothing.

    Args:
        whose, local, models, clients: As in ``head_of``.
        head_layers: Layers that are the head; none for the last one.
        group_layers: What the lowest groups mix; none for all but the last of the representation.
        levels: Levels under the root, ``K``.

    Raises:
        ValueError: As ``head_of``, and if there is no layer of a name.
    """
    head = head_of(whose, local, models, clients, head_layers)
    body, nothing = all_but(head), jax.tree.map(lambda _: False, head)
    lower = layers_before(local, models, clients, head, group_layers)
    return Parts(head, body, [body, lower, *[nothing] * levels][: levels + 1])


def trained_by_parts(
    local: LocalTraining,
    key: PRNGKeyArray,
    start: Params,
    clients: ClientData,
    parts: Parts,
    proximal: ProximalTerm,
    *,
    head_epochs: int,
    gradients: bool,
    cohort: participation.Cohort,
) -> tuple[Any, ...]:
    """Local training of heads alone, and then of representations alone, near their anchors.

    Returns:
        As of ``local.train``, of the second.
    """
    options = {"cohort": cohort, "trained": parts.head, "epochs": head_epochs}
    ready, _ = local.train(key, start, clients, **options)
    second, proximal = keys.for_second_stage(key), proximal._replace(chosen=parts.body)
    return local.train(second, ready, clients, proximal, gradients, cohort, trained=parts.body)


def zeroed(leaves: Params, when: Bool[Array, ""], models: Params) -> Params:
    """Stacked models with some leaves 0, where that is so; distances then are those of the rest."""
    others = select(leaves, jax.tree.map(jnp.zeros_like, models), models)
    return jax.tree.map(lambda some, all_: jnp.where(when, some, all_), others, models)


def layers_before(
    local: LocalTraining, models: Params, clients: ClientData, head: Params, names: Sequence[str]
) -> Params:
    """The leaves of the layers before the last one of a representation, as plain truth values.

    Args:
        local, models, clients: As in ``head_of``.
        head: What ``head_of`` says.
        names: These layers, as in ``chosen_layers``; none for all before the last that is in no
            head. Of a model whose layers have no order, these are none.

    Raises:
        ValueError: If there is no such layer.
    """
    model = one_of(models)
    leaves, form = jax.tree.flatten(head)
    if len(names):
        chosen = jax.tree.leaves(chosen_layers(model, names))
        return jax.tree.unflatten(
            form, [yes and not own for yes, own in zip(chosen, leaves, strict=True)]
        )
    if local.predict is None or () in layers_of(model):
        return jax.tree.unflatten(form, [False] * len(leaves))
    one = jax.ShapeDtypeStruct((1, *clients.x.shape[1:]), clients.x.dtype)
    layers = layers_in_order(local.predict, model, one).values()
    body = [layer for layer in layers if not all(leaves[number] for number in layer)]
    before = {number for layer in body[:-1] for number in layer if not leaves[number]}
    return jax.tree.unflatten(form, [number in before for number in range(len(leaves))])
