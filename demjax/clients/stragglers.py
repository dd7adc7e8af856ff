"""Stragglers: clients that make fewer local steps in some rounds than they should."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax import keys
from demjax.registry import Number, check_number

Stragglers = Callable[[PRNGKeyArray, Int[Array, ""]], Float[Array, ""]]
"""``(key of the round, number of a client) -> share``: what of its steps it makes, 0 to 1."""


def stragglers(rate: Number, least: Number = 0.0) -> Stragglers:
    """Some clients, drawn anew in each round, stop early, anywhere in their local training.

    With chance ``p`` a client makes the share ``a + (1 − a) u`` of its steps, ``u`` uniform in 0
    to 1, rounded up and at least one; otherwise all.

    Args:
        rate: ``p``, 0 to 1.
        least: ``a``, 0 to 1: what even the slowest makes.

    Raises:
        ValueError: If a number is out of its range.

    Source: after Li et al., *FedProx*, arXiv 1812.06127, section 5.2 (clients that make a random
    part of their epochs).
    """
    check_number("Straggling", "rate", rate, 0, 1)
    check_number("Straggling", "least", least, 0, 1)

    def share(key: PRNGKeyArray, client: Int[Array, ""]) -> Float[Array, ""]:
        own = keys.for_client(keys.for_stragglers(keys.for_faults(key)), client)
        late, part = jax.random.uniform(own, (2,))
        return jnp.where(late < rate, least + (1 - least) * part, 1.0)

    return share
