"""Which layers of a model come last, told by its computation: names and their order say nothing.

Flax numbers modules as they are made, so that the output layer of ``Dense(3)(Dense(9)(x))`` is
called ``Dense_0``.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Jaxpr, Literal, Var

from demjax.base import Params

Layer = tuple[str, ...]
Found = tuple[frozenset[int], bool]
"""What a value is made of: leaves that have not met an input yet, and whether an input is in it."""


def layers_in_order(predict: Callable[..., Any], model: Params, x: Any) -> dict[Layer, list[int]]:
    """The layers of a model in the order in which inputs meet them, each with its leaves.

    A layer is what holds arrays: of ``Block_0/Dense_0/kernel`` it is ``Block_0/Dense_0``, whatever
    collection it stands in. An input meets a leaf in the first operation of both; a layer whose
    last leaf it meets last is the last one. Leaves that it never meets come first.

    Args:
        predict: ``(model, x) -> outputs``.
        model: One model; shapes alone will do.
        x: Inputs of a batch, likewise.

    Returns:
        For each layer, by its path, the numbers of its leaves in ``jax.tree.leaves``; arrays in no
        module are a layer of the empty path.
    """
    traced = jax.make_jaxpr(predict)(model, x)
    count = len(jax.tree.leaves(model))
    made: list[Found] = [(frozenset([leaf]), False) for leaf in range(count)]
    met: dict[int, int] = {}
    _follow(traced.jaxpr, [*made, *[(frozenset(), True)] * len(jax.tree.leaves(x))], met)
    layers: dict[Layer, list[int]] = {}
    for leaf, layer in enumerate(layers_of(model)):
        layers.setdefault(layer, []).append(leaf)
    last_met = {layer: max(met.get(leaf, -1) for leaf in own) for layer, own in layers.items()}
    return {layer: layers[layer] for layer in sorted(layers, key=last_met.__getitem__)}


def layers_of(model: Params) -> list[Layer]:
    """The layer of each leaf, in the order of ``jax.tree.leaves``."""
    paths = [tuple(map(_word, path)) for path, _ in jax.tree.leaves_with_path(model)]
    collections = 1 if any(path[0] == "params" for path in paths) else 0
    return [path[collections:-1] for path in paths]


def _follow(jaxpr: Jaxpr, made: list[Found], met: dict[int, int]) -> list[Found]:
    """Go through a program, noting when each leaf is met; what its results are made of."""
    nothing: Found = (frozenset(), False)
    known: dict[Var, Found] = dict(zip(jaxpr.invars, made, strict=True))

    def of(value: Var | Literal) -> Found:
        return nothing if isinstance(value, Literal) else known.get(value, nothing)

    for equation in jaxpr.eqns:
        given = [of(value) for value in equation.invars]
        inner = _inside(equation)
        if inner is not None and len(inner.invars) == len(given):
            results = _follow(inner, given, met)
        else:
            leaves = frozenset().union(*(own for own, _ in given))
            with_input = any(there for _, there in given)
            for leaf in leaves if with_input else ():
                met.setdefault(leaf, len(met))
            results = [(frozenset() if with_input else leaves, with_input)] * len(equation.outvars)
        known |= dict(zip(equation.outvars, results, strict=True))
    return [of(value) for value in jaxpr.outvars]


def _inside(equation: Any) -> Jaxpr | None:
    """The program that an operation calls with its own arguments, if it does no more than that."""
    if equation.primitive.name in ("scan", "while", "cond"):
        return None
    inner = next(
        (equation.params[name] for name in ("jaxpr", "call_jaxpr") if name in equation.params), None
    )
    return getattr(inner, "jaxpr", inner)


def _word(key: Any) -> str:
    return str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))))
