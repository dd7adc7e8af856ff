"""Classification: cross-entropy while training, accuracy when scored."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Num

from demjax.base import Task
from demjax.tasks.data_check import check_labels
from demjax.tasks.supervised import supervised


def classification(
    model: Any,
    example: Num[Array, " *shape"],
    *,
    compute: DTypeLike = jnp.float32,
    inputs: Callable[[Num[Array, " B *shape"]], Float[Array, " B *shape"]] | None = None,
) -> Task:
    """Classification by a model that gives logits, trained on the mean cross-entropy.

    ``loss = Σ_b weight_b · (log Σ_c exp z_bc − z_b,y_b) / Σ_b weight_b``, with logits ``z``.

    Args:
        model: A Flax module called as ``model(x[B, ...], train=bool) -> logits[B, classes]``, which
            may use the random stream ``"dropout"`` when ``train`` is true; or any other kind of
            ``models.adapters.network``.
        example: One input, for its shape.
        compute: Numbers that the module computes with; with ``jnp.bfloat16`` parameters, their
            gradients, and all after the logits stay in single precision.
        inputs: What is done to inputs before the module sees them, such as a
            ``data.Normalization`` of bytes; by default nothing. Whole numbers but bytes, such as
            the numbers of words, then stay whole whatever ``compute`` is.

    Returns:
        The task; its score is 1 where the largest logit is the label's, 0 elsewhere.

    Raises:
        ValueError: One sentence: at once, if the model is of no known kind; before a run, if it
            cannot take the inputs, or has no output for a label; when it is traced, if labels are
            not whole numbers.
    """
    return supervised(
        model,
        example,
        losses=cross_entropy,
        scores=right,
        score_name="accuracy",
        compute=compute,
        inputs=inputs,
        check_outputs=check_labels,
    )


def cross_entropy(logits: Float[Array, " B classes"], y: Int[Array, " B"]) -> Float[Array, " B"]:
    """The cross-entropy of each example, ``log Σ_c exp z_c − z_y``.

    Raises:
        ValueError: One sentence, if the labels are not whole numbers.
    """
    if not jnp.issubdtype(y.dtype, jnp.integer):
        raise ValueError(
            f"Classification needs labels that are whole numbers, but {y.dtype} was given; targets "
            "that are floating point are for regression."
        )
    if logits.ndim != y.ndim + 1:
        raise ValueError(
            "Classification needs a model of logits [B, classes], but its outputs are of shape "
            f"{logits.shape} for labels of shape {y.shape}."
        )
    return optax.softmax_cross_entropy_with_integer_labels(logits, y)


def right(logits: Float[Array, " B classes"], y: Int[Array, " B"]) -> Float[Array, " B"]:
    """1 where the largest logit is the label's, else 0.

    A model that holds NaN predicts nothing right; argmax alone would call it label 0.
    """
    finite = jnp.isfinite(logits).all(axis=-1)
    return ((jnp.argmax(logits, axis=-1) == y) & finite).astype(jnp.float32)
