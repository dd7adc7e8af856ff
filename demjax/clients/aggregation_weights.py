"""Weights of aggregation that a client learns, parameter by parameter, for ``LocalTraining.steps``.

Zhang et al., *FedALA*, arXiv 2212.01197.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from demjax.base import Params
from demjax.clients.step import ClientStep
from demjax.registry import Number


def weight_learning(
    leaves: Sequence[int], rate: Number, sampled: Number
) -> tuple[ClientStep, tuple[Callable, Callable]]:
    """What of a model clients take on in some leaves: a step that learns it, and the model.

    The state of a client is ``(given, own, weights, size, seen)``: the model it was given, its
    own, ``W`` for each of the leaves, its number of examples, and how many of them it saw in the
    present epoch. A step is ``W ← W − rate · ∇f(v̂) (given − own)``, kept within 0 and 1, at
    ``v̂ = own + W (given − own)`` in these leaves, what was given in all others; products are
    parameter by parameter. At last ``v̂`` takes the place of what was given.

    Args:
        leaves: Numbers of the leaves, as ``jax.tree.leaves`` counts them.
        rate: 0 or more.
        sampled: Percent of a client's examples that each epoch learns from, 0 to 100, rounded
            down.

    Returns:
        The step, and what ``steps`` needs ``around`` it.
    """

    def mixed(given: Params, own: Params, weights: Sequence[Any], *_: Any) -> Params:
        new, form = jax.tree.flatten(given)
        mine = jax.tree.leaves(own)
        for number, share in zip(leaves, weights, strict=True):
            new[number] = mine[number] + share * (new[number] - mine[number])
        return jax.tree.unflatten(form, new)

    def step(state, batch, slope):
        given, own, weights, size, seen = state
        place = seen + jnp.arange(batch.weight.shape[0])
        # 80 percent of 5 may be rounded to a little less than 4
        among = place < jnp.floor(size * sampled / 100 + 1e-3)
        loss, gradient, _ = slope(mixed(*state), batch._replace(weight=batch.weight * among))
        parts = [
            [jax.tree.leaves(tree)[number] for number in leaves] for tree in (gradient, given, own)
        ]
        weights = [
            jnp.clip(share - rate * slope_ * (w - v), 0.0, 1.0)
            for share, slope_, w, v in zip(weights, *parts, strict=True)
        ]
        seen = seen + jnp.sum(batch.weight).astype(seen.dtype)
        return (given, own, weights, size, jnp.where(seen < size, seen, 0)), loss

    return step, (lambda state: state, lambda state: (mixed(*state), *state[1:]))
