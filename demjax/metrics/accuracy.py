"""C-SPE, C-GEN, G-SPE, G-GEN and Global: one code that scores every algorithm alike."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from demjax.backend.sharding import over_clients, over_wanted
from demjax.base import ClientData, Hierarchy, Models, Organization, Params, Task
from demjax.hierarchy import flat_groups, membership
from demjax.metrics.scoring import models_at_once, pooled_test_data, scores
from demjax.metrics.selection import CLIENT, GLOBAL, GROUP, MEASURES, TakeMeasures, checked
from demjax.metrics.tree import Structure, checked_clusters, describe, label_sets
from demjax.pytrees import as_pytree, finite_clients
from demjax.registry import check_made
from demjax.tasks.data_check import check_data


class Measures(NamedTuple):
    """How well every model does, on its own clients' test data and on everybody's.

    What was not asked for is NaN, in arrays of the same shape.

    Attributes:
        client_spe: Mean score of each client's model on its own test data; NaN if it has none.
        client_gen: Mean score of each client's model on all clients' pooled test data.
        group_spe: Mean score of each group's model on its members' test data; NaN in empty
            slots and where the members have none.
        group_gen: Mean score of each group's model on the pooled test data; NaN in empty slots.
        c_spe: Specialization of clients: scores summed over all clients' own test data, over
            the number of these data.
        c_gen: Generalization of clients: plain mean of ``client_gen``.
        g_spe: Specialization of groups on each level: mean of ``group_spe`` weighted by the
            groups' numbers of clients; the last is the root's.
        g_gen: Generalization of groups on each level, likewise.
        global_score: Score of the root's model on the pooled test data; NaN without a server,
            where nothing is measured of groups, ``L = 0``.
        diverged: Number of clients whose models hold numbers that are not finite; where models
            were mixed with a root that is not finite, that is everyone.
        hierarchy: The tree at this moment.
        structure: What the tree looks like; ``rand_true`` against the clients' true clusters.
        organization: Where the tree came from, if clients organise themselves.
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
    diverged: Int[Array, ""]
    hierarchy: Hierarchy
    structure: Structure
    organization: Organization | None = None


def measure(
    task: Task,
    clients: ClientData,
    *,
    measures: Sequence[str] = MEASURES,
    block: int = 512,
    chunk: int | None = None,
    true_clusters: Int[np.ndarray, " N"] | None = None,
) -> TakeMeasures[Measures]:
    """Make the function that takes the measures of an algorithm's models, all or some.

    Models are scored ``chunk`` at a time on up to ``block`` test examples, so that memory stays
    bounded however many clients and examples there are; only groups that exist are scored. In
    the context of ``spread_over``, each device scores its part of the models.

    Args:
        task: What is learned; scores are its ``score``.
        clients: Everybody's data.
        measures: What to measure, at least one of ``"client"`` (C-SPE and C-GEN: each client's
            model), ``"group"`` (G-SPE and G-GEN: each group's model on the levels under the root)
            and ``"global"`` (the root's model). What is left out costs nothing. Whether models
            are finite, and what the tree looks like, is told in any case.
        block: Most test examples fetched at once, at least 1; a model answers fewer at a time
            where its arrays would be large.
        chunk: Models scored at once, at least 1; by default ``scoring.models_at_once``.
        true_clusters: A number from 0 for each client, which groups should find; by default which
            set of labels its training examples have, ``label_sets``.

    Returns:
        ``(models, data=clients) -> Measures``, traceable; inside a program that is compiled, give
        the data as an argument, so that they are not built into it. Its keyword ``measures`` takes
        fewer of them.

    Raises:
        ValueError: If there are no test examples, ``block`` or ``chunk`` is below 1,
            ``measures`` holds none or another one, a true cluster is no whole number from 0, or
            the task cannot learn from these data (``Task.check``).

    Source: Nguyen et al., arXiv 2007.03278, section V.
    """
    check_made("Measuring needs task as", task, Task, "a Task, such as classification(…) makes")
    possible = "a ClientData, which data.client_data(x, y, partition) makes"
    check_made("Measuring needs clients as", clients, ClientData, possible)
    asked = checked(measures)
    check_data(task, clients)
    if chunk is not None and chunk < 1:
        raise ValueError(f"Scoring needs a chunk of at least 1 model, but {chunk} was given.")
    example, owner = map(jnp.asarray, pooled_test_data(clients, block))
    count = clients.n_clients
    if true_clusters is None:
        true_clusters = label_sets(clients)
    true_clusters = checked_clusters(true_clusters, count)
    n_clusters = int(np.max(true_clusters)) + 1

    def score_one(
        examples: tuple[Array, Array, Array],
        params: Params,
        whose: Bool[Array, " N"] | Int[Array, ""],
        models: int = 1,
    ) -> Float[Array, " 2"]:
        """Sums of a model's scores over the examples of its client or members, and over all."""
        x, y, owners = examples
        member = jnp.arange(count + 1) == whose if whose.ndim == 0 else jnp.pad(whose, (0, 1))
        score = scores(task.score, as_pytree(params), x, y, models=models)
        return jnp.stack([jnp.sum(score * member[owners]), jnp.sum(score * (owners < count))])

    def score_some(
        data: ClientData,
        divided: tuple[Params, Bool[Array, " A N"] | Int[Array, " A"], Bool[Array, " A"]],
    ) -> Float[Array, " A 2"]:
        """Score those of one device's models that exist: a block, and on it a chunk at a time."""
        params, whose, exists = divided
        models = exists.shape[0]
        width = min(chunk or models_at_once(task.score, *_shapes(params, data, example)), models)
        order = jnp.argsort(~exists)
        order = jnp.pad(order, (0, -models % width), constant_values=models)
        chunks = (jnp.sum(exists) + width - 1) // width

        def one_block(sums, rows):
            # Fetched once for all models, which is as much work as a small model's answers.
            examples = data.x[rows[0]], data.y[rows[0]], rows[1]

            def one_chunk(number, sums):
                mine = lax.dynamic_slice(order, (number * width,), (width,))
                if width == 1:
                    one = jax.tree.map(lambda leaf: leaf[mine[0]], (params, whose))
                    row = score_one(examples, *one)[None]
                else:
                    some = jax.tree.map(
                        lambda leaf: leaf.at[mine].get(mode="clip"), (params, whose)
                    )
                    row = jax.vmap(partial(score_one, examples, models=width))(*some)
                return sums.at[mine].add(row, mode="drop")

            return lax.fori_loop(0, chunks, one_chunk, sums), None

        return lax.scan(one_block, jnp.zeros((models, 2)), (example, owner))[0]

    def score_clients(models: Models, data: ClientData) -> Float[Array, " N 2"]:
        everyone = models.client, jnp.arange(count), jnp.ones(count, bool)
        return over_clients(score_some, data, everyone)

    def score_groups(models: Models, data: ClientData, which: tuple) -> Float[Array, " L G 2"]:
        """Scores of the levels and slots ``which`` says; NaN in all others."""
        size = models.hierarchy.size
        exists = size[which].reshape(-1) > 0
        member = membership(models.hierarchy)[which].reshape(-1, count)
        group = jax.tree.map(lambda leaf: leaf[which], models.group)
        scored = over_wanted(score_some, data, (flat_groups(group), member, exists), exists)
        scored = scored.reshape(*size[which].shape, 2)
        if scored.shape[:2] == size.shape:
            return scored
        return jnp.full((*size.shape, 2), jnp.nan, scored.dtype).at[which].set(scored)

    def take(models: Models, data: ClientData, taken: tuple[str, ...]) -> Measures:
        test_size = data.test_size.astype(jnp.float32)
        total = jnp.sum(test_size)
        missing = jnp.full((count, 2), jnp.nan, float)
        client = score_clients(models, data) if CLIENT in taken else missing
        client_gen = client[:, 1] / total

        size = models.hierarchy.size
        which = _levels_and_slots(taken)
        if which is None or size[which].size == 0:
            group = jnp.full((*size.shape, 2), jnp.nan, float)
        else:
            group = score_groups(models, data, which)
        tests = jnp.sum(membership(models.hierarchy) * test_size, axis=2)
        group_spe = jnp.where(tests > 0, group[..., 0] / jnp.maximum(tests, 1), jnp.nan)
        group_gen = jnp.where(size > 0, group[..., 1] / total, jnp.nan)
        own = jnp.where(test_size > 0, client[:, 0] / jnp.maximum(test_size, 1), jnp.nan)
        organization = models.organization
        return Measures(
            client_spe=own,
            client_gen=client_gen,
            group_spe=group_spe,
            group_gen=group_gen,
            c_spe=jnp.sum(client[:, 0]) / total,
            c_gen=jnp.mean(client_gen),
            g_spe=_weighted_mean(group_spe, size),
            g_gen=_weighted_mean(group_gen, size),
            global_score=jnp.float32(jnp.nan) if models.group is None else group_gen[-1, 0],
            diverged=count - jnp.sum(finite_clients(models.client), dtype=jnp.int32),
            hierarchy=models.hierarchy,
            structure=describe(
                models.hierarchy,
                jnp.asarray(true_clusters),
                n_clusters,
                None if organization is None else organization.before,
                organization is not None and organization.times > 1,
            ),
            organization=organization,
        )

    return TakeMeasures(take, clients, asked)


def _levels_and_slots(taken: tuple[str, ...]) -> tuple | None:
    """Which levels and slots are scored: those under the root, its own, all or ``None``."""
    if GROUP in taken:
        return (slice(None) if GLOBAL in taken else slice(None, -1), slice(None))
    return (slice(-1, None), slice(0, 1)) if GLOBAL in taken else None


def _shapes(params: Params, data: ClientData, example: Int[Array, " blocks block"]) -> tuple:
    """The shapes of one of the stacked models, and of a block of examples and their labels."""
    block = example.shape[1]

    def shape(leaf, *first):
        return jax.ShapeDtypeStruct((*first, *leaf.shape[1:]), leaf.dtype)

    return as_pytree(jax.tree.map(shape, params)), shape(data.x, block), shape(data.y, block)


def _weighted_mean(value: Float[Array, " L G"], size: Int[Array, " L G"]) -> Float[Array, " L"]:
    """Mean over the groups of each level that have a value, weighted by their clients."""
    weight = jnp.where(jnp.isnan(value), 0, size)
    return jnp.sum(jnp.nan_to_num(value) * weight, axis=1) / jnp.sum(weight, axis=1)
