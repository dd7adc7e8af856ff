"""Checks across options: what is right by itself, but not together. Each is one sentence."""

from collections.abc import Mapping
from typing import Any

from demjax.data.partitions.published import check_published
from demjax.data.transforms.normalization import PUBLISHED as SCALED
from demjax.metrics.extra import chosen
from demjax.registry import ALGORITHMS, ATTACKS, MEANS, METRICS, accepts

MASKED = ("dropout_rate", "trace_file", "leave_out_nonfinite")
"""Faults that need an algorithm whose cohorts can be chosen."""


def check_together(values: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse options that do not fit together.

    Args:
        values: Every option's value.
        given: Those that were given, not filled in.
    """
    intervals(values)
    for word in chosen(values.get("extra", ())).values():
        METRICS.find(str(word))
    _check_data(values)
    _check_cloud(values, given)
    _check_faults(values)
    _check_mean(values)
    _check_privacy(values, given)
    if values.get("clients") is not None:
        _check_clients(values, given)
    if values.get("cohort") is not None:
        choice = ALGORITHMS.find(values["algorithm"])
        if not accepts(choice.make, "cohort"):
            raise ValueError(
                f"--cohort was given as {values['cohort']}, but the algorithm {choice.label!r} "
                "takes no argument 'cohort': all clients train in each round."
            )
    if "cut" in values:
        _check_cut(values)
        _check_per_level(values)


def intervals(values: Mapping[str, Any]) -> dict[str, int]:
    """The intervals of single measures, from ``client=10`` and its like.

    Raises:
        ValueError: If one is no such word, or of what is not measured.
    """
    found = {}
    for word in values.get("measures_every", ()):
        name, _, number = word.partition("=")
        if name not in values["measures"] or not number.isdecimal() or int(number) < 1:
            raise ValueError(
                f"--measures-every was given as {word!r}; possible is one of "
                f"{', '.join(values['measures'])} with a whole number of rounds from 1, such as "
                f"{values['measures'][0]}=10."
            )
        found[name] = int(number)
    return found


def _check_data(values: Mapping[str, Any]) -> None:
    dataset = values.get("dataset")
    if values.get("partition") == "published":
        check_published(values["dataset"], values["clients"])
    if values.get("normalization") == "published" and dataset not in SCALED:
        raise ValueError(
            f"There is no published scale of the data set {dataset!r}; possible is --dataset with "
            f"one of {', '.join(SCALED)}, or another --normalization."
        )


def _check_cloud(values: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse a run that was asked to end between two averages of the cloud."""
    rounds, every = values.get("rounds"), values.get("kappa2")
    if rounds is None or every is None or "kappa2" not in given or rounds % every == 0:
        return
    before = rounds - rounds % every
    possible = f"{before} or {before + every}" if before else f"{every}"
    raise ValueError(
        f"--kappa2 was given as {every}, but in the last of {rounds} rounds the cloud does not "
        f"average then, so that its model would be {rounds % every} rounds old; possible is "
        f"--rounds {possible}."
    )


def _check_clients(values: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse what needs more clients than there are."""
    clients = values["clients"]
    two, levels = max(1, clients // 2), values.get("levels", 0)

    def stands(name: str) -> str:
        how = "was given as" if name in given else "is by default"
        return f"--{name.replace('_', '-')} {how} {_words(values[name])}"

    for name in ("cohort", "true_clusters"):
        if values.get(name) is not None and values[name] > clients:
            raise ValueError(
                f"{stands(name)}, but there are {clients} clients; possible is 1 to {clients}."
            )
    for name, what in (("groups", "groups on a level"), ("edges", "edges")):
        asked = values.get(name) or 0
        if (max(asked) if isinstance(asked, tuple) else asked) > clients:
            raise ValueError(
                f"{stands(name)}, but there are {clients} clients; possible are up to {clients} "
                f"{what}."
            )
    if "cut" not in values:
        return
    if 2**levels > clients:
        usual = "" if "levels" in given else ", the default,"
        raise ValueError(
            f"A tree of {levels} levels{usual} has up to {2**levels} lowest groups and needs as "
            f"many clients, but there are {clients}; possible is --levels 0 to "
            f"{clients.bit_length() - 1}."
        )
    if values.get("min_size", 1) > two:
        raise ValueError(
            f"{stands('min_size')}, but {clients} clients make no two such groups; possible is 1 "
            f"to {two}."
        )


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


def _check_privacy(values: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse noise without a clip, and clients' privacy where more than means is told of them."""
    for what in ("example", "client"):
        if f"{what}_noise" in given and values.get(f"{what}_clip") is None:
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


def _check_cut(values: Mapping[str, Any]) -> None:
    """Refuse levels that do not nest."""
    for name in ("groups", "heights"):
        cut = values.get(name, ())
        wanted = sorted(cut, reverse=name == "groups")
        if list(cut) != wanted:
            raise ValueError(
                f"--{name} was given as {_words(cut)}, which does not nest from the lowest level "
                f"up; possible is {_words(wanted)}."
            )


def _check_per_level(values: Mapping[str, Any]) -> None:
    """Refuse lists that are not of one value for each level."""
    cut = values.get("groups", values.get("heights", ()))
    levels = (len(cut) or values.get("levels", 0)) + 1
    for name in ("mix", "weighting"):
        value = values.get(name)
        if isinstance(value, tuple) and len(value) != levels:
            raise ValueError(
                f"--{name} was given {len(value)} values, {_words(value)}; possible is one value, "
                f"or {levels}."
            )


def _words(values: Any) -> str:
    return ",".join(map(str, values)) if isinstance(values, tuple | list) else str(values)
