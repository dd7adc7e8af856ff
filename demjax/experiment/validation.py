"""The checks of an experiment's options: every one told in a sentence, nothing implied."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from demjax.experiment.defaults import (
    CHOICES,
    CONFLICTS,
    CONVOLUTIONAL,
    DEALING,
    DEFAULTS,
    NATURAL,
    PARTITIONS,
    PUBLISHED,
    SPECIAL,
)
from demjax.experiment.experiment import Experiment, option_types

PUBLISHED_CLIENTS = 50


def unused_options(experiment: Experiment) -> list[tuple[str, str]]:
    """Options that were given, but mean nothing here, each with what has no use for it."""
    partition, conflict = partition_of(experiment), experiment.conflict
    dealing = {**PARTITIONS.get(partition, {}), **CONFLICTS.get(conflict, {})}
    dealer = f"the partition {partition}"
    if conflict != "none":
        dealer += f" with the conflict {conflict}"
    uses = [
        (experiment.algorithm, SPECIAL, DEFAULTS.get(experiment.algorithm, {})),
        (dealer, DEALING, dealing),
    ]
    return [
        (user, field.name)
        for user, all_options, used in uses
        for field in dataclasses.fields(experiment)
        if field.name in all_options - set(used) and getattr(experiment, field.name) is not None
    ]


def partition_of(experiment: Experiment) -> str:
    """The partition that is asked for, or the data set's own."""
    own = "natural" if experiment.dataset in NATURAL else "labels"
    return own if experiment.partition is None else experiment.partition


def nearest(name: str, possible: Iterable[str]) -> str:
    """A half-sentence naming the nearest possible name, if one is near, and all of them."""
    possible = list(possible)
    close = difflib.get_close_matches(name.lower(), possible, n=1, cutoff=0.5)
    hint = f"perhaps {close[0]!r} was meant, and " if close else ""
    return f"{hint}possible are {', '.join(possible)}"


def resolve(experiment: Experiment) -> Experiment:
    """Check every option and fill in the algorithm's defaults, so that nothing is implied.

    Raises:
        ValueError: One sentence: what was given, and what is possible.
    """
    for field in dataclasses.fields(experiment):
        _check_option(field, getattr(experiment, field.name))
    defaults = {
        **DEFAULTS[experiment.algorithm],
        **PARTITIONS[partition_of(experiment)],
        **CONFLICTS[experiment.conflict],
    }
    filled: dict[str, Any] = dict.fromkeys((SPECIAL | DEALING) - set(defaults))
    filled["partition"] = partition_of(experiment)
    for name, default in defaults.items():
        given = getattr(experiment, name)
        filled[name] = default if given is None else given
    for name in ("data_dir", "partition_file"):
        if (path := filled.get(name, getattr(experiment, name))) is not None:
            filled[name] = str(Path(path).absolute())
    if experiment.pixels is None:
        published = experiment.partition == "published"
        filled["pixels"] = "published" if published else "standardized"
    given_levels, cuts = experiment.levels, {}
    for name in ("groups", "heights"):
        if (cut := filled.get(name)) is not None:
            cuts[name], filled["levels"] = cut, len(cut)
    resolved = dataclasses.replace(experiment, **filled)
    _check_cut(resolved, given_levels, cuts)
    _check_per_level(resolved)
    levels = resolved.levels or 0
    if not cuts and 2**levels > resolved.clients:
        raise ValueError(
            f"A tree of {levels} levels has up to {2**levels} lowest groups and needs as many "
            f"clients, but there are {resolved.clients}; possible levels are 0 to "
            f"{resolved.clients.bit_length() - 1}."
        )
    if resolved.cohort is not None and resolved.cohort > resolved.clients:
        raise ValueError(
            f"--cohort was given as {resolved.cohort}, but there are {resolved.clients} clients; "
            f"possible is 1 to {resolved.clients}."
        )
    if resolved.dropout is not None and resolved.model not in CONVOLUTIONAL:
        raise ValueError(
            f"--dropout was given as {resolved.dropout}, but the model {resolved.model!r} has "
            f"none; possible are the models {', '.join(CONVOLUTIONAL)}."
        )
    scaled = {*PUBLISHED, "leaf"}
    if resolved.pixels == "published" and resolved.dataset not in scaled:
        raise ValueError(
            f"There is no published scale of the data set {resolved.dataset!r}; possible is "
            f"--dataset with one of {', '.join(sorted(scaled))}, or another --pixels."
        )
    _check_dealing(resolved)
    return resolved


def _check_dealing(resolved: Experiment) -> None:
    """Refuse a published partition of other data, a file that is missing, kinds nobody can be."""
    if resolved.partition == "published" and resolved.dataset not in PUBLISHED:
        there = ", ".join(name for name in PUBLISHED if name in CHOICES["DATASETS"])
        raise ValueError(
            f"There is no published partition of the data set {resolved.dataset!r}; possible is "
            f"--dataset with one of {there}, or another --partition."
        )
    if resolved.partition == "published" and resolved.clients != PUBLISHED_CLIENTS:
        raise ValueError(
            f"The published partition has {PUBLISHED_CLIENTS} clients, but {resolved.clients} were "
            f"asked for; possible is --clients {PUBLISHED_CLIENTS}."
        )
    if resolved.partition == "file" and resolved.partition_file is None:
        raise ValueError(
            "The partition is to be read from a file, but none was named; possible is "
            "--partition-file with a file that demjax partition or a run wrote."
        )
    if resolved.kinds is not None and resolved.kinds > resolved.clients:
        raise ValueError(
            f"--kinds was given as {resolved.kinds}, but there are {resolved.clients} clients; "
            f"possible is 1 to {resolved.clients}."
        )


def _check_cut(resolved: Experiment, levels: int | None, cuts: Mapping[str, Any]) -> None:
    """Refuse two ways of cutting at once, groups there cannot be, and levels that do not nest."""
    if len(cuts) > 1:
        raise ValueError("--groups and --heights are two ways of cutting; possible is one of them.")
    most = resolved.clients
    if max(cuts.get("groups", (0,))) > most:
        raise ValueError(
            f"--groups was given as {_words(cuts['groups'])}, but there are {most} clients; "
            f"possible are up to {most} groups on a level."
        )
    least, two = resolved.min_size, max(1, most // 2)
    if least is not None and least > two:
        raise ValueError(
            f"--min-size was given as {least}, but {most} clients make no two such groups; "
            f"possible is 1 to {two}."
        )
    for name, cut in cuts.items():
        if levels is not None and levels != len(cut):
            raise ValueError(
                f"--{name} was given for {len(cut)} levels, but --levels as {levels}; possible is "
                f"--levels {len(cut)}, or none."
            )
        wanted = sorted(cut, reverse=name == "groups")
        if list(cut) != wanted:
            raise ValueError(
                f"--{name} was given as {_words(cut)}, which does not nest from the lowest level "
                f"up; possible is {_words(wanted)}."
            )


def _check_per_level(resolved: Experiment) -> None:
    """Refuse lists that are not of one value for each level."""
    levels = None if resolved.levels is None else resolved.levels + 1
    for name in ("mix", "weigh"):
        value = getattr(resolved, name)
        if isinstance(value, tuple) and len(value) != levels:
            possible = "one value" if levels is None else f"one value, or {levels}"
            raise ValueError(
                f"--{name} was given {len(value)} values, {_words(value)}; possible is {possible}."
            )


def _words(values: Iterable[Any]) -> str:
    return ",".join(str(value) for value in values)


def _check_option(field: dataclasses.Field, value: Any) -> None:
    flag = "--" + field.name.replace("_", "-")
    one, many, optional = option_types(field)
    if value is None and optional:
        return
    if many is not None and isinstance(value, tuple) and value:
        for item in value:
            _check_value(field, flag, many, item)
    elif one is not None:
        _check_value(field, flag, one, value)
    else:
        raise ValueError(f"{flag} needs values parted by commas, but {value!r} was given.")


def _check_value(field: dataclasses.Field, flag: str, wanted: type, value: Any) -> None:
    right = isinstance(value, int | float) if wanted is float else isinstance(value, wanted)
    if not right or isinstance(value, bool):
        raise ValueError(
            f"{flag} needs a value of type {wanted.__name__}, but {value!r} was given."
        )
    choices = field.metadata.get("choices")
    if choices is not None and value not in CHOICES[choices]:
        what = flag.removeprefix("--").replace("-", " ")
        raise ValueError(f"The {what} {value!r} is unknown; {nearest(value, CHOICES[choices])}.")
    low, high = field.metadata["low"], field.metadata["high"]
    if low is None:
        return
    # Whole numbers become 32 bits wide on the device.
    if not low <= value <= (2**31 - 1 if high is None else high):
        possible = f"{low} or more" if high is None else f"{low} to {high}"
        raise ValueError(f"{flag} was given as {value}; possible is {possible}.")
