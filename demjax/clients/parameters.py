"""What of a model is parameters, beside its state such as batch statistics."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from demjax.base import Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.pytrees import as_pytree, model_bytes, select


def parameters_alone(local: LocalTraining, models: Params) -> Params:
    """Models, stacked or one, with 0 in the place of state; as they are if there is none."""
    if local.state is None:
        return models
    state = local.state(as_pytree(models))
    return select(state, jax.tree.map(jnp.zeros_like, models), models)


def state_from(local: LocalTraining, model: Params, mean: Params) -> Params:
    """One model's parameters with the state of another, which a server averages but never steps."""
    return model if local.state is None else select(local.state(model), mean, model)


def parameter_bytes(local: LocalTraining, models: Params) -> int:
    """Bytes of one of the stacked models without its state."""
    whole = model_bytes(models)
    if local.state is None:
        return whole
    leaves = jax.tree.leaves(as_pytree(models))
    kept = jax.tree.leaves(local.state(as_pytree(models)))
    state = [leaf[0] for leaf, is_state in zip(leaves, kept, strict=True) if is_state]
    return whole - sum(leaf.size * leaf.dtype.itemsize for leaf in state)


def taking_part(clients: int, cohort: participation.Cohort) -> Float[Array, ""]:
    """How many clients a cohort has."""
    return jnp.sum(participation.numbers(clients, cohort) < clients).astype(jnp.float32)
