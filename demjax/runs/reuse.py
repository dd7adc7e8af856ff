"""Whether a folder holds a run of an experiment already, all of it, half of it, or another one."""

import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from demjax.experiment.config import flat, read_options, to_toml
from demjax.experiment.experiment import Experiment, names_owners, settled
from demjax.runs.folder import CONFIG, METRICS, OWN, SUMMARY, holds_anything, read_summary
from demjax.runs.new_files import PARTLY

State = Literal["missing", "half", "whole"]

TUNING = "tuning"
"""The folder in a comparison's of runs on validation examples."""

ENDED = ("done", "diverged")
"""How a run ends that would end so again."""


def state_of(out: Path, experiment: Experiment) -> State:
    """How much of an experiment a folder holds.

    Returns:
        ``whole`` where its run has ended, ``half`` where it was interrupted, killed or failed.

    Raises:
        ValueError: If the folder holds another run, naming what differs, or other files.
    """
    if not holds_anything(out):
        if out.exists() and not out.is_dir():
            raise ValueError(f"{out} is a file, where the folder of a run would be.")
        return "missing"
    if not (out / CONFIG).is_file():
        raise ValueError(
            f"{out} holds other files, where a run would be; possible is another --out."
        )
    different = differences(out, experiment)
    if different:
        raise ValueError(
            f"{out} holds a run with other options: {different}; possible are the options of that "
            "run, or another --out."
        )
    if ended(out):
        return "whole"
    names = sorted(path.name for path in out.iterdir())
    strange = [name for name in names if name not in OWN and not PARTLY.fullmatch(name)]
    if strange:
        raise ValueError(
            f"{out} holds a run that did not end, and {strange[0]}, which would be in the way of "
            "another one; possible is to move it."
        )
    return "half"


def ended(out: Path) -> bool:
    """Whether a run has come to its end, be it that it diverged."""
    if not (out / SUMMARY).is_file():
        return False
    return read_summary(out)["status"] in ENDED


def differences(out: Path, experiment: Experiment) -> str:
    """By which options the run in a folder differs, in words; empty if by none.

    Raises:
        ValueError: If its options cannot be read.
    """
    found = read_options(out / CONFIG)
    asked = min((_written(form) for form in _forms(experiment)), key=lambda own: _apart(own, found))
    return ", ".join(
        f"{name} is {_said(found.get(name))} there and {_said(asked.get(name))} here"
        for name in dict.fromkeys([*asked, *found])
        if found.get(name) != asked.get(name)
    )


def by_options(folder: Path) -> dict[str, Path]:
    """The runs in a folder by their options, without those that cannot be read."""
    found: dict[str, Path] = {}
    for out in runs_in(folder):
        with suppress(ValueError):  # what cannot be read is not taken for another run
            if (out / CONFIG).is_file():
                found.setdefault(_key(read_options(out / CONFIG)), out)
    return found


def found_in(runs: Mapping[str, Path], experiment: Experiment) -> Path | None:
    """The run of an experiment among those of ``by_options``, whatever it is called."""
    keys = (_key(_written(form)) for form in _forms(experiment))
    return next((runs[key] for key in keys if key in runs), None)


def _key(options: Mapping[str, Any]) -> str:
    return repr(sorted(options.items()))


def expanded(folders: Sequence[Path]) -> list[Path]:
    """Run folders, in place of folders that hold such, without runs that only tuned something."""
    found: list[Path] = []
    for folder in folders:
        own = any((folder / name).exists() for name in (CONFIG, METRICS, SUMMARY))
        inside = [] if own else [out for out in runs_in(folder) if TUNING not in out.parts]
        found += inside or [folder]
    return found


def runs_in(folder: Path) -> list[Path]:
    """The run folders in a folder, up to three folders deep, by name."""
    found = {
        path.parent
        for depth in ("*", "*/*", "*/*/*")
        for name in (CONFIG, METRICS, SUMMARY)
        for path in folder.glob(f"{depth}/{name}")
    }
    return sorted(found)


def _forms(experiment: Experiment) -> list[Experiment]:
    """What the experiment can be once its data are known, who may name owners or not."""
    if "partition" in experiment.given or names_owners(experiment.dataset) is not None:
        return [experiment]
    forms = []
    for owners in (True, False):
        try:
            forms.append(settled(experiment, owners=owners))
        except ValueError:  # an option does not fit this form
            continue
    return forms or [experiment]


def _written(experiment: Experiment) -> dict[str, Any]:
    return flat(tomllib.loads(to_toml(experiment)))


def _apart(one: dict[str, Any], other: dict[str, Any]) -> int:
    return sum(one.get(name) != other.get(name) for name in {*one, *other})


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "not given" if value is None else str(value)
