"""Options of a file with others in their place, and what follows from what was replaced."""

from collections.abc import Mapping
from typing import Any

from demjax.experiment.experiment import CLIENTS, names_owners, with_defaults
from demjax.experiment.tables import all_options
from demjax.registry import DATASETS, PARTITIONS, Slot, accepts, slot_of

FOLLOWING = {
    "dataset": ("normalization", "partition"),
    "partition": ("normalization",),
}
"""Options that follow from another one: where a file's is changed, theirs is too."""


def override(options: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a file, with those given by hand in their place.

    A file written by a run holds the defaults of what was chosen: under another choice they would
    mean something else, so they are dropped with it, but where that one has the same default. A
    partition that is not the data set's default, or whose options are not, stays.
    """
    lost: set[str] = set()
    unasked = _unasked(options)
    for option in all_options(with_defaults(options)).values():
        slot = slot_of(option)
        if slot is None:
            continue
        new = slot.chosen(option, given)  # the file's own, unless something else was given
        if new != option.default:
            lost |= set(FOLLOWING.get(option.name, ())) | {option.name}
            if option.name in FOLLOWING and options.get("clients") == CLIENTS:
                lost.add("clients")
            if option.name == "dataset":
                lost = lost | unasked if unasked else lost - {"partition"}
                lost |= set() if _reads_files(new) else {"data_dir"}
            if isinstance(option.default, str):
                same = slot.options(new, given) if isinstance(new, str) else {}
                lost |= {
                    name
                    for name, mine in slot.options(option.default, options).items()
                    if name not in same or same[name].default != mine.default
                }
    return {name: value for name, value in options.items() if name not in lost} | dict(given)


def _reads_files(dataset: Any) -> bool:
    """Whether a data set has a use for a folder."""
    choice = DATASETS.find(dataset) if isinstance(dataset, str) else None
    return choice is None or "files" in choice.facts or accepts(choice.make, "data_dir")


def _unasked(options: Mapping[str, Any]) -> set[str]:
    """The options of a partition that is the data set's default in all; else none."""
    others = {name: value for name, value in options.items() if name != "partition"}
    rule = with_defaults(others)["partition"]
    # Where only the data tell whether they name owners, natural follows as well.
    follows = (
        {rule, "natural"} if names_owners(options.get("dataset", "digits")) is None else {rule}
    )
    rule = options.get("partition", rule)
    default = rule in follows
    own = Slot(PARTITIONS).options(rule, options)
    default &= all(options.get(name, one.default) == one.default for name, one in own.items())
    return {*own, "partition"} if default else set()
