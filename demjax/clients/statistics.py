"""State beside parameters, such as batch statistics: averaged, kept by each client, or recomputed.

Ioffe and Szegedy, arXiv 1502.03167 (batch normalization); Li et al., *FedBN*, arXiv 2102.07623
(statistics that clients keep); Wu and Johnson, *Rethinking "Batch" in BatchNorm*, arXiv 2105.07576
(statistics recomputed from examples).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, PRNGKeyArray

from demjax import keys
from demjax.base import Params, Task
from demjax.clients.step import Batch
from demjax.pytrees import as_pytree, select

CHOICES = ("average", "local", "recompute")
"""What becomes of state when a client starts from somebody else's model."""


def check_statistics(task: Task, statistics: str) -> None:
    """Refuse an unknown choice, and one for a task without state."""
    if statistics not in CHOICES:
        raise ValueError(
            f"Local training needs statistics to be one of {', '.join(CHOICES)}, but "
            f"{statistics!r} was given."
        )
    if task.state is None and statistics != "average":
        raise ValueError(
            f"Statistics can be {statistics!r} only for a model that has batch statistics or other "
            "state beside its parameters, and this one has none."
        )


def begin_with(task: Task, statistics: str, own: Params, given: Params) -> Params:
    """The models that were given, with each client's own state where clients keep theirs.

    Args:
        task: Says which leaves are state.
        statistics: One of ``CHOICES``.
        own: Each client's own model, leaves ``[N, ...]``.
        given: The model of another that each starts from, or takes on, leaves ``[N, ...]``.
    """
    if task.state is None or statistics != "local":
        return given
    return select(task.state(as_pytree(own)), own, given)


def recomputed(
    task: Task,
    batch_of: Callable[[Int[Array, ""], PRNGKeyArray], Batch],
    batches: Int[Array, ""],
    key: PRNGKeyArray,
    model: Params,
) -> Params:
    """A model whose running statistics are the means over batches of what each batch has.

    Training mode takes ``state ← m · state + (1 − m) · batch``, whatever the momentum ``m`` is:
    from a state of 0 it shows ``(1 − m) · batch``, from one of 1 also ``m``, and so the batch's
    own statistics. Their mean is weighted by the batches' examples. State that a batch does not
    move, or that is not floating point, stays.

    Args:
        task: With ``state`` and ``loss_with_state``.
        batch_of: A batch of the client's training examples, by its number.
        batches: How many there are; those past the client's last have no examples.
        key: The client's randomness in this.
        model: The model, whose parameters stay.
    """
    if task.state is None or task.loss_with_state is None:
        return model
    leaves, form = jax.tree.flatten(model)
    state = jax.tree.leaves(task.state(model))
    moving = [
        number
        for number, leaf in enumerate(leaves)
        if state[number] and jnp.issubdtype(leaf.dtype, jnp.floating)
    ]

    def with_state(found):
        new = dict(zip(moving, found, strict=True))
        return jax.tree.unflatten(form, [new.get(n, leaf) for n, leaf in enumerate(leaves)])

    def seen_from(value, batch):
        start = with_state([jnp.full_like(leaves[number], value) for number in moving])
        after = jax.tree.leaves(task.loss_with_state(start, *batch[:-1])[1])
        return [after[number] for number in moving]

    def add(number, carry):
        batch = batch_of(number, keys.for_part(key, number))
        count = jnp.sum(batch.weight)
        sums, total = carry
        zeros, ones = seen_from(0.0, batch), seen_from(1.0, batch)
        shares = [1.0 - (one - zero) for zero, one in zip(zeros, ones, strict=True)]
        now = [
            jnp.where(share > 0, zero / jnp.where(share > 0, share, 1.0), leaves[n])
            for n, zero, share in zip(moving, zeros, shares, strict=True)
        ]
        # A batch past the client's last may hold anything.
        added = [
            jnp.where(count > 0, old + count * new, old) for old, new in zip(sums, now, strict=True)
        ]
        return added, total + count

    nothing = [jnp.zeros_like(leaves[number]) for number in moving]
    sums, total = lax.fori_loop(0, batches, add, (nothing, jnp.float32(0)))
    return with_state([found / jnp.maximum(total, 1.0) for found in sums])
