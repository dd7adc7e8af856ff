"""Checks across options: what is right by itself, but not together. Each is one sentence."""

from collections.abc import Mapping
from typing import Any

from demjax.data.partitions.published import check_published
from demjax.data.transforms.normalization import PUBLISHED as SCALED
from demjax.experiment.injected import check_injected
from demjax.metrics.extra import chosen
from demjax.registry import ALGORITHMS, METRICS, accepts


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
    check_injected(values)
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
