"""Robust means: what a few members that lie or break cannot carry far away.

Each is an average as ``hierarchy.robust_means`` has it, so that it stands on every level of a
hierarchy: a row of weights is a group, members are those of a weight above 0. In every one of them
members are left out whose model is not finite, or beyond ``LARGEST``, and a group that has no
others keeps what it had.

``n`` are the members of a group that count, ``f = ⌊s n⌋`` those of them that may lie; in a group
that is too small for so many, as many as it bears.
"""

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from demjax.base import Params
from demjax.hierarchy.krum_scores import bearable, least_scores
from demjax.hierarchy.order_statistics import middle
from demjax.hierarchy.pairwise import squared_distances
from demjax.hierarchy.robust_means import Average
from demjax.pytrees import StackedModels, combine
from demjax.registry import MEANS, Number, Range, check_number

Liars = Annotated[float, Range(0, 0.5)]
Norm = Annotated[Number, Range(1e-6, 1e9)]
LARGEST = 1e12
"""What a parameter is less than: beyond that a model is as broken as one that is not finite."""
Times = Annotated[int, Range(1, 1000)]


@MEANS.register()
def median() -> Average:
    """The median of each parameter, of an even number the mean of the two in the middle.

    Source: Yin et al., ICML 2018, arXiv 1803.01498.
    """
    return _of_sound(lambda models, there, **_: middle(models, there, lambda n: (n - 1) // 2))


@MEANS.register(beside=0)
def trimmed_mean(*, liars: Liars = 0.2) -> Average:
    """The mean of each parameter without the f smallest and the f largest.

    Args:
        liars: s, share of the members that may lie; more than 2 f have to be there

    Source: Yin et al., ICML 2018, arXiv 1803.01498.
    """
    check_number("The trimmed mean", "liars", liars, 0, 0.5)

    def trimmed(models, there, **_):
        return middle(models, there, lambda n: bearable(liars, n, 0))

    return _of_sound(trimmed)


@MEANS.register(beside=2)
def krum(*, liars: Liars = 0.2, margin: Annotated[int, Range(1, 2)] = 2) -> Average:
    """The model of the member with the least sum of squared distances to those nearest to it.

    These are the ``n − f − 2`` nearest other members. All members count alike.

    Args:
        liars: s, share of the members that may lie; more than 2 f + 2 have to be there
        margin: how many fewer than n − f others count: 2 as in the paper, 1 as in byzfl

    Source: Blanchard et al., NeurIPS 2017, arXiv 1703.02757.
    """
    check_number("Krum", "liars", liars, 0, 0.5)
    return _by_scores(liars, margin, lambda members, f: jnp.int32(1))


@MEANS.register(beside=2)
def multi_krum(*, liars: Liars = 0.2, margin: Annotated[int, Range(1, 2)] = 2) -> Average:
    """The mean of the n − f members of the least scores, which are those of Krum.

    Args:
        liars: s, share of the members that may lie; more than 2 f + 2 have to be there
        margin: how many fewer than n − f others count: 2 as in the paper, 1 as in byzfl

    Source: Blanchard et al., NeurIPS 2017, arXiv 1703.02757.
    """
    check_number("Multi-Krum", "liars", liars, 0, 0.5)
    return _by_scores(liars, margin, lambda members, f: members - f)


@MEANS.register()
def geometric_median(
    *, iterations: Times = 8, smoothing: Annotated[Number, Range(1e-9, 1e9)] = 1e-6
) -> Average:
    """The point whose distances to all members have the least sum, by weights (RFA).

    Weiszfeld's steps, from the model that is replaced: ``v ← Σ_n β_n w_n / Σ_n β_n`` with
    ``β_n = v_n / max(ν, ‖w_n − v‖)``.

    Args:
        iterations: steps
        smoothing: ν, the distance below which a member pulls no harder

    Source: Pillutla, Kakade and Harchaoui, IEEE TSP 2022, arXiv 1912.13445.
    """

    def shares(length, weight):
        pull = weight / jnp.maximum(length, smoothing)
        return pull / jnp.maximum(jnp.sum(pull), 1e-30)

    return _of_sound(_stepwise(shares, iterations))


@MEANS.register()
def norm_clipping(*, norm: Norm = 1.0) -> Average:
    """The mean of updates that are shortened to a norm, by weights.

    ``r + Σ_n v_n min(1, C / ‖w_n − r‖) (w_n − r) / Σ_n v_n``, ``r`` the model that is replaced.

    Args:
        norm: C

    Source: Sun et al., *Can You Really Backdoor Federated Learning?*, arXiv 1911.07963.
    """
    return _of_sound(_stepwise(_clipped_shares(norm), 1))


@MEANS.register()
def centered_clipping(*, norm: Norm = 1.0, iterations: Times = 3) -> Average:
    """The mean of what is shortened to a norm around it, by weights.

    ``v ← v + Σ_n v_n min(1, τ / ‖w_n − v‖) (w_n − v) / Σ_n v_n``, from the model that is replaced.

    Args:
        norm: τ
        iterations: steps

    Source: Karimireddy, He and Jaggi, ICML 2021, arXiv 2012.10333.
    """
    return _of_sound(_stepwise(_clipped_shares(norm), iterations))


def _clipped_shares(norm: Number) -> Callable:
    check_number("Clipping", "norm", norm, 1e-30)

    def shares(length, weight):
        share = weight / jnp.maximum(jnp.sum(weight), 1e-30)
        return share * jnp.minimum(1.0, norm / jnp.maximum(length, 1e-30))

    return shares


def _of_sound(estimate: Callable[..., StackedModels]) -> Average:
    """An average of the members that are finite; of a group of no such member what it had.

    Args:
        estimate: ``(models, there[A, N], *, weight[A, N], reference) -> models of A``.
    """

    def average(models, weight, *, reference, **context):
        sound = _sound(models)
        there = (weight > 0) & sound
        models = jax.tree.map(lambda leaf: jnp.where(_wide(sound, leaf), leaf, 0), models)
        found = estimate(models, there, weight=jnp.where(there, weight, 0), reference=reference)
        known = jnp.any(there, axis=1)
        return jax.tree.map(lambda new, r: jnp.where(_wide(known, new), new, r), found, reference)

    return average


def _sound(models: Params) -> Bool[Array, " N"]:
    """Which models are finite, and so are the squares of their distances."""
    leaves = jax.tree.leaves(models)
    near = [(jnp.abs(leaf) < LARGEST).reshape(leaf.shape[0], -1).all(axis=1) for leaf in leaves]
    return jnp.stack(near).all(axis=0)


def _wide(mask: Bool[Array, " N"], leaf: Array) -> Bool[Array, " N ..."]:
    return mask.reshape(-1, *[1] * (leaf.ndim - 1))


def _by_scores(liars: float, margin: int, taken: Callable[..., Int[Array, ""]]) -> Average:
    """The mean of the members of the least scores, as many as ``taken(members, f)``."""

    def estimate(models, there, **_):
        apart = squared_distances(models, jnp.any(there, axis=0))

        def of_row(there):
            return least_scores(apart, there, liars=liars, margin=margin, taken=taken)

        return combine(models, lax.map(of_row, there))

    return _of_sound(estimate)


def _stepwise(shares: Callable[..., Float[Array, " N"]], iterations: int) -> Callable:
    """Steps ``v ← v + Σ_n s_n (w_n − v)`` from the reference, a group after another.

    Args:
        shares: ``(‖w_n − v‖ [N], weight [N]) -> s [N]``.
        iterations: How many.
    """

    def estimate(models: Params, there: Any, *, weight: Any, reference: Params) -> Params:
        def of_row(row):
            weight, start = row

            def step(_, at):
                away = jax.tree.map(lambda w, v: w - v, models, at)
                squares = [
                    jnp.sum(jnp.square(leaf).reshape(leaf.shape[0], -1), axis=1)
                    for leaf in jax.tree.leaves(away)
                ]
                length = jnp.sqrt(sum(squares))
                length = jnp.where(jnp.isfinite(length), length, 1e30)
                share = shares(length, weight)
                highest = lax.Precision.HIGHEST
                return jax.tree.map(
                    lambda v, u: v + jnp.tensordot(share, u, axes=1, precision=highest), at, away
                )

            return lax.cond(
                jnp.any(weight > 0),
                lambda: lax.fori_loop(0, iterations, step, start),
                lambda: start,
            )

        return lax.map(of_row, (weight, reference))

    return estimate
