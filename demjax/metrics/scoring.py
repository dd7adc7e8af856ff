"""Everybody's test examples, and a model's answers to them in parts that caches hold."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Num

from demjax.backend import policy
from demjax.base import ClientData, Params


def pooled_test_data(
    clients: ClientData, block: int = 512
) -> tuple[Int[np.ndarray, " blocks block"], Int[np.ndarray, " blocks block"]]:
    """Gather all clients' test examples in one row, padded to whole blocks of even size.

    Args:
        clients: Everybody's data; concrete arrays, not traced ones.
        block: Most examples of a block, at least 1.

    Returns:
        Indices into ``ClientData.x``, and the client that each belongs to; ``N`` marks padding.

    Raises:
        ValueError: If no client has a test example, ``block`` is below 1, or the data are traced.
    """
    if block < 1:
        raise ValueError(f"A block of test examples needs at least 1, but {block} was given.")
    if isinstance(clients.test, jax.core.Tracer):
        raise ValueError(
            "What is measured has to be known before a program is traced, but clients were given "
            "inside of sweep, jit or vmap; possible is take = demjax.measure(task, clients) "
            "outside, and simulate(…, take_measures=take) inside."
        )
    test, size = np.asarray(clients.test), np.asarray(clients.test_size)
    real = np.arange(test.shape[1]) < size[:, None]
    if not real.any():
        raise ValueError(
            "The measures need test examples, but no client has any; possible is a partition that "
            "gives them some, such as natural with all examples as train_count where the test part "
            "is of other owners."
        )
    example, owner = test[real], np.nonzero(real)[0]
    blocks = -(-example.size // block)
    block = -(-example.size // blocks)
    padding = blocks * block - example.size
    example = np.pad(example, (0, padding)).astype(np.int32)
    owner = np.pad(owner, (0, padding), constant_values=clients.n_clients).astype(np.int32)
    return example.reshape(-1, block), owner.reshape(-1, block)


def scores(
    score: Callable[..., Float[Array, " B"]],
    params: Params,
    x: Num[Array, " B *shape"],
    y: Int[Array, " B"],
    *,
    models: int = 1,
) -> Float[Array, " B"]:
    """A model's scores, of so many examples at a time that no array on the way is too large.

    Arrays that fewer examples would not make smaller, such as weights in another precision, do not
    count.

    Args:
        score: A task's, ``(params, x[B, ...], y[B]) -> scores[B]``, of each example for itself.
        params: One model.
        x: Inputs.
        y: Labels.
        models: How many models are scored side by side, under ``vmap``.
    """
    count = y.shape[0]
    largest, fixed = (
        max(_array_bytes(_steps_of(score, params, x[:some], y[:some])), default=1)
        for some in (count, 1)
    )
    most = policy.largest_scoring_array() // models
    parts = min(count, -(-largest // max(most, 1))) if largest > fixed else 1
    if parts <= 1:
        return score(params, x, y)
    some = -(-count // parts)

    def in_parts(leaf):
        leaf = jnp.pad(leaf, [(0, parts * some - count), *[(0, 0)] * (leaf.ndim - 1)])
        return leaf.reshape(parts, some, *leaf.shape[1:])

    found = lax.map(lambda part: score(params, *part), (in_parts(x), in_parts(y)))
    return found.reshape(-1)[:count]


def models_at_once(
    score: Callable[..., Float[Array, " B"]],
    params: Params,
    x: Num[Array, " B *shape"],
    y: Int[Array, " B"],
) -> int:
    """How many models are best scored side by side, by what they are made of.

    Args:
        score: As in ``scores``.
        params: One model, or its shapes.
        x: Inputs, or their shapes.
        y: Labels, likewise.

    Returns:
        The number, at least 1.
    """
    steps = _steps_of(score, params, x, y)
    convolved = any(step.primitive is lax.conv_general_dilated_p for step in steps)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
    return policy.models_scored_at_once(parameters, convolved=convolved)


def _steps_of(score: Callable, *arguments: Any) -> Iterator[Any]:
    """All steps of a function as it is traced, those inside its calls too."""
    return _steps(jax.make_jaxpr(score)(*arguments).jaxpr)


def _steps(program: Any) -> Iterator[Any]:
    for step in program.eqns:
        yield step
        # JAX's own function for this, jaxprs_in_params, is newer than the oldest JAX we run with.
        for inner in jax.tree.leaves(list(step.params.values())):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from _steps(inner)


def _array_bytes(steps: Iterator[Any]) -> Iterator[int]:
    """The sizes of all arrays that steps make."""
    for step in steps:
        for made in step.outvars:
            yield made.aval.size * made.aval.dtype.itemsize
