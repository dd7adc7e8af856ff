"""Measures beside the task's score: made of numbers of each example, registered or one's own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from demjax.base import ClientData, Task
from demjax.registry import METRICS, accepts, call


class Metric(NamedTuple):
    """What is measured beside the score.

    Attributes:
        each: ``(outputs[B, ...], y[B, ...]) -> float[B]`` or ``float[B, K]``: numbers of each test
            example, of a model's outputs in evaluation mode, ``Task.predict``.
        value: ``(means) -> scalar``: what the means of these numbers over test examples,
            ``float[]`` or ``float[K]``, make; by default the mean itself.
    """

    each: Callable[..., Float[Array, " B *K"]]
    value: Callable[..., Float[Array, ""]] | None = None


class Checked(NamedTuple):
    """A measure whose shapes are known: ``each`` gives ``[B, K]``, ``value`` takes ``[K]``."""

    each: Callable[..., Float[Array, " B K"]]
    value: Callable[[Float[Array, " K"]], Float[Array, ""]]
    width: int


Given = str | Metric | Callable[..., Any]
"""A measure: a registered name or ``path/to/mine.py:name``, a ``Metric``, or its ``each`` alone."""


def chosen(extra: str | Sequence[str] | Mapping[str, Given]) -> dict[str, Given]:
    """Measures by the names of their columns.

    Raises:
        ValueError: If a name cannot be that of a column, or is there twice.
    """
    if not isinstance(extra, Mapping):
        words = [extra] if isinstance(extra, str) else list(extra)
        named = [(str(word).rpartition(":")[2], word) for word in words]
        extra = dict(named)
        if len(extra) < len(named):
            raise ValueError(f"Extra measures need different names, but {words} was given.")
    for name in extra:
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(
                f"An extra measure needs a name of letters, digits and '_', but {name!r} was given."
            )
    return dict(extra)


def checked_extra(
    extra: str | Sequence[str] | Mapping[str, Given], task: Task, clients: ClientData
) -> dict[str, Checked]:
    """Extra measures as ``measure`` takes them, their shapes looked at.

    Raises:
        ValueError: One sentence: an unknown name, a task without outputs, or wrong shapes.
    """
    return {name: _checked(name, given, task, clients) for name, given in chosen(extra).items()}


def _checked(name: str, given: Given, task: Task, clients: ClientData) -> Checked:
    metric = _made(given, task)
    if task.predict is None:
        raise ValueError(
            f"The extra measure {name!r} is of a model's outputs, but the task has no predict; "
            "possible is a task that has, such as classification or regression makes."
        )
    if not isinstance(metric, Metric):
        raise ValueError(
            f"The extra measure {name!r} needs a function (outputs, y) -> float[B], a Metric or a "
            f"name of {', '.join(METRICS)}, but {type(metric).__name__} was given."
        )
    x, y = (jax.ShapeDtypeStruct((2, *z.shape[1:]), z.dtype) for z in (clients.x, clients.y))
    outputs = jax.eval_shape(task.predict, jax.eval_shape(task.init, jax.random.key(0)), x)
    found = makes = np.shape(jax.eval_shape(metric.each, outputs, y))
    if metric.value is not None:
        means = jax.ShapeDtypeStruct(found[1:], jnp.float32)
        makes = (2, *np.shape(jax.eval_shape(metric.value, means)))
    if found[:1] != (2,) or len(found) > 2 or makes != (2,):
        raise ValueError(
            f"The extra measure {name!r} needs one number of each example, float[B], or float[B, "
            f"K] and a function value of their means to one number, but for 2 examples it makes "
            f"numbers of shape {found}, and of their means {makes[1:]}."
        )
    one = len(found) == 1

    def wide(outputs, y):
        made = jnp.asarray(metric.each(outputs, y), jnp.float32)
        return made[:, None] if one else made

    def value(means):
        mine = means[0] if one else means
        return mine if metric.value is None else jnp.asarray(metric.value(mine), jnp.float32)

    return Checked(wide, value, 1 if one else found[1])


def _made(given: Given, task: Task) -> Any:
    if isinstance(given, str):
        choice = METRICS.find(given)
        own = accepts(choice.make, "outputs")  # a file's function that is the measure itself
        given = choice.make if own else call(choice, METRICS, {}, task=task)
    return Metric(given) if callable(given) and not isinstance(given, Metric) else given
