"""Checks of what is injected into an algorithm: faults, robust means, privacy."""

from collections.abc import Mapping
from typing import Any

from demjax.registry import ALGORITHMS, ATTACKS, MEANS, accepts

MASKED = ("dropout_rate", "trace_file", "leave_out_nonfinite")
"""Faults that need an algorithm whose cohorts can be chosen."""


def check_injected(values: Mapping[str, Any]) -> None:
    """Refuse what means nothing, or what the algorithm cannot have.

    Args:
        values: Every option's value.

    Raises:
        ValueError: One sentence.
    """
    _check_faults(values)
    _check_mean(values)
    _check_privacy(values)


def _check_faults(values: Mapping[str, Any]) -> None:
    """Refuse faults that mean nothing, or that the algorithm cannot have.

    Raises:
        ValueError: One sentence.
    """
    lies, some = values.get("attack"), values.get("attackers") or values.get("attacker_clients")
    if lies is not None and not some:
        raise ValueError(
            f"--attack was given as {lies}, but nobody lies; possible is --attackers with a share "
            "of the clients, or --attacker-clients with their numbers."
        )
    if lies is None and some:
        raise ValueError(
            "Attackers were given, but not what they do; possible is --attack with one of "
            f"{', '.join(ATTACKS)}."
        )
    clients = values.get("clients") or 10**9
    wrong = [one for one in values.get("attacker_clients", ()) if one >= clients]
    if wrong:
        raise ValueError(
            f"--attacker-clients holds {wrong[0]}, but there are {clients} clients; possible is 0 "
            f"to {clients - 1}."
        )
    choice = ALGORITHMS.find(values["algorithm"]) if "algorithm" in values else None
    if choice is None or accepts(choice.make, "cohort"):
        return
    sends = lies is not None and ATTACKS.find(lies).facts.get("changes") != "labels"
    given = [name for name in MASKED if values.get(name)] + ["attack"] * sends
    if given:
        raise ValueError(
            f"--{given[0].replace('_', '-')} was given, but the algorithm {choice.label!r} takes "
            "no argument 'cohort': there are no clients in it that train and send on their own."
        )


def _check_mean(values: Mapping[str, Any]) -> None:
    """Refuse a robust mean that the algorithm does not take, or that cannot bear so many liars."""
    name = values.get("mean")
    if name is None or "algorithm" not in values:
        return
    algorithm, choice = ALGORITHMS.find(values["algorithm"]), MEANS.find(name)
    if not accepts(algorithm.make, "average"):
        raise ValueError(
            f"--mean was given as {name}, but the algorithm {algorithm.label!r} takes no argument "
            "'average': nothing is averaged in it that could be replaced."
        )
    if values.get("amplification", 1.0) != 1.0:
        raise ValueError(
            f"--mean was given as {name}, and --amplification as {values['amplification']:g}; only "
            "the plain mean can be amplified: possible is --amplification 1."
        )
    members, share = values.get("cohort") or values.get("clients"), values.get("mean_liars")
    if members is None or share is None or "beside" not in choice.facts:
        return
    beside, lying = choice.facts["beside"], int(share * members + 1e-3)
    if members <= 2 * lying + beside:
        most = max(0, (members - 1 - beside) // 2)
        raise ValueError(
            f"--mean {name} bears {most} liars of {members} clients at most, for there have to be "
            f"more than 2 f{f' + {beside}' if beside else ''}, but --mean-liars {share:g} are "
            f"{lying}; possible is --mean-liars 0 to {most / members:.3g}."
        )


def _check_privacy(values: Mapping[str, Any]) -> None:
    """Refuse noise without a clip, and clients' privacy where more than means is told of them."""
    for what in ("example", "client"):
        if values.get(f"{what}_noise", 1.0) != 1.0 and values.get(f"{what}_clip") is None:
            raise ValueError(
                f"--{what}-noise was given as {values[f'{what}_noise']:g}, but nothing is clipped, "
                f"so that no noise would be enough; possible is --{what}-clip beside it."
            )
    if values.get("client_clip") is None or "algorithm" not in values:
        return
    choice = ALGORITHMS.find(values["algorithm"])
    if not accepts(choice.make, "average"):
        raise ValueError(
            f"--client-clip was given, but the algorithm {choice.label!r} takes no argument "
            "'average', in which clients' updates would be clipped and noised."
        )
    if "tells" in choice.facts:
        raise ValueError(
            f"--client-clip was given, but the algorithm {choice.label!r} also tells its server "
            f"{choice.facts['tells']}, without noise; possible is --example-clip, or one such as "
            "fedavg, fedprox or fixed_tree."
        )
    if values.get("mean") is not None:
        raise ValueError(
            f"--mean was given as {values['mean']} beside --client-clip, whose noise is measured "
            "for the mean of clipped updates; possible is one of them."
        )
    if values.get("amplification", 1.0) != 1.0:
        raise ValueError(
            "--client-clip was given beside --amplification, but only the plain mean can be "
            "amplified; possible is --amplification 1."
        )
