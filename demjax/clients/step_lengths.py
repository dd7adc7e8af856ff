"""How far an optimizer goes in a number of steps, in its own units: what normalizes local work."""

from typing import Any, cast

import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int

from demjax.registry import Number


def way_of_steps(
    optimizer: optax.GradientTransformation | None, steps: Int[Array, " N"], prox: Number = 0.0
) -> Float[Array, " N"]:
    """How far a single parameter goes in so many steps whose gradient is always 1.

    A linear optimizer moves a model by ``η Σ_k a_k g_k``, and this is ``η ‖a‖₁``. With ``τ`` steps
    it is ``η τ`` for plain SGD; ``η Σ_{k<τ} (1 − ρ^{τ−k}) / (1 − ρ)`` with momentum ``ρ``; and
    ``η Σ_{k<τ} (1 − η μ)^k`` with a proximal term.

    Args:
        optimizer: The local optimizer.
        steps: How many steps, of each client; 0 for none.
        prox: ``μ``, the strength of a proximal term towards where they start.

    Source: Wang et al., NeurIPS 2020, arXiv 2007.07481, section 4.
    """
    optimizer = cast(optax.GradientTransformation, optimizer)
    start = {"weight": jnp.zeros(1)}

    def one_step(number: Int[Array, ""], carry: Any) -> Any:
        place, memory, found = carry
        gradient = {"weight": 1.0 + prox * place["weight"]}
        updates, memory = optimizer.update(gradient, memory, place)
        place = optax.apply_updates(place, updates)
        return place, memory, jnp.where(steps == number + 1, -place["weight"][0], found)

    begin = start, optimizer.init(start), jnp.zeros(steps.shape)
    return lax.fori_loop(0, jnp.max(steps), one_step, begin)[2]
