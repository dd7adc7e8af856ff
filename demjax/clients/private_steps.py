"""Private steps: gradients of single examples are clipped, and noise is added to their sum.

Abadi et al., *Deep Learning with Differential Privacy*, CCS 2016, arXiv 1607.00133 (DP-SGD).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from demjax import keys
from demjax.base import Params, Task
from demjax.clients.step import Added, Batch
from demjax.registry import Number, check_number


class Private(NamedTuple):
    """What is clipped, and how much noise is added.

    Attributes:
        clip: ``C``, the longest that a gradient, or an update, is.
        noise: ``z``, the noise multiplier: the noise on a sum has the standard deviation ``z C``.
    """

    clip: Number
    noise: Number


def private(clip: Number, noise: Number) -> Private:
    """Clipping and noise, checked.

    Args:
        clip: ``C``, above 0.
        noise: ``z``, 0 or more; 0 clips alone, and nothing is private.

    Raises:
        ValueError: If a number is out of its range.
    """
    check_number("Privacy", "a clip", clip, 1e-30)
    check_number("Privacy", "noise", noise, 0)
    return Private(clip, noise)


def check_private(task: Task) -> None:
    """Refuse a model whose outputs for one example follow from others'.

    Raises:
        ValueError: If it has batch statistics or other state.
    """
    if task.state is not None:
        raise ValueError(
            "Private training needs a model without batch statistics or other state, which is made "
            "of all examples at once and carries no noise; possible is a model without batch "
            "normalization."
        )


def private_gradient(
    how: Private,
    task: Task,
    added: Added,
    model: Params,
    batch: Batch,
    of_features: Callable | None = None,
) -> tuple[Float[Array, ""], Params, Params]:
    """As ``loss_and_gradient``, private: ``(Σ_i min(1, C / ‖g_i‖) g_i + z C ξ) / m``.

    ``g_i`` is the gradient of one of the batch's ``m`` examples, ``ξ ~ N(0, I)``. A gradient that
    is not finite counts as 0. The loss is the batch's as it is: it is told, but is not private.

    Raises:
        ValueError: If there is an extra loss, whose gradient would be neither clipped nor noised.
    """
    if added.extra_loss is not None or of_features is not None:
        raise ValueError(
            "Private training has gradients of the task's loss alone, but the algorithm adds a "
            "loss of its own; possible is an algorithm without one."
        )

    def of_one(x, y):
        return jax.value_and_grad(task.loss)(model, x[None], y[None], jnp.ones(1), batch.key)

    losses, slopes = jax.vmap(of_one)(batch.x, batch.y)
    leaves, form = jax.tree.flatten(slopes)
    squares = [jnp.sum(jnp.square(leaf).reshape(leaf.shape[0], -1), axis=1) for leaf in leaves]
    length = jnp.sqrt(sum(squares))
    sound = jnp.isfinite(length)
    share = jnp.where(
        sound, batch.weight * jnp.minimum(1, how.clip / jnp.maximum(length, 1e-30)), 0
    )
    count, own = jnp.maximum(jnp.sum(batch.weight), 1), keys.for_noise(batch.key)

    def noised(number, leaf):
        wide = sound.reshape(-1, *[1] * (leaf.ndim - 1))
        total = jnp.tensordot(share, jnp.where(wide, leaf, 0), axes=1)
        drawn = jax.random.normal(keys.for_part(own, number), total.shape, total.dtype)
        return (total + how.noise * how.clip * drawn) / count

    gradient = jax.tree.unflatten(form, [noised(n, leaf) for n, leaf in enumerate(leaves)])
    return jnp.sum(batch.weight * losses) / count, gradient, model
