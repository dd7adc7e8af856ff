"""Which measures are taken: of clients, of groups, of the root, and how often each."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from demjax.base import ClientData, Models
from demjax.registry import check_number

CLIENT, GROUP, GLOBAL = MEASURES = ("client", "group", "global")
"""C-SPE and C-GEN; G-SPE and G-GEN of the levels under the root; the root's model."""

Taken = TypeVar("Taken")


@dataclass(frozen=True, eq=False)
class TakeMeasures(Generic[Taken]):
    """What takes measures: called with models, it returns those that it was made for, or fewer.

    Attributes:
        function: ``(models, data, measures) -> Measures``, traceable.
        clients: Everybody's data, if a call gives no others.
        measures: What it takes, in the order of ``MEASURES``.
        sampled: By ``"examples"`` and ``"clients"`` how many are measured and how many there are;
            without those that are not sampled.
    """

    function: Callable[[Models, ClientData, tuple[str, ...]], Taken]
    clients: ClientData
    measures: tuple[str, ...]
    sampled: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def __call__(
        self,
        models: Models,
        data: ClientData | None = None,
        *,
        measures: Sequence[str] | None = None,
    ) -> Taken:
        """Take the measures.

        Args:
            models: What is measured.
            data: Everybody's data.
            measures: Those of ``self.measures`` to take; by default all.

        Raises:
            ValueError: If ``measures`` holds none of them, or another one.
        """
        taken = self.measures if measures is None else checked(measures, self.measures)
        return self.function(models, self.clients if data is None else data, taken)


def checked(measures: Iterable[str], possible: Sequence[str] = MEASURES) -> tuple[str, ...]:
    """Measures in their own order, each once.

    Raises:
        ValueError: If there are none, or one is not among the possible.
    """
    given = [measures] if isinstance(measures, str) else list(measures)
    unknown = [name for name in given if name not in possible]
    if unknown or not given:
        what = f"{unknown[0]!r} was given" if unknown else "none was given"
        raise ValueError(f"Measures can be {_listed(possible)}, at least one, but {what}.")
    return tuple(name for name in MEASURES if name in given)


def check_intervals(
    every: Mapping[str, int] | None, take: Callable[..., Any] | None, measures: Sequence[str]
) -> None:
    """Refuse intervals of measures that are not taken, or cannot be taken one by one.

    Args:
        every: Rounds between two measurements, at least 1, by the name of the measure.
        take: What takes the measures; ``None`` for ``measure``'s.
        measures: What it takes.
    """
    if not every:
        return
    if take is not None and "measures" not in inspect.signature(take).parameters:
        raise ValueError(
            "Intervals of single measures were given as measures_every, but take_measures has no "
            "argument measures to ask it for some; possible is what demjax.measure returns."
        )
    for name, interval in every.items():
        if name not in measures:
            raise ValueError(
                f"Intervals can be given for {_listed(measures)}, which are measured, but "
                f"{name!r} was given."
            )
        check_number("A measure", f"an interval of {name!r}", interval, 1)
        if not isinstance(interval, int | np.integer):
            raise ValueError(
                f"A measure needs whole rounds as its interval, but {interval} was given for "
                f"{name!r}."
            )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(map(repr, names[:-1])), repr(names[-1])]))
