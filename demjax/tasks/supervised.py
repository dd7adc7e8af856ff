"""What all tasks share that learn outputs from examples: a network, its loss, and its scores."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Num

from demjax.arrays import on_device
from demjax.base import ClientData, Task
from demjax.models.adapters import network, unrounded
from demjax.tasks.data_check import check_shapes


def supervised(
    model: Any,
    example: Num[Array, " *shape"],
    *,
    losses: Callable[[Float[Array, " B *out"], Num[Array, " B *target"]], Float[Array, " B"]],
    scores: Callable[[Float[Array, " B *out"], Num[Array, " B *target"]], Float[Array, " B"]],
    score_name: str,
    compute: DTypeLike = jnp.float32,
    inputs: Callable[[Num[Array, " B *shape"]], Float[Array, " B *shape"]] | None = None,
    check_outputs: Callable[[tuple[int, ...], ClientData], None] | None = None,
) -> Task:
    """A task made of a model and of what its outputs are worth.

    ``loss = Σ_b weight_b · losses(outputs, y)_b / Σ_b weight_b``.

    Args:
        model: As in ``models.adapters.network``.
        example: One input, for its shape.
        losses: The loss of each example, of outputs in training mode.
        scores: The score of each example, of outputs in evaluation mode.
        score_name: What the mean score is called.
        compute: Numbers that the model computes with; parameters, their gradients, state, and all
            after the outputs stay in single precision.
        inputs: What is done to inputs before the model sees them; by default nothing. Whole
            numbers but bytes then reach the model as they are, never rounded by ``compute``.
        check_outputs: ``(shape of the outputs, clients) -> None``: what the data must be besides
            of shapes that fit.

    Raises:
        ValueError: One sentence, if the model is of no known kind.
    """
    example = on_device(example, "The example")
    net = network(model, example if inputs is None else example.astype(jnp.float32))
    is_state = net.state or partial(jax.tree.map, lambda leaf: False)

    def seen(params, x):
        x = x if inputs is None else inputs(x)
        # The gradient of a conversion is converted back, so that updates are not rounded.
        cast = jax.tree.map(
            lambda s, leaf: leaf if s else leaf.astype(compute), is_state(params), params
        )
        return cast, unrounded(x, compute)

    def loss_with_state(params, x, y, weight, key):
        cast, x = seen(params, x)
        return mean_loss(params, *net.train(cast, x, key), y, weight)

    def loss_with_features(params, x, y, weight, key):
        cast, x = seen(params, x)
        outputs, after, features = net.train_with_features(cast, x, key)
        features = jnp.asarray(features, jnp.float32).reshape(features.shape[0], -1)
        return *mean_loss(params, outputs, after, y, weight), features

    def mean_loss(params, outputs, after, y, weight):
        each = losses(jnp.asarray(outputs, jnp.float32), y)
        loss = jnp.sum(weight * each) / jnp.maximum(jnp.sum(weight), 1.0)
        kept = jax.tree.map(
            lambda s, new, old: new.astype(old.dtype) if s else old, is_state(params), after, params
        )
        return loss, kept

    def loss(params, x, y, weight, key):
        return loss_with_state(params, x, y, weight, key)[0]

    def raw(params, x):
        return net.predict(*seen(params, x))

    def predict(params, x):
        return jnp.asarray(raw(params, x), jnp.float32)

    def score(params, x, y):
        return scores(predict(params, x), y)

    def check(clients):
        outputs = check_shapes(net.init, raw, losses, example, clients)
        if check_outputs is not None:
            check_outputs(outputs, clients)

    return Task(
        init=net.init,
        loss=loss,
        score=score,
        score_name=score_name,
        state=net.state,
        loss_with_state=None if net.state is None else loss_with_state,
        check=check,
        predict=predict,
        losses=losses,
        loss_with_features=None if net.train_with_features is None else loss_with_features,
    )
