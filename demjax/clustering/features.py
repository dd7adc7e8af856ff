"""What of a client's learning its likeness is judged by: weights, updates, gradients, by label.

``weights``, ``updates`` and ``gradients`` say *what*; ``layers`` and ``sketch`` say *which part*:
``updates(sketch(256, of=layers("Dense_1")))``.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from demjax.backend.narrow import widened
from demjax.base import Params
from demjax.clients import participation
from demjax.clients.label_gradients import label_gradients_at
from demjax.clustering.by_label import by_label
from demjax.clustering.distances import Metric
from demjax.clustering.projection import Selection, everything, sketch
from demjax.models.layers import chosen_layers
from demjax.pytrees import as_pytree
from demjax.registry import FEATURES, Range


class Features(NamedTuple):
    """What is looked at when clients organise themselves, made by a factory such as ``updates``.

    Attributes:
        memory: ``(params, size, local, clients) -> memory``: what to remember before the first
            round; () if nothing. The size is that of cohorts, ``None`` if everyone trains in every
            round.
        before: ``(memory, params, cohort) -> memory``: before the local training of a round's
            cohort, as in ``demjax.cohorts``.
        after: ``(memory, params, gradient=None, *, cohort, regroup) -> (seen, memory)``: after it,
            the features of all clients, others' as they last were, and what to remember for the
            next round; ``regroup`` says whether clients organise themselves by what is seen.
        gradients: Whether the gradients of the last local epoch are needed.
        observe: ``(local, key, model, clients, cohort, regroup) -> [] or [what is seen]``: what
            clients see of their examples at the root's model, which ``after`` is given in the place
            of gradients.
        metric: The distance that goes with them, where no other does.
    """

    memory: Callable[..., Any]
    before: Callable[[Any, Params, participation.Cohort], Any]
    after: Callable[..., tuple[Any, Any]]
    gradients: bool = False
    observe: Callable[..., list[Any]] = lambda *_: []
    metric: Metric | None = None


@FEATURES.register()
def weights(
    select: Selection | None = None,
    *,
    feature_layers: tuple[str, ...] = (),
    sketch: Annotated[int | None, Range(1)] = None,
) -> Features:
    """Model parameters after local training, as published.

    Args:
        select: Which part of them, as a function; by default by the names that follow.
        feature_layers: layers that are looked at; by default all
        sketch: dimensions of a random projection of that; by default none
    """
    part = _selection(select, feature_layers, sketch)
    return Features(
        memory=lambda params, size, *_: (),
        before=lambda memory, params, cohort: (),
        after=lambda memory, params, gradient=None, *, cohort, regroup: (part(params), ()),
    )


@FEATURES.register()
def gradients(
    select: Selection | None = None,
    *,
    feature_layers: tuple[str, ...] = (),
    sketch: Annotated[int | None, Range(1)] = None,
) -> Features:
    """Gradients of the loss, averaged over the last local epoch's examples, without proximal terms.

    With cohorts they are remembered, which takes the memory of another copy of that part.

    Args:
        select: Which part of them, as a function; by default by the names that follow.
        feature_layers: layers that are looked at; by default all
        sketch: dimensions of a random projection of that; by default none
    """
    part = _selection(select, feature_layers, sketch)

    def memory(params, size, *_):
        return () if size is None else jax.tree.map(jnp.zeros_like, part(params))

    def after(memory, params, gradient=None, *, cohort, regroup):
        seen = participation.kept(memory, cohort, part(gradient))
        return seen, () if cohort is None else seen

    return Features(memory, lambda memory, params, cohort: memory, after, gradients=True)


@FEATURES.register()
def updates(
    select: Selection | None = None,
    *,
    feature_layers: tuple[str, ...] = (),
    sketch: Annotated[int | None, Range(1)] = None,
) -> Features:
    """What local training has added to each model since the last regrouping.

    ``u_n = Σ_r (w_n after training − w_n before training)`` over the rounds since; what mixing
    changed is not counted. With cohorts, a client that has not trained since keeps its last.
    Takes the memory of another copy of the part that is looked at.

    Args:
        select: Which part of the models, as a function; by default by the names that follow.
        feature_layers: layers that are looked at; by default all
        sketch: dimensions of a random projection of that; by default none

    Source: Sattler et al., arXiv 1910.01991 (clustering by updates).
    """
    part = _selection(select, feature_layers, sketch)

    def memory(params, size, *_):
        count = jax.tree.leaves(params)[0].shape[0]
        # In single precision, for an update is less than the digits that are stored of a model.
        nothing = jax.tree.map(lambda leaf: jnp.zeros_like(widened(leaf)), part(params))
        return nothing, jnp.zeros(count, bool)

    def before(memory, params, cohort):
        added, counts = memory

        def less(u, w):
            return jnp.where(counts.reshape(-1, *[1] * (u.ndim - 1)), u, 0.0) - widened(w)

        now = jax.tree.map(less, added, part(params)), jnp.ones_like(counts)
        return participation.kept(memory, cohort, now)

    def after(memory, params, gradient=None, *, cohort, regroup):
        before, counts = memory
        added = jax.tree.map(lambda u, w: u + widened(w), before, part(params))
        added = participation.kept(before, cohort, added)
        return added, (added, counts & ~regroup)

    return Features(memory, before, after)


@FEATURES.register()
def label_gradients(
    *,
    feature_layers: tuple[str, ...] = (),
    all_layers: bool = False,
    buckets: Annotated[int, Range(1)] = 257,
    strata: Annotated[int, Range(2)] = 4,
) -> Features:
    """Gradients at the root's model, label by label: who conflicts, whatever labels each has.

    Each client's mean gradient of the examples of each label that it has, which the metric
    ``by_label`` compares for labels that two clients share. With cohorts, a client that does not
    take part is seen as it last was; one that never has shares no label with anyone.

    Args:
        feature_layers: layers whose gradients they are; by default the last
        all_layers: whether that is by default all of them, at the cost of a whole gradient
        buckets: numbers of a count sketch that stand for a gradient, best a prime number
        strata: parts of equal size that targets are ordered into where they are no labels
    """
    see = partial(
        label_gradients_at,
        layers=tuple(feature_layers),
        all_layers=all_layers,
        buckets=buckets,
        strata=strata,
    )

    def shapes(local, model, clients):
        return jax.eval_shape(partial(see, local), jax.random.key(0), model, clients)

    def nothing(local, model, clients):
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes(local, model, clients))

    def memory(params, size, local, clients):
        return () if size is None else nothing(local, params.model(0), clients)

    def observe(local, key, model, clients, cohort, regroup):
        def now(_):
            return see(local, key, model, clients, cohort)

        return [lax.cond(regroup, now, lambda _: nothing(local, model, clients), None)]

    def after(memory, params, seen, *, cohort, regroup):
        if cohort is None:
            return seen, ()
        kept = participation.kept(memory, cohort, seen)
        return kept, jax.tree.map(partial(jnp.where, regroup), kept, memory)

    return Features(
        memory,
        lambda memory, params, cohort: memory,
        after,
        observe=observe,
        metric=by_label,
    )


def _selection(
    select: Selection | None, names: tuple[str, ...], dimensions: int | None
) -> Selection:
    """The part of models that was chosen, by a function or by names."""
    part = (layers(*names) if names else everything) if select is None else select
    return part if dimensions is None else sketch(dimensions, of=part)


def layers(*names: str) -> Selection:
    """The leaves whose path begins with one of the names, as in ``models.chosen_layers``.

    Args:
        names: Layers such as ``"Dense_0"``, or paths such as ``"Dense_1/kernel"``.

    Returns:
        The selection; it raises ``chosen_layers``' errors.
    """

    def select(params):
        chosen = jax.tree.leaves(chosen_layers(params, names))
        pairs = zip(jax.tree.leaves(as_pytree(params)), chosen, strict=True)
        return [leaf for leaf, wanted in pairs if wanted]

    return select
