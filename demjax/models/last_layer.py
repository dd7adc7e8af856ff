"""The last dense layer of a Flax Linen module: what it is given, while the module is called."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import flax.linen as nn
import jax
from jaxtyping import Array

from demjax.base import Params

Layers = list[tuple[tuple[str, ...], Array]]
"""Path and inputs of each dense layer, in the order in which they were called."""


@contextmanager
def inputs_of_dense_layers(found: Layers) -> Iterator[None]:
    """Note what dense layers are given, of all modules that are called inside.

    Args:
        found: Where it is noted.
    """

    def note(call: Callable, arguments: Any, options: Any, context: Any) -> Any:
        dense = isinstance(context.module, nn.Dense | nn.DenseGeneral)
        if dense and context.method_name == "__call__" and arguments:
            found.append((context.module.path, arguments[0]))
        return call(*arguments, **options)

    with nn.intercept_methods(note):
        yield


def has_others(parameters: Params, path: tuple[str, ...]) -> bool:
    """Whether a module has parameters beside those of the layer at a path."""
    layer: Any = parameters
    for name in path:
        layer = layer[name]
    return len(jax.tree.leaves(parameters)) > len(jax.tree.leaves(layer))
