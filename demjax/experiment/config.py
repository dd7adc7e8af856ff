"""An experiment as TOML: read, written, and overridden by hand."""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from demjax.experiment.defaults import CONFLICTS, PARTITIONS, SPECIAL
from demjax.experiment.experiment import Experiment
from demjax.experiment.validation import nearest


def read_toml(path: Path) -> dict[str, Any]:
    """Read options from a TOML file, such as a run folder's ``config.toml``.

    Raises:
        ValueError: If the file cannot be read, is not TOML, or holds an unknown option.
    """
    try:
        options = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"The config file {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"The config file {path} is not valid TOML: {error}.") from None
    for name, value in options.items():
        if any(isinstance(one, dict | list) for one in _items(value)):
            raise ValueError(
                f"The config file {path} holds the option {name!r} as {value!r}; possible is a "
                "single value, or a list of them."
            )
    options = {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
    }
    names = [field.name for field in dataclasses.fields(Experiment)]
    for name in options:
        if name not in names:
            hint = nearest(name, names)
            raise ValueError(f"The config file {path} holds the unknown option {name!r}; {hint}.")
    return options


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def override(options: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a file, with those given by hand in their place.

    A file written by a run holds its algorithm's own defaults: under another algorithm they
    would mean something else, so they are dropped with it; likewise those of a partition and of a
    conflict, and the scale of the inputs under other data.
    """
    kept = dict(options)
    before = kept.get("algorithm", Experiment.algorithm)
    if given.get("algorithm", before) != before:
        kept = {name: value for name, value in kept.items() if name not in SPECIAL}
    lost: set[str] = set()
    used: set[str] = set()
    for choice, table in (("partition", PARTITIONS), ("conflict", CONFLICTS)):
        before = kept.get(choice, getattr(Experiment, choice) or "labels")
        after = given.get(choice, before)
        used |= set(table.get(after, ()))
        if after != before:
            lost |= set(table.get(before, ()))
    lost -= {"test_fraction", "kinds"} & used  # they mean the same everywhere
    kept = {name: value for name, value in kept.items() if name not in lost}
    for choice, option in (("dataset", "pixels"), ("partition", "pixels"), ("model", "dropout")):
        before = kept.get(choice, getattr(Experiment, choice)) or "labels"
        if given.get(choice, before) != before:
            kept.pop(option, None)
    return kept | dict(given)


def to_toml(experiment: Experiment) -> str:
    """Write an experiment as TOML; options that are ``None`` are left out."""
    options = dataclasses.asdict(experiment)
    return tomli_w.dumps({name: value for name, value in options.items() if value is not None})
