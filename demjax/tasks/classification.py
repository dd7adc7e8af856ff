"""What one client learns: the loss and the score of one model on examples."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Num, PRNGKeyArray

from demjax.base import Params, Task


def classification(
    model: nn.Module,
    example: Num[Array, " *shape"],
    *,
    compute: DTypeLike = jnp.float32,
    inputs: Callable[[Num[Array, " B *shape"]], Float[Array, " B *shape"]] | None = None,
) -> Task:
    """Classification by a Flax module, trained on the mean cross-entropy.

    ``loss = Σ_b weight_b · (log Σ_c exp z_bc − z_b,y_b) / Σ_b weight_b``, with logits ``z``.

    Args:
        model: A module called as ``model(x[B, ...], train=bool) -> logits[B, classes]``; it may
            use the random stream ``"dropout"`` when ``train`` is true.
        example: One input, for its shape.
        compute: Numbers that the module computes with; with ``jnp.bfloat16`` parameters, their
            gradients, and all after the logits stay in single precision.
        inputs: What is done to inputs before the module sees them, such as a
            ``data.Normalization`` of bytes; by default nothing.

    Returns:
        The task; its score is 1 where the largest logit is the label's, 0 elsewhere.
    """

    def init(key: PRNGKeyArray) -> Params:
        return model.init(key, jnp.asarray(example, jnp.float32)[None], train=False)["params"]

    def logits_of(params, x, **options):
        x = x if inputs is None else inputs(x)
        # The gradient of a conversion is converted back, so that updates are not rounded.
        params, x = jax.tree.map(lambda leaf: leaf.astype(compute), (params, x))
        return jnp.asarray(model.apply({"params": params}, x, **options), jnp.float32)

    def loss(
        params: Params,
        x: Float[Array, " B *shape"],
        y: Int[Array, " B"],
        weight: Float[Array, " B"],
        key: PRNGKeyArray,
    ) -> Float[Array, ""]:
        logits = logits_of(params, x, train=True, rngs={"dropout": key})
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
        return jnp.sum(weight * losses) / jnp.maximum(jnp.sum(weight), 1.0)

    def score(
        params: Params, x: Float[Array, " B *shape"], y: Int[Array, " B"]
    ) -> Float[Array, " B"]:
        logits = logits_of(params, x, train=False)
        # A model that holds NaN answers nothing right; argmax alone would call it label 0.
        finite = jnp.isfinite(logits).all(axis=-1)
        return ((jnp.argmax(logits, axis=-1) == y) & finite).astype(jnp.float32)

    return Task(init=init, loss=loss, score=score)
