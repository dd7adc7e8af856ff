"""What a traced program computes and moves, counted in its steps."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax


class Work(NamedTuple):
    """What a program does.

    Attributes:
        operations: Of its products and convolutions, a multiplication and an addition each.
        bytes: That these read and write, if nothing is kept from one to the next.
    """

    operations: float
    bytes: float


def work_of(program: Any, *, steps: int) -> Work:
    """Count the products of a traced program, those of loops as often as they run.

    Loops whose length is known only when they run are the batches of local training, inside of
    the loop over chunks of clients; they count ``steps`` times. Such loops outside of one, as that
    of distances which are found again where they are ill-conditioned, count once.

    Args:
        program: As ``jax.make_jaxpr`` returns it.
        steps: Batches of the largest client.
    """
    found = list(_products(program.jaxpr, 1.0, steps, False))
    return Work(sum(one.operations for one in found), sum(one.bytes for one in found))


def _products(program: Any, times: float, steps: int, inside: bool) -> Iterator[Work]:
    for step in program.eqns:
        name = step.primitive.name
        if name in ("dot_general", "conv_general_dilated"):
            operations = times * 2.0 * step.outvars[0].aval.size * _contracted(step)
            moved = sum(_bytes(each.aval) for each in (*step.invars, *step.outvars))
            yield Work(operations, times * moved)
        again = times
        if name == "scan":
            again = times * step.params["length"]
        elif name == "while":
            again = times * (steps if inside else 1)
        for inner in _programs(step):
            yield from _products(inner, again, steps, inside or name == "scan")


def _contracted(step: Any) -> int:
    """Over how many pairs of numbers each result of a product sums."""
    one, other = step.invars[0].aval, step.invars[1].aval
    if step.primitive.name == "dot_general":
        (axes, _), _ = step.params["dimension_numbers"]
        return math.prod(one.shape[axis] for axis in axes)
    kernel = step.params["dimension_numbers"].rhs_spec
    return other.size // other.shape[kernel[0]]


def _bytes(aval: Any) -> int:
    return aval.size * aval.dtype.itemsize


def _programs(step: Any) -> Iterator[Any]:
    """The programs inside of a step; of those that a condition chooses among, all."""
    for value in jax.tree.leaves(list(step.params.values())):
        inner = getattr(value, "jaxpr", value)
        if hasattr(inner, "eqns"):
            yield inner
