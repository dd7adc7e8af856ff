"""Whether a model can answer the clients' data: shapes, types and labels, looked at once."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num

from demjax.base import ClientData, Params, Task

_FEW = 2
"""Examples in a batch whose shapes are looked at: a model may drop an axis of one."""


def check_data(task: Task, clients: ClientData) -> None:
    """Refuse data that a task cannot learn from, before anything is compiled.

    Raises:
        ValueError: One sentence: what is wrong, and what is possible.
    """
    if task.check is not None:
        task.check(clients)


def check_shapes(
    init: Callable[..., Params],
    predict: Callable[[Params, Array], Array],
    losses: Callable[..., Array],
    example: Num[Array, " *shape"],
    clients: ClientData,
) -> tuple[int, ...]:
    """The shape of the outputs for a few of the clients' examples, from shapes alone.

    Args:
        init: ``(key) -> model``.
        predict: ``(model, x[B, ...]) -> outputs``.
        losses: ``(outputs, y) -> float[B]``, which refuses what it cannot compare.
        example: The input that the model was made for.
        clients: Everybody's data.

    Raises:
        ValueError: If the model cannot take the inputs, or the loss not its outputs and the labels.
    """
    x, y = (jax.ShapeDtypeStruct((_FEW, *z.shape[1:]), z.dtype) for z in (clients.x, clients.y))
    model = jax.eval_shape(init, jax.random.key(0))
    try:
        outputs = jax.eval_shape(predict, model, x)
    except Exception as error:  # models are of many kinds, and so are their errors
        reason = (str(error).splitlines() or [type(error).__name__])[0].split(" (http")[0]
        raise ValueError(
            f"The model was made for inputs of shape {example.shape}, and cannot take the "
            f"clients' inputs of shape {x.shape[1:]} and type {x.dtype} ({reason.rstrip('.')})."
        ) from error
    jax.eval_shape(losses, jax.ShapeDtypeStruct(outputs.shape, jnp.float32), y)
    return outputs.shape


def check_labels(outputs: tuple[int, ...], clients: ClientData) -> None:
    """Refuse labels that a classifier has no output for; traced ones cannot be looked at.

    Raises:
        ValueError: One sentence that names the label and its example.
    """
    if isinstance(clients.y, jax.core.Tracer):
        return
    y, classes = np.asarray(clients.y), outputs[-1]
    wrong = (y < 0) | (y >= classes)
    if wrong.any():
        label = y[wrong.argmax()]
        possible = "labels from 0 on" if label < 0 else f"a model of {y.max() + 1} outputs"
        raise ValueError(
            f"The model has {classes} outputs, for the labels 0 to {classes - 1}, but the label of "
            f"example {wrong.argmax()} of the clients' data is {label}; possible is {possible}, or "
            "what demjax.data.encode_labels makes of these."
        )
