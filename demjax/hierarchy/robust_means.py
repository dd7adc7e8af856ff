"""Means that can be replaced: by a robust one, clipped, or with noise, by any algorithm.

An average is a function ``(models, weight, *, reference, key) -> models``. In the place of the
weighted mean a robust one may stand, and a wrapper may clip what clients send or add noise.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from demjax import keys
from demjax.base import ClientData, Hierarchy, Params
from demjax.clients import participation
from demjax.hierarchy.groups import flat_groups, membership
from demjax.hierarchy.means import mean_of_all
from demjax.pytrees import StackedModels, as_pytree, combine, exactly, interpolate, like
from demjax.registry import check_number

Average = Callable[..., StackedModels]
"""``(models of N, weight[A, N], *, reference of A, key) -> models of A``: one mean for each row.

The weight is what each client counts, 0 or more, 0 where it is not in it; rows need not sum to 1.
The reference is what the means replace, such as the global model that clients started from, and the
key is the average's own in this round. Models and reference are in single precision, however they
are stored. Averages that need neither reference nor key take them all the same, as ``**context``.
Of a row of zeros anything comes out; whoever calls leaves it out.
"""


def weighted_mean(models: Params, weight: Float[Array, " A N"], **context: Any) -> Params:
    """The default: ``w_a = Σ_n v_an w_n / Σ_n v_an``."""
    total = jnp.maximum(jnp.sum(weight, axis=-1, keepdims=True), 1e-30)
    return combine(models, weight / total)


def clipped(average: Average, norm: Float[Array, ""] | float) -> Average:
    """An average of models none of which is further than a norm from what they replace.

    ``w_n ← r_a + min(1, C / ‖w_n − r_a‖) (w_n − r_a)`` before row ``a`` is averaged; rows are gone
    through one after another. What is not finite stays so.

    Args:
        average: What averages them then.
        norm: ``C``, above 0.

    Raises:
        ValueError: If the norm is not above 0.

    Source: McMahan et al., arXiv 1710.06963 (per-client clipping of updates).
    """
    check_number("Clipping", "norm", norm, 1e-30)

    def clip(models, weight, *, reference, key):
        def one_row(row):
            number, weight, reference = row
            update = jax.tree.map(lambda w, r: w - r, models, reference)
            squares = [
                jnp.sum(jnp.square(leaf).reshape(leaf.shape[0], -1), axis=1)
                for leaf in jax.tree.leaves(update)
            ]
            length = jnp.sqrt(sum(squares))
            share = jnp.minimum(1.0, norm / jnp.maximum(length, 1e-30))
            nearer = jax.tree.map(
                lambda u, r: r + share.reshape(-1, *[1] * (u.ndim - 1)) * u, update, reference
            )
            whole = jax.tree.map(lambda leaf: leaf[None], reference)
            own = keys.for_part(key, number)
            mean = average(nearer, weight[None], reference=whole, key=own)
            return jax.tree.map(lambda leaf: leaf[0], mean)

        return lax.map(one_row, (jnp.arange(weight.shape[0]), weight, reference))

    return clip


def noised(average: Average, std: Float[Array, ""] | float) -> Average:
    """An average with Gaussian noise on every parameter, ``w_a + σ z`` with ``z ~ N(0, 1)``.

    Args:
        average: What is noised.
        std: ``σ``, 0 or more, of the mean itself.

    Raises:
        ValueError: If the deviation is negative.

    Source: McMahan et al., arXiv 1710.06963 (the Gaussian mechanism on averages).
    """
    check_number("Noise", "std", std, 0)

    def add_noise(models, weight, *, reference, key):
        mean = average(models, weight, reference=reference, key=keys.for_part(key, 0))
        leaves, form = jax.tree.flatten(mean)
        of_leaves = keys.for_part(key, 1)
        drawn = [
            leaf + std * jax.random.normal(keys.for_part(of_leaves, n), leaf.shape, leaf.dtype)
            for n, leaf in enumerate(leaves)
        ]
        return jax.tree.unflatten(form, drawn)

    return add_noise


def check_not_amplified(average: Average | None, amplification: Float[Array, ""] | float) -> None:
    """Refuse to amplify any average but the default mean."""
    plain = isinstance(amplification, int | float) and amplification == 1
    if average is not None and not plain:
        raise ValueError(
            "Only the default mean of groups can be amplified: with another average, "
            f"amplification must be 1, but {amplification} was given."
        )


def mean_by_examples(
    models: Params,
    clients: ClientData,
    cohort: participation.Cohort,
    *,
    average: Average | None,
    reference: Params,
    key: PRNGKeyArray,
) -> Params:
    """One model of a round's cohort, ``Σ_n m_n w_n / Σ_n m_n`` with ``m_n`` training examples.

    It is a plain pytree; the key of an average is no client's.

    Args:
        models: One model for each client, leaves ``[N, ...]``.
        clients: Everybody's data.
        cohort: Whose models count.
        average: What takes the place of the mean; ``None`` for the mean.
        reference: The single model that is replaced.
        key: The round's.
    """
    examples = participation.counted(clients.train_size.astype(jnp.float32), cohort)
    sent = participation.rows(models, cohort)
    return mean_by_weight(sent, examples, average=average, reference=reference, key=key)


def mean_by_weight(
    models: Params,
    weight: Float[Array, " c"],
    *,
    average: Average | None,
    reference: Params,
    key: PRNGKeyArray,
) -> Params:
    """One model of some, ``Σ_n v_n w_n / Σ_n v_n``, a plain pytree.

    Args:
        models: Models that were sent, leaves ``[c, ...]``.
        weight: ``v``, 0 in the place of nobody.
        average: What takes the place of the mean; ``None`` for the mean.
        reference: The single model that is replaced.
        key: The round's.
    """
    if average is None:
        return mean_of_all(models, weight)
    one = like(models, jax.tree.map(lambda leaf: leaf[None], reference), exact=True)
    mean = average(exactly(models), weight[None], reference=one, key=keys.for_noise(key))
    return jax.tree.map(lambda leaf: leaf[0], as_pytree(mean))


def average_of_groups(
    average: Average,
    client: Params,
    group: Params,
    hierarchy: Hierarchy,
    weight: Float[Array, " N"] | Float[Array, " L N"],
    *,
    soft: Float[Array, ""] | float = 1.0,
    key: PRNGKeyArray,
) -> Params:
    """Every group's model by an average of one's own; ``(1 − γ) w_g + γ average``.

    Args:
        average: What averages.
        client: One model for each client, leaves ``[N, ...]``.
        group: The groups' models before, leaves ``[L, G, ...]``.
        hierarchy: Who is in which group.
        weight: What each client counts, 0 or more, on all levels or on each.
        soft: ``γ``, from 0 to 1.
        key: The round's.

    Returns:
        The groups' models, leaves ``[L, G, ...]``; empty slots average to 0.
    """
    slots = hierarchy.size.size
    weight = jnp.asarray(weight, jnp.float32)
    counts = membership(hierarchy) * (weight if weight.ndim < 2 else weight[:, None, :])
    counts = counts.reshape(slots, -1)
    flat = exactly(flat_groups(group))
    means = average(exactly(client), counts, reference=flat, key=keys.for_noise(key))
    exists = jnp.any(counts > 0, axis=1)

    def there(leaf, old):
        wide = exists.reshape(-1, *[1] * (leaf.ndim - 1))
        return jnp.where(wide, leaf, 0.0).reshape(old.shape)

    means = jax.tree.map(there, means, group)
    return interpolate(group, means, soft)
