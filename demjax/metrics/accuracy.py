"""C-SPE, C-GEN, G-SPE, G-GEN and Global: one code that scores every algorithm alike."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax.backend.sharding import over_clients, over_wanted
from demjax.base import ClientData, Hierarchy, Models, Organization, Task
from demjax.hierarchy import flat_groups, membership
from demjax.metrics.extra import Given, checked_extra
from demjax.metrics.means import Errors, Means, means_of, sampled_means
from demjax.metrics.sample import draw
from demjax.metrics.scoring import all_test_examples, pooled_test_data
from demjax.metrics.selection import CLIENT, GLOBAL, GROUP, MEASURES, TakeMeasures, checked
from demjax.metrics.sums import sums_of_scores
from demjax.metrics.tree import Structure, checked_clusters, describe, label_sets
from demjax.pytrees import finite_clients
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
        extra: By name the extra measures, in the same shapes.
        errors: Standard errors, where a sample of clients or test examples is measured.
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
    extra: Mapping[str, Means] = {}
    errors: Errors | None = None


def measure(
    task: Task,
    clients: ClientData,
    *,
    measures: Sequence[str] = MEASURES,
    block: int = 512,
    chunk: int | None = None,
    true_clusters: Int[np.ndarray, " N"] | None = None,
    extra: str | Sequence[str] | Mapping[str, Given] = (),
    measure_examples: int | None = None,
    measure_clients: int | None = None,
    key: PRNGKeyArray | None = None,
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
        extra: Measures beside the score, of the same models on the same test data: registered names
            such as ``("loss", "balanced_accuracy")``, or by name a function ``(outputs[B, ...],
            y[B]) -> float[B]``, whose means are taken, or a ``Metric`` for what is no mean.
        measure_examples: How many of the test examples to measure, at least 2; by default all.
        measure_clients: How many of the clients' models to measure, at least 2; by default all.
        key: The run's key, which draws these once; by default that of seed 0.

    Returns:
        ``(models, data=clients) -> Measures``, traceable; inside a program that is compiled, give
        the data as an argument, so that they are not built into it. Its keyword ``measures`` takes
        fewer of them.

    Raises:
        ValueError: If there are no test examples, ``block`` or ``chunk`` is below 1,
            ``measures`` holds none or another one, a true cluster is no whole number from 0, the
            task cannot learn from these data (``Task.check``), a sample is below 2, or an extra
            measure is none or of a shape that does not fit.

    Source: Nguyen et al., arXiv 2007.03278, section V.
    """
    check_made("Measuring needs task as", task, Task, "a Task, such as classification(…) makes")
    possible = "a ClientData, which data.client_data(x, y, partition) makes"
    check_made("Measuring needs clients as", clients, ClientData, possible)
    asked = checked(measures)
    check_data(task, clients)
    if chunk is not None and chunk < 1:
        raise ValueError(f"Scoring needs a chunk of at least 1 model, but {chunk} was given.")
    blocks, count = pooled_test_data(clients, block), clients.n_clients
    further = checked_extra(extra, task, clients)
    sample = draw(
        *all_test_examples(clients),
        count,
        measure_examples=measure_examples,
        measure_clients=measure_clients,
        key=key,
        block=block,
    )
    example, owner = map(jnp.asarray, blocks if sample is None else sample[:2])
    rows = None if sample is None or sample.clients is None else jnp.asarray(sample.clients)
    parts = () if sample is None else (len(sample.tests),)
    widths = [parts, *((*parts, one.width) for one in further.values())]
    if true_clusters is None:
        true_clusters = label_sets(clients)
    true_clusters = checked_clusters(true_clusters, count)
    n_clusters = int(np.max(true_clusters)) + 1

    def score_each(params, x, y):
        if not further:
            return (task.score(params, x, y),)
        outputs = task.predict(params, x)
        return task.score(params, x, y), *(one.each(outputs, y) for one in further.values())

    score_some = sums_of_scores(score_each, example, owner, count, widths, parts, chunk)

    def score_clients(models: Models, data: ClientData) -> tuple[Float[Array, " A 2 *K"], ...]:
        if rows is None:
            measured = models.client, jnp.arange(count), jnp.ones(count, bool)
        else:
            some = jax.tree.map(lambda leaf: leaf[rows], models.client)
            measured = some, rows, jnp.ones(len(rows), bool)
        return over_clients(score_some, data, measured)

    def score_groups(
        models: Models, data: ClientData, which: tuple
    ) -> tuple[Float[Array, " L G 2 *K"], ...]:
        """Scores of the levels and slots ``which`` says; NaN in all others."""
        size = models.hierarchy.size
        exists = size[which].reshape(-1) > 0
        member = membership(models.hierarchy)[which].reshape(-1, count)
        group = jax.tree.map(lambda leaf: leaf[which], models.group)
        scored = over_wanted(score_some, data, (flat_groups(group), member, exists), exists)

        def placed(leaf):
            leaf = leaf.reshape(*size[which].shape, *leaf.shape[1:])
            if leaf.shape[:2] == size.shape:
                return leaf
            return jnp.full((*size.shape, *leaf.shape[2:]), jnp.nan, leaf.dtype).at[which].set(leaf)

        return jax.tree.map(placed, scored)

    def missing(*axes: int) -> tuple[Float[Array, " ..."], ...]:
        return tuple(jnp.full((*axes, 2, *width), jnp.nan, float) for width in widths)

    def take(models: Models, data: ClientData, taken: tuple[str, ...]) -> Measures:
        size, organization = models.hierarchy.size, models.organization
        measured = count if rows is None else len(rows)
        client = score_clients(models, data) if CLIENT in taken else missing(measured)
        which = _levels_and_slots(taken)
        if which is None or size[which].size == 0:
            group = missing(*size.shape)
        else:
            group = score_groups(models, data, which)
        tests = data.test_size.astype(jnp.float32)

        def means(client, group, value=None):
            form = {"value": value, "server": models.group is not None}
            if sample is None:
                return means_of(client, group, tests, models.hierarchy, **form)
            return sampled_means(client, group, sample, models.hierarchy, **form)

        values = [None, *(one.value for one in further.values())]
        score, *others = map(means, client, group, values)
        return Measures(
            **score._asdict(),
            extra=dict(zip(further, others, strict=True)),
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

    return TakeMeasures(take, clients, asked, {} if sample is None else sample.counts)


def _levels_and_slots(taken: tuple[str, ...]) -> tuple | None:
    """Which levels and slots are scored: those under the root, its own, all or ``None``."""
    if GROUP in taken:
        return (slice(None) if GLOBAL in taken else slice(None, -1), slice(None))
    return (slice(-1, None), slice(0, 1)) if GLOBAL in taken else None
