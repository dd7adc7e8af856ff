"""Which runs are the same setting under other seeds, what to call it, and how to draw it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from demjax.experiment.config import WITHOUT, idle
from demjax.plots.palette import more_colours
from demjax.plots.record import Record, Run, read_all
from demjax.plots.style import (
    BLACK,
    BLUE,
    DASHES,
    GREEN,
    MARKERS,
    ORANGE,
    PURPLE,
    SERIES,
    VERMILLION,
    shade,
)
from demjax.registry import ALGORITHMS, expand

_OF_THE_PAPER = {"demlearn": BLUE, "fedavg": VERMILLION, "fedprox": GREEN, "local_only": BLACK}
_OTHERS = [name for name in ALGORITHMS if name not in _OF_THE_PAPER]
_FREE = [PURPLE, ORANGE]  # sky is as light as orange in grey
_TAKEN = [*_OF_THE_PAPER.values(), *_FREE]

COLOURS: Mapping[str, str] = _OF_THE_PAPER | dict(
    zip(_OTHERS, [*_FREE, *more_colours(len(_OTHERS), _TAKEN)], strict=False)
)
"""The colour of each algorithm, the same in all figures."""

SYMBOLS: Mapping[str, str] = {
    "amplification": "amplification",
    "batch_size": "B",
    "beta": "β",
    "clients": "N",
    "levels": "K",
    "mix": "α",
    "period": "τ",
    "prox": "μ",
    "soft": "γ",
}
"""Letters of options in labels; any other option is called by its name."""

PLAIN = ("dataset", "features", "metric", "model", "partition")
"""Options whose value says enough by itself."""

UNSEEN = frozenset(
    {"seed", "data_dir", "chunk", "eval_every", "extra", "linkage_backend", "store"}
    | {"measure_clients", "measure_examples"}
)
"""Options by which runs of one setting may differ: seeds, and what changes no number much."""


class Setting(NamedTuple):
    """Runs that differ by their seed only.

    Attributes:
        label: What tells it apart from the other settings.
        algorithm: Name of its algorithm, or of the run if that is not known.
        records: The runs.
    """

    label: str
    algorithm: str
    records: tuple[Record, ...]

    @property
    def color(self) -> str | None:
        """The colour that was given to the first of its runs, if any."""
        return self.records[0].color

    def values(
        self, measure: str
    ) -> tuple[Int[np.ndarray, " E"], Float[np.ndarray, " runs E"]] | None:
        """A measure of each run, after the rounds that all have measured; ``None`` if they lack it.

        Rounds after which it was taken of none are left out.

        Args:
            measure: A column of ``metrics.csv``.
        """
        if not all(measure in record.measures for record in self.records):
            return None
        common = self.records[0].round
        for record in self.records[1:]:
            common = np.intersect1d(common, record.round)
        values = np.array(
            [r.measures[measure][np.searchsorted(r.round, common)] for r in self.records]
        )
        taken = ~np.isnan(values).all(axis=0)
        return (common[taken], values[:, taken]) if taken.any() else None


def settings(
    runs: Run | Sequence[Run],
    names: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
) -> list[Setting]:
    """Sort runs into settings, in the order in which these first appear.

    Runs belong together when all their options but the seed are the same; where names are given,
    when they have the same name. Labels are the algorithm, and the options by which it differs
    from the other runs: ``DemLearn, K = 3, cosine``.

    Args:
        runs: A run or several.
        names: What to call each, in place of labels made of options.
        colors: Their colours, one for each run.

    Raises:
        ValueError: If a run cannot be read, or names or colours are not as many.
    """
    records = read_all(runs, names, colors)
    together: dict[Any, list[Record]] = {}
    for record in records:
        own = record.named or not record.options
        key = record.name if own else tuple(sorted(_seen(record).items(), key=lambda kv: kv[0]))
        together.setdefault(key, []).append(record)
    firsts = [group[0] for group in together.values()]
    labels = _with_moments([label(one, firsts) for one in firsts], firsts)
    return [
        Setting(text, _algorithm(group[0]), tuple(group))
        for text, group in zip(labels, together.values(), strict=True)
    ]


def label(one: Record, others: Sequence[Record]) -> str:
    """The algorithm of a run, and the options by which it differs from others.

    Options of an algorithm alone are compared among runs of that algorithm; those that make it
    another one, such as FedAvg's mixing, are always told.
    """
    if one.named or not one.options:
        return one.name
    known = [other for other in others if other.options]
    same = [other for other in known if _algorithm(other) == _algorithm(one)]
    own = _algorithm(one)
    words = [ALGORITHMS[own].label if own in ALGORITHMS else own.rpartition(":")[2]]
    special, variants = _own_options(own)
    for name in dict.fromkeys(name for other in known for name in other.options):
        rivals = same if name in special else known
        if name in WITHOUT:
            rivals = [other for other in rivals if name in _seen(other)]
        differ = len({_seen(other).get(name) for other in rivals}) > 1
        if (differ and name != "algorithm") or name in variants:
            words += _word(name, _seen(one).get(name), one.options)
    return ", ".join(words)


def _with_moments(labels: Sequence[str], firsts: Sequence[Record]) -> list[str]:
    """Labels with the moment at which clients were scored, where that differs and is not said."""
    moments = [str(one.summary.get("measured_at") or "") for one in firsts]
    if len({moment for moment in moments if moment}) < 2:
        return list(labels)
    return [
        f"{text} ({moment})" if moment and moment not in text and not one.named else text
        for text, moment, one in zip(labels, moments, firsts, strict=True)
    ]


def _own_options(algorithm: str) -> tuple[set[str], set[str]]:
    """What only some algorithms take, and what makes this one another one where it is given."""
    special = {
        option
        for name in ALGORITHMS
        for option in expand(ALGORITHMS[name].make, {}, given=ALGORITHMS.given)
    } | {"groups", "heights", "server_lr", "server_momentum"}
    if algorithm not in ALGORITHMS:
        return special, set()
    own = expand(ALGORITHMS[algorithm].make, {}, given=ALGORITHMS.given)
    return special, {name for name, option in own.items() if option.default is None}


def _word(name: str, value: Any, options: Mapping[str, Any]) -> list[str]:
    if value is None:
        return []
    if name == "period" and value >= options.get("rounds", np.inf):
        return ["fixed tree"]
    if name in ("partition_file", "edges_file", "tree_file"):
        value = Path(value).stem
    many = value if isinstance(value, tuple) else (value,)
    text = "/".join(f"{one:g}" if isinstance(one, float) else str(one) for one in many)
    if name in PLAIN:
        return [text.replace("_", " ")]
    return [f"{SYMBOLS.get(name, name.replace('_', ' '))} = {text}"]


def _seen(record: Record) -> dict[str, Any]:
    unseen = UNSEEN | idle(record.options)
    return {name: value for name, value in record.options.items() if name not in unseen}


def _algorithm(record: Record) -> str:
    if "algorithm" in record.options:
        return str(record.options["algorithm"])
    start = record.name.lower().replace(" ", "").replace("_", "")
    found = [n for n in COLOURS if start.startswith(n.replace("_", ""))]
    return max(found, key=len, default=record.name)


def looks(several: Sequence[Setting]) -> list[dict[str, Any]]:
    """How to draw each setting's line: arguments of ``Axes.plot``.

    Colours tell algorithms apart, the same in all figures; the settings of one algorithm are
    shades of its colour. Dashes and markers differ besides, for print in grey.
    """
    unknown = [one.algorithm for one in several if one.algorithm not in COLOURS]
    free = [colour for colour in SERIES if colour not in COLOURS.values()] + list(SERIES)
    order = list(dict.fromkeys([*COLOURS, *unknown]))
    firsts = [order.index(one.algorithm) for one in several]
    used = {first % len(DASHES) for first in firsts}
    pairs = {(first % len(DASHES), first % len(MARKERS)) for first in firsts}
    drawn: list[dict[str, Any]] = []
    for number, (one, first) in enumerate(zip(several, firsts, strict=True)):
        siblings = [i for i, other in enumerate(several) if other.algorithm == one.algorithm]
        place, dash = siblings.index(number), first % len(DASHES)
        marker = (first + 2 * place) % len(MARKERS)
        if place:  # a dash that no other line has, as long as there is one
            left = [which for which in range(len(DASHES)) if which not in used]
            dash = left[0] if left else (first + place) % len(DASHES)
            used.add(dash)
            turns = [(marker + turn) % len(MARKERS) for turn in range(len(MARKERS))]
            marker = next((turn for turn in turns if (dash, turn) not in pairs), marker)
            pairs.add((dash, marker))
        new = free[(first - len(COLOURS)) % len(free)]
        drawn.append(
            {
                "color": one.color or shade(COLOURS.get(one.algorithm, new), place, len(siblings)),
                "linestyle": DASHES[dash],
                "marker": MARKERS[marker],
            }
        )
    return drawn
