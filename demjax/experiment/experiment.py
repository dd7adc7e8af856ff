"""An experiment: every option of a run with its value, checked, so that nothing is implied."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

from demjax.experiment.tables import TABLES, all_options
from demjax.experiment.validation import check_together
from demjax.registry import (
    DATASETS,
    PARTITIONS,
    REQUIRED,
    Option,
    Registry,
    Slot,
    accepts,
    check_value,
    code_in,
    expand,
    nearest,
    slot_of,
)

PATHS = ("data_dir", "partition_file", "edges_file", "tree_file", "trace_file")
"""Options that are paths, which are kept absolute, so that a run can be repeated from anywhere."""

CLIENTS = 50
"""Number of clients by default, where no data and no file say who they are."""


@dataclass(frozen=True)
class Experiment:
    """Everything that decides a run's numbers; made by ``resolve``.

    Attributes:
        values: Every option's value, by name: ``experiment.clients`` is ``values["clients"]``.
        tables: The table of a configuration file that each belongs to.
        given: Those that were given, not filled in.
    """

    values: Mapping[str, Any]
    tables: Mapping[str, str]
    given: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self.values:
            raise AttributeError(f"This experiment has no option {name!r}.")
        return self.values[name]


def resolve(given: Mapping[str, Any], *, tables: tuple[str, ...] = tuple(TABLES)) -> Experiment:
    """Check every option and fill in the defaults of what is chosen.

    Args:
        given: Options by name; ``None`` stands for the default.
        tables: The tables that count, and with them what is chosen there.

    Raises:
        ValueError: One sentence: what was given, and what is possible.
    """
    given = {name: value for name, value in given.items() if value is not None}
    filled = with_defaults(given)
    options = all_options(filled, tables)
    for name in filled:
        if name not in options:
            raise ValueError(not_taken(name, filled, options))
    values: dict[str, Any] = {}
    for name, option in options.items():
        value = filled.get(name, option.default)
        if value is REQUIRED:
            raise ValueError(f"{option.flag} is needed: {option.help or 'it has no default'}.")
        check_value(option, value, f"{option.flag} needs")
        values[name] = tuple(value) if isinstance(value, list) else value
    for name, value in values.items():
        if slot_of(options[name]) is None and name not in PATHS:
            continue
        if isinstance(value, tuple):
            values[name] = tuple(_absolute(word) if code_in(word) else word for word in value)
        elif isinstance(value, str) and (name in PATHS or code_in(value)):
            values[name] = _absolute(value)
    check_together(values, given)
    return Experiment(values, {name: option.table for name, option in options.items()}, given)


def _absolute(path: str) -> str:
    return str(Path(path).absolute())


def with_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options with the defaults of those that follow from others.

    These are partition, normalization and, where the clients are not those that the data or a file
    name, their number. Where only the data tell whether they name owners, the partition is for now
    ``labels`` and the number of clients open: see ``settled``.
    """
    filled = dict(given)
    dataset = filled.get("dataset", "digits")
    owners = names_owners(dataset)
    partition = filled.setdefault("partition", "natural" if owners is True else "labels")
    filled.setdefault("normalization", "published" if partition == "published" else "standardized")
    count = usual_clients(partition)
    if "partition" not in given and owners is None:
        count = None
    if count is None and isinstance(dataset, str):
        count = CLIENTS if accepts(DATASETS.find(dataset).make, "clients") else None
    if count is not None:
        filled.setdefault("clients", count)
    return filled


def usual_clients(partition: Any) -> int | None:
    """How many clients a partition has by default; ``None`` where data or a file say who they are.

    That is the default of its own ``clients``, or ``CLIENTS`` where it has none.
    """
    if partition not in PARTITIONS:
        return CLIENTS
    usual = signature(PARTITIONS[partition].make).parameters["clients"].default
    return CLIENTS if usual is REQUIRED else usual


def settled(experiment: Experiment, *, owners: bool) -> Experiment:
    """An experiment once its data are known: natural where they name owners and no rule was given.

    Args:
        experiment: As ``resolve`` returns it.
        owners: Whether the data name the owner of each example.

    Raises:
        ValueError: An option was given that this rule does not take, or does not fit it.
    """
    if "partition" in experiment.given or names_owners(experiment.dataset) is not None:
        return experiment
    rule = "natural" if owners else "labels"
    tables = tuple(name for name in TABLES if name in experiment.tables.values())
    try:
        return resolve({**experiment.given, "partition": rule}, tables=tables)
    except ValueError as error:
        if rule not in str(error):
            raise
        why = "name owners" if owners else "name no owners"
        raise ValueError(f"These data {why}, and no --partition was given. {error}") from None


def names_owners(dataset: Any) -> bool | None:
    """Whether a data set names owners; ``None`` where only the data tell."""
    if not isinstance(dataset, str):
        return False
    return DATASETS.find(dataset).facts.get("natural", None if code_in(dataset) else False)


def not_taken(name: str, given: Mapping[str, Any], options: Mapping[str, Option]) -> str:
    """Why an option cannot be given: which choice does not take it, and what that one takes."""
    flag = "--" + name.replace("_", "-")
    for option in options.values():
        slot = slot_of(option)
        chosen = given.get(option.name, option.default)
        if slot is None or not (slot.inferred or name.startswith(slot.prefix)):
            continue
        own = name if slot.inferred else name[len(slot.prefix) :]
        if not any(_takes(slot.registry, other, own) for other in slot.registry):
            continue
        if chosen in slot.registry and _takes(slot.registry, chosen, own):
            continue  # it would, under another choice that is made further inside
        if slot.inferred and option.name not in given:
            return _not_together(slot, given)
        takers = ", ".join(one for one in slot.registry if _takes(slot.registry, one, own))
        if chosen is None:
            return f"Without {option.flag} a run takes no {flag}; possible is one of {takers}."
        mine = slot.options(chosen, given) if isinstance(chosen, str) else {}
        return (
            f"The {slot.registry.kind} {chosen!r} takes no {flag}, which is for {takers}; it takes "
            f"{_flags(mine) or 'nothing of its own'}."
        )
    return f"The option {flag} is unknown; {nearest(flag, [one.flag for one in options.values()])}."


def _not_together(slot: Slot, given: Mapping[str, Any]) -> str:
    """Why options cannot be given at once that would each pick another choice."""
    takes = {name: slot.options(name, {}) for name in slot.registry}
    asked = {n: o for mine in takes.values() for n, o in mine.items() if n in given}
    possible = ", or ".join(f"{name} with {_flags(mine)}" for name, mine in takes.items())
    return f"No {slot.registry.kind} takes {_flags(asked)} together; possible is {possible}."


def _flags(options: Mapping[str, Option]) -> str:
    return ", ".join(one.flag for one in options.values())


def _takes(registry: Registry, name: str, option: str) -> bool:
    """Whether a choice takes an option, under any of the choices that it offers itself."""
    for one in expand(registry[name].make, {}, given=registry.given).values():
        slot = slot_of(one)
        if one.name == option:
            return True
        if slot is not None and any(option in slot.options(inner, {}) for inner in slot.registry):
            return True
    return False
