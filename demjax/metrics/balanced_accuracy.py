"""Accuracy in which every class counts alike."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from demjax.metrics.extra import Metric
from demjax.registry import METRICS
from demjax.tasks.classification import right


@METRICS.register(label="Balanced accuracy")
def balanced_accuracy() -> Metric:
    """Mean over the classes of the share of their test examples that are predicted right.

    ``Σ_c (right_c / n_c) / C`` over those ``C`` classes that occur in the test data looked at.

    Source: Brodersen et al., The balanced accuracy and its posterior distribution, ICPR 2010.
    """

    def each(outputs: Float[Array, " B C"], y: Int[Array, " B"]) -> Float[Array, " B K"]:
        of_class = jax.nn.one_hot(y, outputs.shape[-1])
        return jnp.concatenate([of_class * right(outputs, y)[:, None], of_class], axis=1)

    def value(means: Float[Array, " K"]) -> Float[Array, ""]:
        right_, there = jnp.split(means, 2)
        recall = jnp.where(there > 0, right_ / jnp.where(there > 0, there, 1), 0)
        return jnp.sum(recall) / jnp.sum(there > 0)

    return Metric(each, value)
