"""Regression: squared errors of targets that are numbers, not labels."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Num

from demjax.base import Task
from demjax.tasks.supervised import supervised


def regression(
    model: Any,
    example: Num[Array, " *shape"],
    *,
    compute: DTypeLike = jnp.float32,
    inputs: Callable[[Num[Array, " B *shape"]], Float[Array, " B *shape"]] | None = None,
) -> Task:
    """Regression by a model that gives numbers, trained on the mean squared error.

    ``loss = Σ_b weight_b · e_b / Σ_b weight_b`` with ``e_b = Σ_d (z_bd − y_bd)² / D``, with outputs
    ``z``.

    Args:
        model: As in ``models.adapters.network``; it gives as many outputs as there are targets,
            ``[B, D]``, for a single target also ``[B]``.
        example: One input, for its shape.
        compute: Numbers that the model computes with, as in ``classification``.
        inputs: What is done to inputs before the model sees them; by default nothing.

    Returns:
        The task; its score is the squared error of each example, so that every measure is a mean
        squared error: **the lower the better**. Its targets are ``[T]`` or ``[T, D]``.

    Raises:
        ValueError: One sentence: at once, if the model is of no known kind; when it is traced, if
            it does not give as many outputs as there are targets.
    """
    return supervised(
        model,
        example,
        losses=squared_errors,
        scores=squared_errors,
        score_name="mean squared error",
        compute=compute,
        inputs=inputs,
    )


def squared_errors(
    outputs: Float[Array, " B *out"], y: Num[Array, " B *target"]
) -> Float[Array, " B"]:
    """The mean over an example's outputs of their squared distances from its targets.

    Raises:
        ValueError: One sentence, if there are not as many outputs as targets.
    """
    if outputs.size != y.size:
        raise ValueError(
            "A regression needs a model of as many outputs as an example has targets, but outputs "
            f"of shape {outputs.shape} were given for targets of shape {y.shape}."
        )
    error = jnp.square(outputs.reshape(y.shape) - y)
    return jnp.mean(error.reshape(error.shape[0], -1), axis=1)
