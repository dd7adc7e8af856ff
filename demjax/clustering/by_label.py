"""How far clients are from one another, label by label, in units of what chance makes of it."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from demjax.clients.label_gradients import LabelGradients
from demjax.clustering.spanning_tree import visiting_order
from demjax.registry import DISTANCES

FAR = 1e30
"""What stands for the distance of clients that share no label."""
SMALL = 1e-30
"""Instead of a variance of nothing."""
OF_EVERYONE, OF_CLIENT, TURNS = 2.0, 20.0, 3
"""Degrees of freedom of what variances are moderated by, and how often these are fitted in turn."""


@DISTANCES.register(itself=True)
def by_label(seen: LabelGradients) -> Float[Array, " N N"]:
    """Label by label: how much more clients' mean gradients differ than chance makes them.

    Of the labels ``c`` that both clients have, with ``m_c`` and ``m'_c`` examples, ``v_c`` and
    ``v'_c`` the variance (its trace) of one example's gradient in each, and
    ``h_c = m_c m'_c / (m_c + m'_c)``:

    ``d = Σ_c h_c · ‖ḡ_c − ḡ'_c‖² / (v_c / m_c + v'_c / m'_c) / Σ_c h_c``

    Each term is a ratio of variances as in Welch's test, which does not take clients to be equally
    noisy: where the model has learned a client's examples, gradients are far shorter. Clients whose
    examples of a label come from one source are about 1 apart, whatever labels they have, however
    few examples and however noisy (.75 to 1.16 with four examples a label and noise of a half, one
    and two, for ``r`` is pulled towards 1); those in conflict
    ``1 + δ² / (v_c / m_c + v'_c / m'_c)``, where ``δ²`` is their true squared distance.

    A client may have only two examples of a label, so that ``v_c`` is moderated: it is about
    ``r v̄_c``, a number ``r`` of the client, 1 where nothing is known of it, and one ``v̄_c`` of the
    label. With ``S_c`` a client's sum of squares about its mean, and ``f = Σ_c (m_c − 1)``, the sum
    over clients of ``S_c / r``, over that of ``m_c − 1``, is ``v̄_c``, and
    ``r = (Σ_c S_c / v̄_c / f)^{f / (f + 2)}``, fitted in turn. Then
    ``v_c = (S_c + 20 r v̄_c) / (m_c − 1 + 20)``. Of a label of which no client has two different
    examples ``v̄_c`` is the mean squared length of gradients. What is not finite is left out.

    Clients that share no label are as far apart as the longest step on the best way from one to the
    other by way of clients that do (the minimax path, the height at which single linkage of the
    known distances joins them); where there is none, as far apart as any are.

    Args:
        seen: What the feature ``label_gradients`` sees.

    Raises:
        ValueError: If features are others.

    Source: Welch, *The generalization of Student's problem when several different population
    variances are involved*, Biometrika 34, 1947. Moderated as in Smyth, *Linear models and
    empirical Bayes methods for assessing differential expression in microarray experiments*,
    SAGMB 3, 2004, with degrees of freedom that are given.
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
    finite = jnp.isfinite(seen.square) & jnp.all(jnp.isfinite(seen.mean), axis=2)
    counts = jnp.where(finite, jnp.maximum(seen.counts, 0.0), 0.0)
    there = counts > 0
    seen = LabelGradients(
        jnp.where(there[..., None], seen.mean, 0.0), counts, jnp.where(there, seen.square, 0.0)
    )
    noise = jnp.maximum(variances(seen) / jnp.maximum(counts, 1.0), SMALL)
    trust = jnp.where(there, 1 / noise, 0.0)
    trust = trust / jnp.maximum(jnp.sum(trust, axis=0), SMALL)

    def one_label(label, sums):
        total, weight = sums
        count = counts[:, label]
        mean = seen.mean[:, label]
        # About the surest mean, or little more than rounding might be left of a small difference.
        mean = jnp.where(there[:, label, None], mean - trust[:, label] @ mean, 0.0)
        gram = jnp.matmul(mean, mean.T, precision=lax.Precision.HIGHEST)
        square = jnp.diagonal(gram)
        apart = jnp.maximum(square[:, None] + square - 2 * gram, 0.0)
        both = count[:, None] * count / jnp.maximum(count[:, None] + count, 1.0)
        expected = noise[:, label, None] + noise[:, label]
        rounding = 1e-7 * (square[:, None] + square)
        return total + both * (apart / jnp.maximum(expected, rounding)), weight + both

    nothing = jnp.zeros((clients, clients), jnp.float32)
    total, weight = lax.fori_loop(0, labels, one_label, (nothing, nothing))
    itself = jnp.eye(clients, dtype=bool)
    known = (weight > 0) | itself
    ratio = jnp.where(known, total / jnp.maximum(weight, 1e-30), FAR)
    return jnp.where(itself, 0.0, ratio), known


def variances(seen: LabelGradients) -> Float[Array, " N C"]:
    """Of each client and label the variance of one example's gradient, moderated as above."""
    counts, free = seen.counts, jnp.maximum(seen.counts - 1, 0.0)
    # Of one example nothing but rounding is left, which many clients add up to a variance.
    spread = jnp.maximum(seen.square - counts * jnp.sum(seen.mean**2, axis=2), 0.0)
    spread = jnp.where(counts > 1, spread, 0.0)
    size = jnp.sum(seen.square, axis=0) / jnp.maximum(jnp.sum(counts, axis=0), 1.0)
    measured = jnp.sum(spread, axis=0) > 1e-6 * size * jnp.sum(free, axis=0)
    spread, free = jnp.where(measured, spread, 0.0), jnp.where(measured, free, 0.0)
    known = jnp.sum(free, axis=1)
    noisier = jnp.ones_like(known)
    pooled = size
    for _ in range(TURNS):
        of_label = jnp.sum(spread / noisier[:, None], axis=0) / jnp.maximum(jnp.sum(free, 0), 1.0)
        pooled = jnp.maximum(jnp.where(measured, of_label, size), SMALL)
        own = jnp.sum(spread / pooled, axis=1) / jnp.maximum(known, 1.0)
        noisier = jnp.maximum(own, 1e-6) ** (known / (known + OF_EVERYONE))
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
