"""Whether a run is given what it takes: an algorithm and not its factory, one key, a state."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from demjax.base import Algorithm, ClientData, Task
from demjax.registry import check_made
from demjax.tasks.data_check import check_data

POSSIBLE: dict[str, tuple[Any, str]] = {
    "algorithm": (Algorithm, "an Algorithm, such as demlearn(local) makes"),
    "task": (Task, "a Task, such as classification(model, example) makes"),
    "clients": (ClientData, "a ClientData, which data.client_data(x, y, partition) makes"),
    "take_measures": (Callable, "a function, such as measure(task, clients) makes"),
}
"""The arguments of a run, their types, and the words for them."""


def check_arguments(whose: str, *, key: Any = None, **given: Any) -> None:
    """Refuse what is none of the things that a run is made of.

    Args:
        whose: What needs them, such as ``"A run"``.
        key: A run's, if it has one.
        **given: Some of ``POSSIBLE``.

    Raises:
        ValueError: One sentence: what was given and what is possible.
    """
    for name, value in given.items():
        check_made(f"{whose} needs {name} as", value, *POSSIBLE[name])
    if "task" in given:
        check_data(given["task"], given["clients"])
    if key is None:
        return
    one = "one key, such as jax.random.key(0)"
    check_made(f"{whose} needs key as", key, jax.Array | np.ndarray, one)
    new = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if key.ndim != (0 if new else 1) or not (new or key.dtype == np.uint32):
        raise ValueError(
            f"{whose} needs key as {one}, but {key.dtype} of shape {key.shape} was given."
        )


def check_state(state: Any, wanted: Any) -> None:
    """Refuse a state that no round of the algorithm can go on from.

    Args:
        state: What was given.
        wanted: What the algorithm begins with, or its shapes.

    Raises:
        ValueError: One sentence.
    """

    def form(tree: Any) -> Any:
        leaves, structure = jax.tree.flatten(tree)
        return structure, [(np.shape(leaf), getattr(leaf, "dtype", None)) for leaf in leaves]

    if form(state) != form(wanted):
        raise ValueError(
            "A run needs state as its algorithm makes it for this model and these clients, such as "
            "the state of a history, but one of another form was given."
        )
