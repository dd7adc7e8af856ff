"""Privacy of an experiment: from its options to what is clipped and noised, and what is told."""

from collections.abc import Callable, Mapping
from typing import Any

from demjax.base import Algorithm, Task
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clients.private_steps import Private, check_private, private
from demjax.simulation.privacy import accounted, check_accountant


def examples_private(values: Mapping[str, Any]) -> Private | None:
    """What protects examples; ``None`` for nothing."""
    clip = values.get("example_clip")
    return None if clip is None else private(clip, values["example_noise"])


def clients_private(values: Mapping[str, Any], task: Task) -> Private:
    """What protects clients, where something does.

    Raises:
        ValueError: If the model has state, which cannot be noised.
    """
    check_private(task)
    return private(values["client_clip"], values["client_noise"])


def with_privacy(
    make: Callable[..., Algorithm],
    local: LocalTraining,
    values: Mapping[str, Any],
    cohort: participation.Who,
) -> Algorithm:
    """The algorithm of an experiment, which tells what privacy it spends, if any is protected.

    Args:
        make: Makes the algorithm: ``(local=, cohort=) -> Algorithm``.
        local: How clients train.
        values: The options.
        cohort: As of the options.
    """
    clip = values.get("client_clip")
    if clip is None and local.private is None:
        return make(local=local, cohort=cohort)
    check_accountant()
    client = None if clip is None else private(clip, values["client_noise"])
    return accounted(make, local, cohort=cohort, client=client, delta=values["delta"])
