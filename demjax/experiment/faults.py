"""Faults of an experiment: from its options to who is there, who lies, and what they train on."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

from demjax.base import Algorithm
from demjax.clients import participation
from demjax.clients.attacks import Attack, attackers, lied_labels
from demjax.clients.dropouts import Presence, both, dropouts, read_trace
from demjax.clients.local_training import LocalTraining
from demjax.clients.stragglers import Stragglers, stragglers
from demjax.data.copies import each_its_own
from demjax.experiment.load_data import Partitioned
from demjax.registry import ATTACKS, call
from demjax.simulation.faults import with_faults


def _attack(values: Mapping[str, Any]) -> Attack:
    return call(ATTACKS.find(values["attack"]), ATTACKS, own_options(values, "attack_"))


def own_options(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Options of a choice by its own names for them."""
    return {n.removeprefix(prefix): v for n, v in values.items() if n.startswith(prefix)}


def liars(values: Mapping[str, Any], clients: int) -> Bool[np.ndarray, " N"]:
    """Which clients of an experiment lie."""
    named = values.get("attacker_clients", ())
    return attackers(clients, values.get("attackers", 0.0), named=named, seed=values["seed"])


def with_lied_labels(values: Mapping[str, Any], found: Partitioned) -> Partitioned:
    """The data with the labels that liars train on, in examples that nobody else has."""
    if values.get("attack") is None or _attack(values).labels is None:
        return found
    dataset, held = each_its_own(found.dataset, found.held)
    who = liars(values, len(held.train))
    y = lied_labels(dataset.y, held.train, who, _attack(values), dataset.classes)
    return found._replace(dataset=dataset._replace(y=y), held=held)


def stragglers_of(values: Mapping[str, Any]) -> Stragglers | None:
    """Who makes fewer steps; ``None`` for nobody."""
    rate = values.get("straggler_rate", 0.0)
    return stragglers(rate, values["straggler_least"]) if rate else None


def presence_of(values: Mapping[str, Any], clients: int) -> Presence | None:
    """Who is there; ``None`` for everyone."""
    rate, path = values.get("dropout_rate", 0.0), values.get("trace_file")
    by_chance = dropouts(rate) if rate else None
    return both(by_chance, read_trace(path, clients) if path is not None else None)


def under_faults(
    make: Callable[..., Algorithm],
    local: LocalTraining,
    values: Mapping[str, Any],
    cohort: participation.Who,
    clients: int,
) -> Algorithm:
    """The algorithm of an experiment, with the faults of its options.

    Args:
        make: Makes the algorithm: ``(local=, cohort=) -> Algorithm``.
        local: How clients train.
        values: The options.
        cohort: As of the options.
        clients: Number of clients.
    """
    presence = presence_of(values, clients)
    attack = None if values.get("attack") is None else _attack(values)
    lies = attack is not None and attack.lie is not None
    leave_out = values.get("leave_out_nonfinite", False)
    if presence is None and not leave_out and not lies:
        return make(local=local, cohort=cohort)
    return with_faults(
        make,
        local,
        cohort=cohort,
        presence=presence,
        attack=attack,
        attackers=liars(values, clients) if lies else None,
        leave_out_nonfinite=leave_out,
    )
