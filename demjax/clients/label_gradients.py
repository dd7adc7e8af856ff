"""Mean gradients of each label that clients have, all at one model that they share."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num, PRNGKeyArray

from demjax import keys
from demjax.base import ClientData, Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clients.own_layers import head_of
from demjax.models.layers import chosen_layers
from demjax.pytrees import select, stack_copies


class LabelGradients(NamedTuple):
    """What clients learn from the examples of each label.

    Attributes:
        mean: Mean gradient of a client's examples of a label, as a count sketch where there are
            more parameters than buckets; 0 where the client has none.
        counts: How many examples that are.
        square: Sum over these of the gradients' squared lengths.
    """

    mean: Float[Array, " N C D"]
    counts: Float[Array, " N C"]
    square: Float[Array, " N C"]


def label_gradients_at(
    local: LocalTraining,
    key: PRNGKeyArray,
    model: Params,
    clients: ClientData,
    cohort: participation.Cohort = None,
    *,
    layers: tuple[str, ...] = (),
    all_layers: bool = False,
    buckets: int,
    strata: int,
    folds: int = 1,
) -> LabelGradients:
    """Gradients of each client's training examples at one model, averaged label by label.

    ``g_nc = 1/m_nc Σ_{i of n, y_i = c} ∇ loss(w; x_i, y_i)``, each example by itself and in
    evaluation mode, without dropout and with the batch statistics that the model has. A forward
    pass over all examples, and backwards as deep as the layers are.

    Args:
        local: How clients train; of it the batches, predictions and losses are used.
        key: The round's.
        model: ``w``, a plain pytree.
        clients: Everybody's data.
        cohort: Whose gradients are asked for; those of all others are 0, of 0 examples.
        layers: Layers whose gradients they are, as in ``chosen_layers``; none for the last one.
        all_layers: Whether none stands for all of them.
        buckets: Numbers that stand for a gradient, best a prime number.
        strata: Parts of equal size that targets are ordered into where they are no labels.
        folds: Parts at random that a client's examples are seen in, each with labels of its own:
            label ``c`` of part ``f`` is number ``c F + f``.

    Raises:
        ValueError: If the task has neither predictions nor losses, or there is no such layer.
    """
    if local.predict is None or local.losses is None:
        raise ValueError(
            "Label gradients need a task that tells predictions and the losses of examples, but "
            "this one does not; possible are the features updates or weights."
        )
    predict, losses = local.predict, local.losses
    whole = chosen_leaves(local, model, clients, layers, all_layers)
    label_of, labels = labelling(local, model, clients, strata)
    width, signs = sketch_form(model, whole, buckets)

    def loss(part, x, y):
        return losses(predict(select(whole, part, model), x[None]), y[None])[0]

    def one(x, y):
        part = jax.tree.map(lambda yes, w: w if yes else jnp.zeros(()), whole, model)
        slope = jax.tree.leaves(select(whole, jax.grad(loss)(part, x, y), part))
        chosen = [g for g, yes in zip(slope, jax.tree.leaves(whole), strict=True) if yes]
        flat = jnp.concatenate([g.reshape(-1).astype(jnp.float32) for g in chosen])
        return sketched(flat, signs, width)

    def step(sums, batch, slope):
        mean, count, square = sums
        each = jax.vmap(one)(batch.x, batch.y)
        label = label_of(batch.y)
        if folds > 1:
            label = label * folds + jax.random.randint(batch.key, label.shape, 0, folds)
        hot = jax.nn.one_hot(label, labels * folds) * batch.weight[:, None]
        lengths = jnp.sum(each**2, axis=1)
        highest = jax.lax.Precision.HIGHEST
        sums = (
            mean + jnp.matmul(hot.T, each, precision=highest),
            count + jnp.sum(hot, axis=0),
            square + jnp.matmul(hot.T, lengths, precision=highest),
        )
        return sums, jnp.zeros(())

    n = clients.n_clients
    nothing = tuple(jnp.zeros((n, labels * folds, *more)) for more in ((width,), (), ()))
    (total, count, square), _ = cast(Any, local.steps)(
        key, nothing, clients, step, cohort=cohort, epochs=1
    )
    return LabelGradients(total / jnp.maximum(count, 1.0)[..., None], count, square)


def chosen_leaves(
    local: LocalTraining,
    model: Params,
    clients: ClientData,
    layers: tuple[str, ...],
    all_layers: bool = False,
) -> Params:
    """The leaves of some layers, by default of the last, as plain truth values; none is state."""
    if layers or all_layers:
        chosen = chosen_layers(model, layers)
    else:
        shapes = jax.eval_shape(lambda model: stack_copies(model, 1), model)
        chosen = head_of("The feature label_gradients", local, shapes, clients, (), whole=True)
    if local.state is None:
        return chosen
    return jax.tree.map(lambda yes, state: yes and not state, chosen, local.state(model))


def labelling(
    local: LocalTraining, model: Params, clients: ClientData, strata: int
) -> tuple[Callable[[Num[Array, " B *target"]], Int[Array, " B"]], int]:
    """Which label examples have, and how many labels there are.

    Whole numbers are labels where a model has an output for each. Other targets are ordered, by
    their mean where one has several numbers, and cut into strata of equal size.
    """
    assert local.predict is not None
    example = jax.ShapeDtypeStruct((1, *clients.x.shape[1:]), clients.x.dtype)
    outputs = jax.eval_shape(local.predict, model, example)
    if clients.y.ndim == 1 and jnp.issubdtype(clients.y.dtype, jnp.integer) and outputs.ndim == 2:
        return lambda y: y.astype(jnp.int32), outputs.shape[1]

    def number(y):
        return jnp.mean(y.reshape(y.shape[0], -1).astype(jnp.float32), axis=1)

    edges = jnp.quantile(number(clients.y), jnp.arange(1, strata) / strata)
    return lambda y: jnp.searchsorted(edges, number(y), side="right").astype(jnp.int32), strata


def sketch_form(
    model: Params, whole: Params, buckets: int
) -> tuple[int, Float[Array, " P"] | None]:
    """The width of a sketched gradient, and the signs of its parameters; ``None`` for as it is."""
    pairs = zip(jax.tree.leaves(model), jax.tree.leaves(whole), strict=True)
    parameters = sum(leaf.size for leaf, yes in pairs if yes)
    if parameters <= buckets:
        return parameters, None
    bits = jax.random.bits(keys.for_sketch(0), (parameters,), jnp.uint8)
    return buckets, jnp.where(bits & 1, 1.0, -1.0)


def sketched(
    gradient: Float[Array, " P"], signs: Float[Array, " P"] | None, width: int
) -> Float[Array, " D"]:
    """The count sketch ``y_b = Σ_{p mod D = b} s_p g_p`` of one gradient."""
    if signs is None:
        return gradient
    padded = jnp.pad(gradient * signs, (0, -gradient.size % width))
    return jnp.sum(padded.reshape(-1, width), axis=0)
