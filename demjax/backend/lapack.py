"""Functions of one matrix that LAPACK computes on a CPU: never a batch of them.

jaxlib before 0.11.2 deals a batch of LAPACK calls out to XLA's threads, from one of them, which
then waits. Where devices are a CPU's cores the other threads may be waiting for an all-reduce with
this device, or for a batch of their own, and the program stands still for ever.
"""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array

from demjax.backend.policy import takes_matrices_one_by_one


def matrix_by_matrix(function: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """The same function, of which ``vmap`` makes a loop on a CPU."""
    alone = jax.custom_batching.sequential_vmap(function)

    def of_matrix(matrix: Array) -> Any:
        return alone(matrix) if takes_matrices_one_by_one() else function(matrix)

    return of_matrix
