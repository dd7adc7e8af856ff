"""What of a model clients keep to themselves, such as its head, and what they share.

What is kept are whole leaves, said by plain truth values of one model's form.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from demjax.base import ClientData, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.models.depth import layers_in_order, layers_of
from demjax.models.layers import chosen_layers, layer_paths
from demjax.pytrees import as_pytree, one_of, select, stack_copies


class SharingInfo(NamedTuple):
    """What one may want to see of a round in which some layers travel and others do not.

    Attributes:
        loss: Mean training loss of each client in its last epoch; NaN outside the cohort.
        bytes_up: Bytes that clients send.
        bytes_down: Bytes that they are sent.
    """

    loss: Float[Array, " N"]
    bytes_up: Float[Array, ""]
    bytes_down: Float[Array, ""]


def head_of(
    whose: str,
    local: LocalTraining,
    models: Params,
    clients: ClientData,
    names: Sequence[str],
    last: int = 1,
    whole: bool = False,
) -> Params:
    """The leaves of a model's head, the last of its layers, as plain truth values.

    Args:
        whose: Who asks, for sentences.
        local: How clients train, which knows how a model predicts.
        models: Stacked models; shapes alone will do.
        clients: All data, for the form of an input.
        names: Layers that are the head, as in ``chosen_layers``; none for the last ones.
        last: How many layers are the head then, at least 1.
        whole: Whether these may be all there are.

    Raises:
        ValueError: If there is no such layer, or none beside the head.
    """
    model = one_of(models)
    if len(names):
        return chosen_layers(model, names)
    called = sorted({"/".join(layer) for layer in layers_of(model)})
    if "" in called or local.predict is None:
        why = "there are arrays in no layer" if "" in called else "the task has no predict"
        raise ValueError(
            f"{whose} cannot tell the last layer of this model, for {why}; possible is head_layers "
            f"of some of {_paths(model)}."
        )
    one = jax.ShapeDtypeStruct((1, *clients.x.shape[1:]), clients.x.dtype)
    layers = list(layers_in_order(local.predict, model, one).values())
    least = last if whole else last + 1
    if len(layers) < least:
        raise ValueError(
            f"{whose} needs a model of at least {least} layers, the last {last} of them its head, "
            f"but this one has {len(layers)} ({', '.join(called)})."
        )
    head = {leaf for layer in layers[-last:] for leaf in layer}
    leaves, form = jax.tree.flatten(model)
    return jax.tree.unflatten(form, [number in head for number in range(len(leaves))])


def normalization_of(whose: str, local: LocalTraining, models: Params) -> Params:
    """The leaves of a model's batch normalization, as plain truth values.

    They are all leaves, parameters and statistics, of the layers that hold statistics.

    Args:
        whose: Who asks, for sentences.
        local: How clients train, which knows what is state.
        models: Stacked models; shapes alone will do.

    Raises:
        ValueError: If there are none, or no others.
    """
    model = one_of(models)
    state = [] if local.state is None else jax.tree.leaves(local.state(model))
    layers = layers_of(model)
    holding = {layer for layer, is_state in zip(layers, state, strict=False) if is_state}
    found = [layer in holding for layer in layers]
    if not any(found) or all(found):
        raise ValueError(
            f"{whose} needs a model of layers with batch normalization and others without, but "
            f"this one has {'nothing else' if any(found) else 'none'} "
            f"({', '.join(sorted({'/'.join(layer) for layer in layers}))}); possible is a model "
            "such as cnn with batch_norm."
        )
    return jax.tree.unflatten(jax.tree.structure(model), found)


def all_but(leaves: Params) -> Params:
    """The truth values of all other leaves."""
    return jax.tree.map(lambda yes: not yes, leaves)


def sent_but(
    local: LocalTraining,
    own: Params,
    model: Params,
    kept: Params,
    cohort: participation.Cohort = None,
) -> Params:
    """Client models once a cohort was sent a model, all of it but what clients keep as their own.

    Args:
        local: How clients train, which says what else is theirs alone.
        own: What clients hold, leaves ``[N, ...]``.
        model: What is sent, a plain pytree.
        kept: Leaves that clients keep.
        cohort: Whom it is sent; by default everyone.
    """
    given = local.begin(own, stack_copies(model, own.count))
    return participation.kept(own, cohort, select(kept, own, given))


def sharing_info(loss: Float[Array, " N"], models: Params, kept: Params) -> SharingInfo:
    """What a round tells in which all leaves but those kept travel, once up and once down."""
    shapes = jax.tree.leaves(as_pytree(one_of(models)))
    bytes_ = sum(
        leaf.size * np.dtype(leaf.dtype).itemsize
        for leaf, own in zip(shapes, jax.tree.leaves(kept), strict=True)
        if not own
    )
    total = jnp.sum(~jnp.isnan(loss)).astype(jnp.float32) * bytes_
    return SharingInfo(loss, total, total)


def _paths(model: Params) -> str:
    return ", ".join(jax.tree.leaves(layer_paths(model)))
