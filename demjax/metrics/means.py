"""From sums over test examples to C-SPE, C-GEN, G-SPE, G-GEN and Global, and their errors."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from demjax.base import Hierarchy
from demjax.hierarchy import membership
from demjax.metrics.sample import PARTS, Sample

Value = Callable[[Float[Array, " K"]], Float[Array, ""]]
"""What the means of ``K`` numbers of each example make; ``None`` for one that is itself a mean."""


class Errors(NamedTuple):
    """Standard errors that a sample of test examples, of clients, or of both, brings.

    Attributes:
        c_spe: Of specialization of clients.
        c_gen: Of generalization of clients.
        g_spe: Of specialization of groups, on each level.
        g_gen: Of generalization of groups, likewise.
        global_score: Of the root's model.
    """

    c_spe: Float[Array, ""]
    c_gen: Float[Array, ""]
    g_spe: Float[Array, " L"]
    g_gen: Float[Array, " L"]
    global_score: Float[Array, ""]


class Means(NamedTuple):
    """One measure of all models; the fields are those of ``Measures``, of another value than score.

    Attributes:
        client_spe: Of each client's model on its own test data; NaN if it has none.
        client_gen: Of each client's model on the pooled test data.
        group_spe: Of each group's model on its members' test data; NaN where there is none.
        group_gen: Of each group's model on the pooled test data.
        c_spe: Of all clients' models, each on its own test data, these taken together.
        c_gen: Plain mean of ``client_gen``.
        g_spe: On each level the mean of ``group_spe`` weighted by the groups' numbers of clients.
        g_gen: On each level the mean of ``group_gen``, likewise.
        global_score: Of the root's model on the pooled test data.
        errors: Standard errors, where a sample was measured.
    """

    client_spe: Float[Array, " N"]
    client_gen: Float[Array, " N"]
    group_spe: Float[Array, " L G"]
    group_gen: Float[Array, " L G"]
    c_spe: Float[Array, ""]
    c_gen: Float[Array, ""]
    g_spe: Float[Array, " L"]
    g_gen: Float[Array, " L"]
    global_score: Float[Array, ""]
    errors: Errors | None = None


def means_of(
    client: Float[Array, " A 2 *K"],
    group: Float[Array, " L G 2 *K"],
    tests: Float[Array, " N"],
    hierarchy: Hierarchy,
    *,
    value: Value | None = None,
    rows: Int[Array, " A"] | None = None,
    server: bool = True,
) -> Means:
    """The measures from sums over examples: those of a client or of members, and all.

    Args:
        client: Sums of the clients' models.
        group: Sums of the groups' models.
        tests: Test examples of each client.
        hierarchy: The tree.
        value: What the means of ``K`` numbers make; ``None`` for one number, without that axis.
        rows: The clients that were measured; by default all.
        server: Whether there is a root.
    """
    size, total = hierarchy.size, jnp.sum(tests)
    mine, own_total = (tests, total) if rows is None else (tests[rows], jnp.sum(tests[rows]))
    own = _value(client[:, 0], jnp.maximum(mine, 1), value)
    own = jnp.where(mine > 0, own, jnp.nan)
    gen = _value(client[:, 1], total, value, axes=1)
    held = jnp.sum(membership(hierarchy) * tests, axis=2)
    group_spe = jnp.where(held > 0, _value(group[:, :, 0], jnp.maximum(held, 1), value), jnp.nan)
    group_gen = jnp.where(size > 0, _value(group[:, :, 1], total, value, axes=2), jnp.nan)

    def everyone(found):
        return found if rows is None else jnp.full(tests.shape, jnp.nan).at[rows].set(found)

    return Means(
        client_spe=everyone(own),
        client_gen=everyone(gen),
        group_spe=group_spe,
        group_gen=group_gen,
        c_spe=_value(jnp.sum(client[:, 0], axis=0), own_total, value),
        c_gen=jnp.mean(gen),
        g_spe=_weighted_mean(group_spe, size),
        g_gen=_weighted_mean(group_gen, size),
        global_score=group_gen[-1, 0] if server else jnp.float32(jnp.nan),
    )


def sampled_means(
    client: Float[Array, " A 2 R *K"],
    group: Float[Array, " L G 2 R *K"],
    sample: Sample,
    hierarchy: Hierarchy,
    *,
    value: Value | None = None,
    server: bool = True,
) -> Means:
    """The measures of a sample, with standard errors by the jackknife.

    The sample's examples are in ``R`` parts that were drawn alike, and so are its clients:
    ``error² = (1 − share) (R − 1)/R Σ_r (θ_r − mean θ)²`` where ``θ_r`` is a measure without part
    ``r``, and ``share`` that of all examples, or clients, which is in the sample. Where both are
    sampled, the squares are added.

    Args:
        client: Sums of the clients' models over each part.
        group: Sums of the groups' models, likewise.
        sample: What was drawn.
        hierarchy: The tree.
        value: As in ``means_of``.
        server: Whether there is a root.

    Source: Wolter, Introduction to Variance Estimation, 2nd edition, 2007, section 4.2.
    """
    rows = None if sample.clients is None else jnp.asarray(sample.clients)
    tests = jnp.asarray(sample.tests, jnp.float32)
    all_client, all_group, all_tests = jnp.sum(client, 2), jnp.sum(group, 3), jnp.sum(tests, 0)
    options: dict[str, Any] = {"value": value, "rows": rows, "server": server}
    found = means_of(all_client, all_group, all_tests, hierarchy, **options)
    squares = Errors(*(jnp.zeros_like(getattr(found, name)) for name in Errors._fields))

    if sample.examples_left_out:

        def without_part(part):
            parts = client[:, :, part], group[:, :, :, part], tests[part]
            left = (all_client - parts[0], all_group - parts[1], all_tests - parts[2])
            means = means_of(*left, hierarchy, **options)
            return Errors(*(getattr(means, name) for name in Errors._fields))

        one = lax.map(without_part, jnp.arange(tests.shape[0]))
        squares = jax.tree.map(lambda leaf: sample.examples_left_out * _jackknife(leaf), one)

    if rows is not None:
        mine, gen = all_tests[rows], found.client_gen[rows]
        parts = min(PARTS, len(rows))
        part_of = jnp.arange(len(rows)) % parts

        def without_clients(part):
            kept = part_of != part
            own = jnp.where(_like(kept, all_client[:, 0]), all_client[:, 0], 0)
            spe = _value(jnp.sum(own, axis=0), jnp.sum(mine * kept), value)
            return spe, jnp.sum(jnp.where(kept, gen, 0)) / jnp.sum(kept)

        spe, gen = lax.map(without_clients, jnp.arange(parts))
        squares = squares._replace(
            c_spe=squares.c_spe + sample.clients_left_out * _jackknife(spe),
            c_gen=squares.c_gen + sample.clients_left_out * _jackknife(gen),
        )
    return found._replace(errors=jax.tree.map(jnp.sqrt, squares))


def _jackknife(without: Float[Array, " R *shape"]) -> Float[Array, " *shape"]:
    return jnp.sum((without - jnp.mean(without, 0)) ** 2, 0) * (1 - 1 / without.shape[0])


def _value(sums: Array, count: Array, value: Value | None, axes: int | None = None) -> Array:
    """What the means of sums make; the axes of models come first."""
    if value is None:
        return sums / count
    means = sums / (_like(count, sums) if count.ndim else count)
    for _ in range(count.ndim if axes is None else axes):
        value = jax.vmap(value)
    return value(means)


def _like(x: Array, other: Array) -> Array:
    """The same with axes of one at the end, as many as another array has more."""
    return x.reshape(*x.shape, *[1] * (other.ndim - x.ndim))


def _weighted_mean(value: Float[Array, " L G"], size: Int[Array, " L G"]) -> Float[Array, " L"]:
    """Mean over the groups of each level that have a value, weighted by their clients."""
    weight = jnp.where(jnp.isnan(value), 0, size)
    return jnp.sum(jnp.nan_to_num(value) * weight, axis=1) / jnp.sum(weight, axis=1)
