"""How far clients are from one another, label by label, in units of what chance makes of it."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from demjax.clients.label_gradients import LabelGradients
from demjax.clustering.spanning_tree import visiting_order
from demjax.registry import DISTANCES

FAR = 1e30
"""What stands for the distance of clients that share no label."""
OF_EVERYONE, OF_CLIENT = 2.0, 20.0
"""How many examples everyone's variance counts as in a client's, and a client's in one label's."""


@DISTANCES.register(itself=True)
def by_label(seen: LabelGradients) -> Float[Array, " N N"]:
    """Label by label: how much more clients' mean gradients differ than chance makes them.

    Of the labels ``c`` that both clients have, with ``m_c`` examples each, ``v_c`` the variance
    (its trace) of one example's gradient, of each client, and ``h_c = m_c m'_c / (m_c + m'_c)``:

    ``d = Σ_c h_c · ‖ḡ_c − ḡ'_c‖² / (v_c / m_c + v'_c / m'_c) / Σ_c h_c``

    Each term is a ratio of variances as in Welch's test, which does not take clients to be equally
    noisy: those whose examples the model has not learned yet have far longer gradients. Clients
    whose examples of a label come from one source are 1 apart on average, whatever labels they have
    and however few examples; those in conflict ``1 + δ² / (v_c / m_c + v'_c / m'_c)``, where ``δ²``
    is their true squared distance.

    A client may have two examples of a label, so that its variance is moderated: with ``S_c`` its
    sum of squares about its mean and ``v̄_c`` the variance within all clients, pooled, it is noisier
    than they by ``r = (Σ_c S_c / v̄_c + μ) / (Σ_c (m_c − 1) + μ)``, and for one label
    ``v_c = (S_c + ν r v̄_c) / (m_c − 1 + ν)``, with ``μ`` 2 and ``ν`` 20 examples.

    Clients that share no label are as far apart as the longest step on the best way from one to the
    other by way of clients that do (the minimax path, the height at which single linkage of the
    known distances joins them); where there is none, as far apart as any are.

    Args:
        seen: What the feature ``label_gradients`` sees.

    Raises:
        ValueError: If features are others.

    Source: Welch, *The generalization of Student's problem*, Biometrika 34, 1947; the moderated
    variance is that of Smyth, *Linear models and empirical Bayes methods*, SAGMB 3, 2004.
    """
    if not isinstance(seen, LabelGradients):
        raise ValueError(
            "The metric by_label compares gradients label by label, but the features are others; "
            "possible is features label_gradients."
        )
    distances, known = shared_label_distances(seen)
    return lax.cond(jnp.all(known), lambda d: d, lambda d: through_others(d, known), distances)


def shared_label_distances(
    seen: LabelGradients,
) -> tuple[Float[Array, " N N"], Bool[Array, " N N"]]:
    """Distances of clients that share a label, and which clients do; others' are ``FAR``."""
    clients, labels, _ = seen.mean.shape
    counts = jnp.maximum(seen.counts, 0.0)
    noise = variances(seen) / jnp.maximum(counts, 1.0)

    def one_label(label, sums):
        total, weight = sums
        count = counts[:, label]
        mean = seen.mean[:, label]
        share = count / jnp.maximum(jnp.sum(count), 1.0)
        # About the mean of all, or little more than rounding might be left of a difference.
        mean = jnp.where((count > 0)[:, None], mean - share @ mean, 0.0)
        gram = jnp.matmul(mean, mean.T, precision=lax.Precision.HIGHEST)
        square = jnp.diagonal(gram)
        apart = jnp.maximum(square[:, None] + square - 2 * gram, 0.0)
        both = count[:, None] * count / jnp.maximum(count[:, None] + count, 1.0)
        mine = noise[:, label]
        return total + both * (apart / (mine[:, None] + mine)), weight + both

    nothing = jnp.zeros((clients, clients), jnp.float32)
    total, weight = lax.fori_loop(0, labels, one_label, (nothing, nothing))
    itself = jnp.eye(clients, dtype=bool)
    known = (weight > 0) | itself
    ratio = jnp.where(known, total / jnp.maximum(weight, 1e-30), FAR)
    return jnp.where(itself, 0.0, ratio), known


def variances(seen: LabelGradients) -> Float[Array, " N C"]:
    """Of each client and label the variance of one example's gradient, moderated by everyone's."""
    counts = jnp.maximum(seen.counts, 0.0)
    free = jnp.maximum(counts - 1, 0.0)
    spread = jnp.maximum(seen.square - counts * jnp.sum(seen.mean**2, axis=2), 0.0)
    pooled = jnp.sum(spread, axis=0) / jnp.maximum(jnp.sum(free, axis=0), 1.0)
    # Where no client has two different examples of a label, the size of gradients is the unit.
    size = jnp.sum(seen.square, axis=0) / jnp.maximum(jnp.sum(counts, axis=0), 1.0)
    measured = pooled > 1e-6 * size
    pooled = jnp.where(measured, pooled, jnp.maximum(size, 1e-30))
    spread, free = jnp.where(measured, spread, 0.0), jnp.where(measured, free, 0.0)
    noisier = (jnp.sum(spread / pooled, axis=1) + OF_EVERYONE) / (
        jnp.sum(free, axis=1) + OF_EVERYONE
    )
    return (spread + OF_CLIENT * noisier[:, None] * pooled) / (free + OF_CLIENT)


def through_others(
    distances: Float[Array, " N N"], known: Bool[Array, " N N"]
) -> Float[Array, " N N"]:
    """The same distances, where unknown ones are the longest step on the best way between two.

    In the order in which Prim's algorithm visits clients, that is the longest step between them.
    """
    count = distances.shape[0]
    order, steps = visiting_order(distances)
    place = jnp.zeros(count, jnp.int32).at[order].set(jnp.arange(count, dtype=jnp.int32))
    ahead = jnp.arange(count - 1)

    def from_one(at):
        longest = lax.cummax(jnp.where(ahead >= at, steps, -jnp.inf))
        return jnp.concatenate([jnp.full(1, -jnp.inf), longest])

    def row(number):
        # Ways to clients that were visited before are found from those.
        return from_one(place[number])[place]

    one_way = lax.map(row, jnp.arange(count), batch_size=min(64, count))
    way = jnp.maximum(one_way, one_way.T)
    farthest = jnp.max(jnp.where(known, distances, 0.0))
    return jnp.where(known, distances, jnp.minimum(way, farthest))
