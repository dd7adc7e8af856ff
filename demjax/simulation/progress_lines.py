"""What a run has done, in a line: for a terminal, and for a log."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

SCORES = {"C-SPE": "c_spe", "C-GEN": "c_gen", "Global": "global_score"}
"""The measures that are shown, and what they are called there."""


class Shown(NamedTuple):
    """What there is to show.

    Attributes:
        rounds: Rounds of the run.
        done: Rounds done.
        first: Rounds done when the first of them was heard of.
        begun: When that was; ``None`` before.
        doing: What goes on beside rounds, such as compiling; empty for rounds.
        since: When that began.
        scores: The last measures, by name.
    """

    rounds: int
    done: int = 0
    first: int = 0
    begun: float | None = None
    doing: str = ""
    since: float = 0.0
    scores: Mapping[str, float] = {}


def bar(shown: Shown, now: float, width: int | None = None) -> str:
    """The line on a terminal, at most so many characters wide.

    ``compiling round, measures: 12 s``, or
    ``40%|████      | 4/10 [00:12<00:18, 3.0s/round, C-SPE 0.900, C-GEN 0.812]``.
    """
    from tqdm import tqdm

    if shown.begun is None:
        return _doing(shown, now)[:width]
    found = ", ".join(f"{name} {value:.3f}" for name, value in shown.scores.items())
    rate = rounds_a_second(shown, now)
    return tqdm.format_meter(
        shown.done,
        shown.rounds,
        now - shown.begun,
        ncols=width,
        prefix=_doing(shown, now),
        unit="round",
        rate=rate,
        postfix=found or None,
    )


def sentence(shown: Shown, now: float) -> str:
    """The line in a log: ``round 4/10  0.333 rounds/s  about 18 s left  C-SPE 0.9000``."""
    if shown.begun is None:
        return _doing(shown, now)
    parts = [f"round {shown.done}/{shown.rounds}"]
    if rate := rounds_a_second(shown, now):
        left = (shown.rounds - shown.done) / rate
        parts += [f"{rate:.3g} rounds/s", f"about {_duration(left)} left"]
    parts += [f"{name} {value:.4f}" for name, value in shown.scores.items()]
    return "  ".join([*parts, *filter(None, [_doing(shown, now)])])


def rounds_a_second(shown: Shown, now: float) -> float | None:
    """Rounds a second since the first, measurements included; ``None`` before one is done."""
    if shown.begun is None or shown.done == shown.first or now <= shown.begun:
        return None
    return (shown.done - shown.first) / (now - shown.begun)


def scores(measures: Any, score: str = "accuracy") -> dict[str, float]:
    """Those of a run's measures that are shown, by name; those not taken are left out.

    The first says what all are means of, unless that is an accuracy.
    """
    values = {name: float(getattr(measures, field, np.nan)) for name, field in SCORES.items()}
    known = [(name, value) for name, value in values.items() if np.isfinite(value)]
    if known and score != "accuracy":
        known[0] = (f"{score}: {known[0][0]}", known[0][1])
    return dict(known)


def _doing(shown: Shown, now: float) -> str:
    return f"{shown.doing}: {_duration(now - shown.since)}" if shown.doing else ""


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, rest = divmod(round(seconds), 3600)
    minutes = f"{rest // 60} min"
    return f"{hours} h {minutes}" if hours else minutes
