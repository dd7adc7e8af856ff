"""Adaptive server optimizers as federated optimization has them: no bias correction, ``v = τ²``."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from demjax.base import Params
from demjax.registry import Number

SecondMoment = Callable[[Float[Array, " ..."], Float[Array, " ..."]], Float[Array, " ..."]]
"""``(v, g²) -> v``: what is remembered of squares, of one array."""


class Moments(NamedTuple):
    """What the server remembers.

    Attributes:
        mean: ``m``, of the form of a model.
        square: ``v``, likewise.
    """

    mean: Params
    square: Params


def adaptive(
    *, lr: Number, b1: Number, adaptivity: Number, second_moment: SecondMoment
) -> optax.GradientTransformation:
    """``m ← β₁ m + (1 − β₁) g``, ``v ← second_moment(v, g²)``, ``w ← w − η m / (√v + τ)``.

    Optax's ``adam``, ``yogi`` and ``adagrad`` differ: the first two correct ``m`` and ``v`` for
    their start at 0, the last adds its constant under the root, and none begins at ``v = τ²``.

    Args:
        lr: ``η``, 0 or more.
        b1: ``β₁``, 0 to 1.
        adaptivity: ``τ``, above 0; the larger, the more alike are the steps of all parameters.
        second_moment: The rule for ``v``.

    Source: Reddi et al., ICLR 2021, arXiv 2003.00295, algorithm 2.
    """

    def init(model: Params) -> Moments:
        def filled(value):
            return jax.tree.map(lambda leaf: jnp.full(jnp.shape(leaf), value, jnp.float32), model)

        return Moments(filled(0.0), filled(adaptivity**2))

    def update(
        gradient: Params, moments: Moments, model: Params | None = None
    ) -> tuple[Params, Moments]:
        mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, moments.mean, gradient)
        square = jax.tree.map(lambda v, g: second_moment(v, g**2), moments.square, gradient)
        step = jax.tree.map(lambda m, v: -lr * m / (jnp.sqrt(v) + adaptivity), mean, square)
        return step, Moments(mean, square)

    return optax.GradientTransformation(init, update)
