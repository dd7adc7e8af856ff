"""A sample of test examples and of clients to measure, drawn once for a run."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int, PRNGKeyArray

from demjax import keys
from demjax.registry import check_whole

PARTS = 32
"""Parts of a sample whose differences tell its standard error, which is then known to 13 %."""


class Sample(NamedTuple):
    """Which test examples and clients are measured.

    Attributes:
        example: Indices into ``ClientData.x`` of the test examples, in blocks; an example is of the
            part that its place modulo ``R`` says.
        owner: The client that each belongs to; ``N`` marks padding.
        tests: Test examples of each client in each part; there is one part where all are measured.
        clients: The clients that are measured; ``None`` for all.
        counts: By ``"examples"`` and ``"clients"`` how many are measured and how many there are;
            without those that are not sampled.
    """

    example: Int[np.ndarray, " blocks block"]
    owner: Int[np.ndarray, " blocks block"]
    tests: Int[np.ndarray, " R N"]
    clients: Int[np.ndarray, " A"] | None
    counts: dict[str, tuple[int, int]]

    @property
    def examples_left_out(self) -> float:
        """The share of the test examples that are not measured."""
        return _left_out(self.counts.get("examples"))

    @property
    def clients_left_out(self) -> float:
        """The share of the clients that are not measured."""
        return _left_out(self.counts.get("clients"))


def _left_out(count: tuple[int, int] | None) -> float:
    return 0.0 if count is None else 1 - count[0] / count[1]


def draw(
    example: Int[np.ndarray, " T"],
    owner: Int[np.ndarray, " T"],
    clients: int,
    *,
    measure_examples: int | None,
    measure_clients: int | None,
    key: PRNGKeyArray | None,
    block: int,
) -> Sample | None:
    """Draw test examples and clients, each with the same chance and none twice.

    Args:
        example: Everybody's test examples.
        owner: The client of each.
        clients: How many clients there are.
        measure_examples: How many test examples to measure, at least 2; ``None`` for all.
        measure_clients: How many clients to measure, at least 2; ``None`` for all.
        key: The key of the run; by default that of seed 0.
        block: Most examples of a block, unless that is below the number of parts.

    Returns:
        The sample; ``None`` where that is everything.

    Raises:
        ValueError: If fewer than 2 are asked for, or the key is traced.
    """
    counts: dict[str, tuple[int, int]] = {}
    for name, asked, there in (
        ("examples", measure_examples, len(example)),
        ("clients", measure_clients, clients),
    ):
        if asked is not None:
            check_whole("A measurement", f"measure_{name}", asked, 2)
            counts |= {name: (int(asked), there)} if asked < there else {}
    if not counts:
        return None
    if isinstance(key, jax.core.Tracer):
        raise ValueError(
            "A sample is drawn before a program is traced, but a traced key was given; possible is "
            "to call demjax.measure outside of it."
        )
    with jax.ensure_compile_time_eval():
        of_examples, of_clients = keys.for_measures(jax.random.key(0) if key is None else key)
        # In an order drawn at random, so that parts of it are random, too.
        shuffled = np.asarray(jax.random.permutation(of_examples, len(example)))
        who = np.asarray(jax.random.permutation(of_clients, clients))
    chosen = who[: counts["clients"][0]] if "clients" in counts else None
    order, parts = np.arange(len(example)), 1
    if "examples" in counts:
        order = shuffled[: counts["examples"][0]]
        parts = min(PARTS, len(order))
    tests = np.zeros((parts, clients), np.int32)
    np.add.at(tests, (np.arange(len(order)) % parts, owner[order]), 1)
    block = max(min(block, len(order)) // parts, 1) * parts
    shape, missing = (-(-len(order) // block), block), -len(order) % block
    return Sample(
        np.pad(example[order], (0, missing)).reshape(shape),
        np.pad(owner[order], (0, missing), constant_values=clients).reshape(shape),
        tests,
        chosen,
        counts,
    )
