"""What a comparison is asked for: its systems and seeds, the run of each, what is tuned."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from demjax.experiment.experiment import Experiment
from demjax.experiment.systems import System
from demjax.runs.new_files import whole_file

PLAN, TABLE, TUNED = "comparison.toml", "comparison.csv", "grid.csv"
"""What a comparison's folder holds beside its runs: what was asked for, and what came of it."""


class Job(NamedTuple):
    """A run of a comparison.

    Attributes:
        label: What it is called.
        experiment: What is run.
        out: Its folder.
    """

    label: str
    experiment: Experiment
    out: Path


class Trial(NamedTuple):
    """A combination of a grid's values for one system, tried on validation examples.

    Attributes:
        system: The place of the system.
        chosen: The values.
        job: Its run.
    """

    system: int
    chosen: Mapping[str, Any]
    job: Job


class Plan(NamedTuple):
    """A comparison as it is asked for.

    Attributes:
        systems: The systems, tuned ones once they are.
        seeds: The seeds that each is run with.
        out: The comparison's folder.
        by: The measure that picks rounds and values.
        grid: Values to try, by option.
        validation: Share of the training examples that is held out for these.
        trials: What is tried of the grid.
        jobs: The runs of each system under each seed.
        possible: All runs that there might be, whatever is chosen.
        notes: What is to be said of it.
    """

    systems: tuple[System, ...]
    seeds: tuple[int, ...]
    out: Path
    by: str
    grid: Mapping[str, Sequence[Any]]
    validation: float
    trials: tuple[Trial, ...]
    jobs: tuple[Job, ...]
    possible: tuple[Job, ...]
    notes: tuple[str, ...]

    @property
    def tuning(self) -> tuple[Job, ...]:
        """The runs of the trials."""
        return tuple(trial.job for trial in self.trials)

    def of_system(self, place: int) -> tuple[Job, ...]:
        """The runs of a system, one a seed."""
        count = len(self.seeds)
        return self.jobs[place * count : (place + 1) * count]

    def write(self) -> None:
        """Write down what is asked for, for whoever goes on with it."""
        self.out.mkdir(parents=True, exist_ok=True)
        with whole_file(self.out / PLAN) as partial:
            partial.write_text(tomli_w.dumps({"comparison": _asked(self)}), encoding="utf-8")


def _asked(plan: Plan) -> dict[str, Any]:
    return {
        "algorithms": [one.folder for one in plan.systems],
        "seeds": list(plan.seeds),
        "by": plan.by,
        **({"validation": plan.validation} if plan.grid else {}),
        "grid": [f"{name}={','.join(map(str, v))}" for name, v in plan.grid.items()],
    }


def check_goes_on(plan: Plan) -> None:
    """Refuse to go on with a comparison that was tuned in another way, or with other files."""
    path = plan.out / PLAN
    if not path.exists():
        own = next((name for name in (TABLE, TUNED) if (plan.out / name).exists()), None)
        if own:
            raise ValueError(
                f"{plan.out / own} exists, but is of no comparison that was begun there; possible "
                "is another --out."
            )
        return
    try:
        before = tomllib.loads(path.read_text(encoding="utf-8"))["comparison"]
        known = {name: before.get(name) for name in ("grid", "by", "validation")}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, AttributeError):
        raise ValueError(f"{path} is damaged: it is no plan of a comparison.") from None
    now = {name: _asked(plan).get(name) for name in known}
    other = [
        f"--{name} was {_said(known[name])} and is {_said(now[name])}"
        for name in known
        if known[name] != now[name]
    ]
    if other:
        raise ValueError(
            f"The comparison in {plan.out} was begun otherwise: {', '.join(other)}; possible is "
            "the same as then, or another --out."
        )


def _said(value: Any) -> str:
    if isinstance(value, list):
        return " and ".join(map(str, value)) or "not given"
    return "not given" if value is None else str(value)
