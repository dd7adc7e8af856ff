"""Configurations as TOML: read, written, and overridden by hand."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from reprlib import repr as short
from typing import Any

import tomli_w

from demjax.experiment.experiment import (
    Experiment,
    not_taken,
    with_defaults,
)
from demjax.experiment.tables import all_options
from demjax.registry import (
    DATASETS,
    Option,
    check_value,
    nearest,
)

RENAMED = {"kinds": "true_clusters", "pixels": "normalization", "weigh": "weighting"}
"""What options of demjax 0.1 are called now."""

MOMENTS = {"global": "averaged"}
"""What values of ``client_models`` are called, which is ``measure_at`` now."""

_PRESETS = resources.files("demjax.experiment").joinpath("presets")

WITHOUT = {
    "amplified_rounds": ("amplification", 1.0),
    "beta_decay": ("beta", None),
    "attackers": ("attack", None),
    "beta_floor": ("beta", None),
    "client_noise": ("client_clip", None),
    "dropout_rate": ("dropout_rate", 0.0),
    "example_noise": ("example_clip", None),
    "leave_out_nonfinite": ("leave_out_nonfinite", False),
    "nesterov": ("momentum", None),
    "server_nesterov": ("server_momentum", None),
    "straggler_least": ("straggler_rate", 0.0),
    "straggler_rate": ("straggler_rate", 0.0),
}
"""Options that mean nothing while another one has a value; they are not written down then."""

EMPTY = ("attacker_clients", "average_layers", "extra", "feature_layers", "measures_every")
"""Lists that say nothing where they are empty."""


def read_toml(path: Path) -> dict[str, Any]:
    """Read options from a TOML file, such as a run folder's ``config.toml``.

    Returns:
        Options by name, whatever their table; those of a flat file of demjax 0.1 under their
        present names.

    Raises:
        ValueError: If the file cannot be read, is not TOML, or holds an unknown option or table.
    """
    parsed = _parsed(path)
    options = flat(parsed)
    for name, value in options.items():
        _check_value(path, name, value)
    try:
        known = all_options(with_defaults(options))
        for name, value in options.items():
            if name in known:
                check_value(known[name], value, f"{name} needs")
    except ValueError as error:
        raise ValueError(f"The config file {path} cannot be followed: {error}") from None
    if _is_old(parsed):
        _check_flat(path, options, known)
    else:
        _check_tables(path, parsed, known)
    return options


def read_options(path: Path) -> dict[str, Any]:
    """Read options as ``read_toml`` does, with those that this version does not know.

    Raises:
        ValueError: If the file cannot be read or is not TOML.
    """
    options = flat(_parsed(path))
    for name, value in options.items():
        _check_value(path, name, value)
    return options


def flat(parsed: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a parsed file by name, whatever their table; lists as tuples."""
    tables = [table for table in parsed.values() if isinstance(table, dict)]
    found = {name: value for table in tables for name, value in table.items()}
    if _is_old(parsed):
        found = _from_old({RENAMED.get(name, name): value for name, value in parsed.items()})
    return {name: tuple(v) if isinstance(v, list) else v for name, v in found.items()}


def presets() -> list[str]:
    """The names of all presets."""
    return sorted(file.name.removesuffix(".toml") for file in _PRESETS.iterdir())


def read_preset(name: str) -> dict[str, Any]:
    """The options of a preset.

    Raises:
        ValueError: If there is none of this name.
    """
    if name not in presets():
        raise ValueError(f"The preset {name!r} is unknown; {nearest(name, presets())}.")
    return flat(tomllib.loads((_PRESETS / f"{name}.toml").read_text(encoding="utf-8")))


def to_toml(experiment: Experiment) -> str:
    """Write an experiment as TOML, a table each subject; what has no use in it is left out."""
    tables: dict[str, dict[str, Any]] = {}
    for name, value in experiment.values.items():
        if value is not None and name not in idle(experiment.values):
            tables.setdefault(experiment.tables[name], {})[name] = value
    return tomli_w.dumps(tables)


def idle(options: Mapping[str, Any]) -> set[str]:
    """Those of some options that have no use beside the others, or say nothing."""
    nothing = {name for name in EMPTY if options.get(name) in ((), [])}
    needs = {name for name, (other, value) in WITHOUT.items() if options.get(other, value) == value}
    private = options.get("example_clip") is not None or options.get("client_clip") is not None
    return nothing | needs | (set() if private else {"delta"})


def _parsed(path: Path) -> dict[str, Any]:
    try:
        # Windows' editors write a mark first.
        return _renamed(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise ValueError(f"The config file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ValueError(
            f"The config file {path} is not valid TOML: it is not UTF-8; possible is to save it so."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"The config file {path} is not valid TOML: {error}.") from None
    except (ValueError, RecursionError):
        raise ValueError(
            f"The config file {path} cannot be read: a number in it is too long, or lists in it "
            "are nested too deep."
        ) from None


def _renamed(parsed: dict[str, Any]) -> dict[str, Any]:
    """Tables with the present name of an option that was called otherwise."""
    table = parsed.get("algorithm")
    if isinstance(table, dict) and "client_models" in table:
        moment = table.pop("client_models")
        table["measure_at"] = MOMENTS.get(str(moment), moment)
    return parsed


def _is_old(parsed: Mapping[str, Any]) -> bool:
    """Whether these are options of demjax 0.1, which knew no tables."""
    return not any(isinstance(value, dict) for value in parsed.values())


def _from_old(options: dict[str, Any]) -> dict[str, Any]:
    """Options of demjax 0.1, which wrote all that an algorithm takes, also what had no use."""
    real, constant = not str(options.get("dataset")).startswith("synthetic"), "beta" not in options
    unused = {
        "conflict": options.get("conflict") == "none",
        "levels": "groups" in options or "heights" in options,
        "slots": "heights" not in options,
        "beta_decay": constant,
        "beta_floor": constant,
        "synthetic_alpha": real,
        "synthetic_beta": real,
    }
    # It pooled the data's own test part, where they have one.
    own_tests = real and str(options.get("dataset")) in {*DATASETS} - {"digits"}
    rule = options.get("partition") not in ("natural", "published", "file")
    pooled = {"pool_tests": True} if own_tests and rule else {}
    return pooled | {name: value for name, value in options.items() if not unused.get(name)}


def _check_flat(path: Path, options: Mapping[str, Any], known: Mapping[str, Option]) -> None:
    """Refuse options that there are not."""
    for name in options:
        if name not in known:
            sentence = not_taken(name, options, known)
            raise ValueError(f"The config file {path} cannot be followed: {sentence}")


def _check_tables(path: Path, parsed: Mapping[str, Any], known: Mapping[str, Option]) -> None:
    """Refuse tables and options that there are not, and options that stand in the wrong table."""
    tables = sorted({option.table for option in known.values()})
    for table, content in parsed.items():
        if not isinstance(content, dict):
            raise ValueError(
                f"The config file {path} holds {table!r} outside of a table; possible are the "
                f"tables {', '.join(tables)}."
            )
        for name in content:
            if name in known and known[name].table != table:
                raise ValueError(
                    f"The config file {path} holds the option {name!r} in the table {table!r}; it "
                    f"belongs to {known[name].table!r}."
                )
            if name not in known and table not in tables:
                raise ValueError(
                    f"The config file {path} holds the unknown table {table!r}; "
                    f"{nearest(table, tables)}."
                )
            if name not in known:
                names = [one.name for one in known.values() if one.table == table]
                raise ValueError(
                    f"The config file {path} holds the unknown option {name!r} in the table "
                    f"{table!r}; {nearest(name, names)}."
                )


def _check_value(path: Path, name: str, value: Any) -> None:
    several = value if isinstance(value, list | tuple) else [value]
    if isinstance(value, dict) or any(isinstance(one, dict | list) for one in several):
        raise ValueError(
            f"The config file {path} holds the option {name!r} as {short(value)}; possible is a "
            "single value, or a list of them."
        )
    if any(isinstance(one, int) and abs(one) >= 2**63 for one in several):
        raise ValueError(
            f"The config file {path} holds the option {name!r} as a whole number of more than 64 "
            "bits, which TOML does not have; possible is a smaller one."
        )
