"""Faults of any algorithm: clients that are not there, lie, or send what is no number.

Who is not there, and whose update is no number, takes no part in the round: the same masks that
make a cohort keep it out of every mean and of the clustering, and it keeps its model.
"""

from collections import namedtuple
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import get_opaque_trace_state
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models
from demjax.clients import participation
from demjax.clients.attacks import Attack
from demjax.clients.dropouts import Presence
from demjax.clients.local_training import LocalTraining
from demjax.pytrees import StackedModels, as_pytree, like


class Faulty(NamedTuple):
    """What the next round needs.

    Attributes:
        inner: The algorithm's own state.
        round: Rounds done.
    """

    inner: Any
    round: Int[Array, ""]


class _Called(NamedTuple):
    """What a call of local training gave, once liars had lied: arrays ``[N, ...]``."""

    made: tuple[Any, ...]
    finite: Bool[Array, " N"]


def with_faults(
    make: Callable[..., Algorithm],
    local: LocalTraining,
    *,
    cohort: participation.Who = None,
    presence: Presence | None = None,
    attack: Attack | None = None,
    attackers: Bool[np.ndarray, " N"] | None = None,
    leave_out_nonfinite: bool = False,
) -> Algorithm:
    """An algorithm some of whose clients drop out, lie, or send what is not finite.

        demjax.with_faults(demjax.demlearn, local, presence=dropouts(0.2))

    Who drops out of a round, and with ``leave_out_nonfinite`` whose model is not finite once it has
    trained, is in no cohort of it: it keeps its model and counts nowhere. A round for which nobody
    is left changes nothing. Liars send, and themselves keep, what the attack makes of each local
    training of theirs; of the states of an algorithm with steps of its own, of each model in them.

    Args:
        make: Makes the algorithm: ``(local=, cohort=) -> Algorithm``.
        local: How clients train; stragglers are its own.
        cohort: Clients drawn to train in each round, before any drops out.
        presence: Who is there, as ``dropouts`` or ``trace`` says; by default all.
        attack: How liars lie; their labels are not this function's, see ``lied_labels``.
        attackers: Whether each client lies.
        leave_out_nonfinite: Whether updates that are not finite are left out.

    Returns:
        The algorithm. Its info has the fields of the algorithm's own and ``dropped``, how many of
        the round's cohort dropped out, and ``left_out``, how many sent what is not finite; each of
        them where it can happen.

    Raises:
        ValueError: If attackers are not one truth value for each client; when a round is traced,
            if local training stands in a branch and what is not finite was to be left out.
    """
    lie = None if attack is None or attackers is None else attack.lie
    masks = presence is not None or leave_out_nonfinite
    most = cohort if isinstance(cohort, int) else None

    def of_mask(mask: Bool[Array, " N"]) -> Callable[..., participation.Cohort]:
        return lambda key, count: participation.from_mask(mask, most)

    def everyone(key: PRNGKeyArray, count: int) -> participation.Cohort:
        return participation.draw(key, count, cohort)

    plain = make(local=local, cohort=everyone if masks else cohort)

    def init(key: PRNGKeyArray, clients: ClientData) -> Faulty:
        if attackers is not None and len(attackers) != clients.n_clients:
            raise ValueError(
                f"Attackers need to be {clients.n_clients} truth values, one for each client, but "
                f"{len(attackers)} were given."
            )
        return Faulty(plain.init(key, clients), jnp.int32(0))

    def one_round(key: PRNGKeyArray, state: Faulty, clients: ClientData) -> tuple[Faulty, Any]:
        count, told = clients.n_clients, {}
        sending = local if lie is None else _lying(local, lie, jnp.asarray(attackers))
        if not masks:
            inner, info = make(local=sending, cohort=cohort).round(key, state.inner, clients)
            return Faulty(inner, state.round + 1), info
        who = participation.to_mask(participation.draw(key, count, cohort), count)
        if presence is not None:
            there = who & presence(key, state.round, count)
            told["dropped"] = jnp.sum(who & ~there)
            who = there
        if leave_out_nonfinite:
            calls: list[_Called] = []
            recording = _recording(sending, calls)
            make(local=recording, cohort=of_mask(who)).round(key, state.inner, clients)
            sound = jnp.stack([call.finite for call in calls]).all(axis=0) if calls else who
            told["left_out"] = jnp.sum(who & ~sound)
            who = who & sound
            sending = _repeating(sending, calls, who)
        inner, info = make(local=sending, cohort=of_mask(who)).round(key, state.inner, clients)
        anybody = jnp.any(who)
        inner = jax.tree.map(lambda new, old: jnp.where(anybody, new, old), inner, state.inner)
        return Faulty(inner, state.round + 1), also(info, told)

    def models(state: Faulty) -> Models:
        return plain.models(state.inner)

    return plain._replace(init=init, round=one_round, models=models)


def also(info: Any, told: dict[str, Any]) -> Any:
    """A round's info with further fields."""
    fields = info._asdict() if hasattr(info, "_asdict") else dict(info or {})
    return _info_of((*fields, *told))(*fields.values(), *told.values())


@cache
def _info_of(names: tuple[str, ...]) -> Callable[..., Any]:
    return namedtuple("FaultyInfo", names)


def _wide(mask: Bool[Array, " N"], leaf: Array) -> Bool[Array, " N ..."]:
    return mask.reshape(-1, *[1] * (leaf.ndim - 1))


def _is_models(part: Any) -> bool:
    return isinstance(part, StackedModels)


def _around(local: LocalTraining, then: Callable[..., tuple[Any, ...]]) -> LocalTraining:
    """Local training with ``(key, cohort, before, made) -> made`` after each call."""

    def train(key, models, clients, proximal=None, gradients=False, cohort=None, **more):
        made = local.train(key, models, clients, proximal, gradients, cohort, **more)
        return then(key, cohort, models, made)

    def steps(key, states, clients, step, *, cohort=None, **more):
        assert local.steps is not None
        made = local.steps(key, states, clients, step, cohort=cohort, **more)
        return then(key, cohort, states, made)

    return local._replace(train=train, mean=None, steps=local.steps and steps)


def _lying(local: LocalTraining, lie: Callable, liars: Bool[Array, " N"]) -> LocalTraining:
    """Local training that liars lie about."""

    def then(key, cohort, before, made):
        who = participation.to_mask(cohort, liars.shape[0])
        new, *rest = made

        def of_models(old, new):
            if not _is_models(new):
                return new
            start, trained = as_pytree(old), as_pytree(new)
            floats = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(start)]
            first, form = jax.tree.flatten(start)
            last = jax.tree.leaves(trained)
            updates = [w - v for w, v, yes in zip(last, first, floats, strict=True) if yes]
            told = iter(lie(updates, who & ~liars, key))
            sent = [
                jnp.where(_wide(who & liars, w), v + next(told), w) if yes else w
                for w, v, yes in zip(last, first, floats, strict=True)
            ]
            return like(new, jax.tree.unflatten(form, sent))

        return jax.tree.map(of_models, before, new, is_leaf=_is_models), *rest

    return _around(local, then)


def _recording(local: LocalTraining, calls: list[_Called]) -> LocalTraining:
    """Local training whose calls are kept, to be repeated."""
    here = get_opaque_trace_state()

    def then(key, cohort, before, made):
        if get_opaque_trace_state() != here:
            raise ValueError(
                "An algorithm whose clients train in a branch of its round, such as one that "
                "changes after some rounds, cannot leave out what is not finite; possible is "
                "leave_out_nonfinite=False."
            )
        floats = [
            leaf for leaf in jax.tree.leaves(made[0]) if jnp.issubdtype(leaf.dtype, jnp.floating)
        ]
        finite = [jnp.isfinite(leaf).reshape(leaf.shape[0], -1).all(axis=1) for leaf in floats]
        calls.append(_Called(made, jnp.stack(finite).all(axis=0)))
        return made

    return _around(local, then)


def _repeating(local: LocalTraining, calls: list[_Called], who: Bool[Array, " N"]) -> LocalTraining:
    """The calls that were recorded once more, for those alone whose results are kept.

    What a client trains from follows from what was there before the round and from its own earlier
    results in it; so nobody who is left out changes what others start from.
    """
    left = iter(calls)

    def again(before: tuple[Any, ...]) -> tuple[Any, ...]:
        made = next(left).made
        return jax.tree.map(lambda new, old: jnp.where(_wide(who, new), new, old), made, before)

    def nothing(of: Any) -> Any:
        return jax.tree.map(jnp.zeros_like, of)

    def train(key, models, clients, proximal=None, gradients=False, cohort=None, **more):
        unknown = jnp.full(clients.n_clients, jnp.nan)
        return again((models, unknown, nothing(models)) if gradients else (models, unknown))

    def steps(key, states, clients, step, *, cohort=None, **more):
        return again((states, jnp.full(clients.n_clients, jnp.nan)))

    return local._replace(train=train, mean=None, steps=local.steps and steps)
