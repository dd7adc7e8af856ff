"""``demjax groups``: do these clients have groups that conflict, how many, who, and how sure."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from demjax.cli.images import check_image, save_image
from demjax.cli.parsing import Commands, help_of, read_given, take_options
from demjax.experiment import build
from demjax.experiment.experiment import resolve, with_defaults
from demjax.experiment.tables import all_options
from demjax.plots.found_groups import found_groups
from demjax.simulation.group_search import Groups, groups

TABLES = ("run", "data", "model", "training")
"""The tables whose options count."""

IDLE = (set(all_options({}, ("run",))) - {"seed"}) | {"cohort", "store_models", "validation"}
"""Options of these tables that do not."""

SURE, SHOWN = 0.8, 12
"""Above what stability groups are called sure, and how many clients of a group are listed."""


def add(commands: Commands, summary: str) -> None:
    """Add the command to the command line's, with its summary for help."""
    parser = commands.add_parser(
        "groups",
        help=summary,
        add_help=False,
        usage="demjax groups [--rounds N] [--json] [--image FILE] [OPTION VALUE …]",
        description="Train one model with all clients for a few rounds, compare clients' "
        "gradients label by label, and say whether they have groups. Takes the options of demjax "
        "run on data, model and training.",
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of training [3]")
    parser.add_argument("--all-layers", action="store_true", help="gradients of all layers")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.add_argument(
        "--image", type=Path, metavar="FILE", help="new .png, .svg or .pdf file of it"
    )
    take_options(parser, _groups)


def _groups(parsed: argparse.Namespace, words: Sequence[str]) -> str:
    given = read_given(parsed, words, tables=TABLES, without=IDLE).options
    options = all_options(with_defaults(given), TABLES)
    if parsed.help:
        shown = {name: option for name, option in options.items() if name not in IDLE}
        return help_of(parsed.parser, shown)
    if parsed.rounds < 0:
        raise ValueError(f"--rounds can be 0 or more, but {parsed.rounds} was given.")
    check_image(parsed.image)
    mine = {name: value for name, value in given.items() if name in options and name not in IDLE}
    built = build.build(resolve({**mine, "algorithm": "fedavg"}))
    local = build.local_of(built.experiment, built.task)
    with build.as_asked(built.experiment):
        found = groups(local, built.clients, rounds=parsed.rounds, all_layers=parsed.all_layers)
    if parsed.image is not None:
        _draw(found, parsed.image)
    if parsed.json:
        return json.dumps(as_numbers(found, built.labels), indent=2)
    return in_words(found, built.labels)


def as_numbers(found: Groups, labels: Sequence[str]) -> dict[str, Any]:
    """What was found as plain numbers and lists, for JSON."""

    def plain(numbers: Any) -> list[float | None]:
        return [round(float(x), 4) if np.isfinite(x) else None for x in numbers]

    return {
        "n_groups": found.n_groups,
        "groups": found.groups.tolist(),
        "stability": round(found.stability, 4),
        "found_again": round(found.found_again, 4),
        "client_stability": plain(found.client_stability),
        "jumps": {str(k + 2): ratio for k, ratio in enumerate(plain(found.ratio))},
        "jump_limit": round(found.limit, 4),
        "labels": dict(zip(_names(found, labels), plain(found.labels), strict=True)),
        "inputs": found.inputs.tolist(),
        "input_ratio": plain(found.input_ratio),
        "advice": advice(found),
    }


def in_words(found: Groups, labels: Sequence[str]) -> str:
    """What was found as a reader wants it: a sentence, a table, and what to do."""
    count, jump = len(found.groups), float(np.max(found.ratio, initial=1.0))
    chance = f"merge heights rise by up to {jump:.2f} at once, by chance up to {found.limit:.2f}"
    if found.n_groups == 1:
        lines = [f"{count:,} clients have no groups that conflict: {chance}."]
        lines.append(f"Of halves of the examples {found.found_again:.0%} say so too.")
        return "\n".join([*lines, advice(found)])
    sure = "sure" if found.stability > SURE else "not sure"
    lines = [
        f"{count:,} clients have {found.n_groups} groups: {chance}.",
        f"As many groups of half of the examples are these with a stability of "
        f"{found.stability:.2f} of 1: {sure}. Heights jump in {found.found_again:.0%} of halves.",
        "group  clients  stability  who",
    ]
    for number in range(found.n_groups):
        who = np.flatnonzero(found.groups == number)
        listed = " ".join(map(str, who[:SHOWN])) + (" …" if len(who) > SHOWN else "")
        stable = found.client_stability[who].mean()
        lines.append(f"{number:>5}  {len(who):>7,}  {stable:>9.2f}  {listed}")
    unsure = np.flatnonzero(found.client_stability < 0.5)
    if 0 < len(unsure) < count:
        listed = " ".join(map(str, unsure[:SHOWN])) + (" …" if len(unsure) > SHOWN else "")
        lines.append(f"unsure: {len(unsure):,} clients ({listed})")
    names, order = _names(found, labels), np.argsort(-np.nan_to_num(found.labels))
    known = [place for place in order if np.isfinite(found.labels[place])][:5]
    told = ", ".join(f"{names[place]} ({found.labels[place]:.1f})" for place in known)
    lines.append(f"labels by which groups differ most, in parts of within groups: {told}")
    inputs = zip(found.inputs, found.input_ratio, strict=True)
    told = ", ".join(f"{place} ({ratio:.1f})" for place, ratio in inputs)
    lines.append(f"inputs whose means differ most, in units of chance: {told}")
    return "\n".join([*lines, advice(found)])


def advice(found: Groups) -> str:
    """Which learning system follows from that."""
    if found.n_groups == 1:
        return (
            "One model serves all: fedavg, fine-tuned where clients want their own "
            "(--measure-at fine-tuned), or a personalized system; groups would gain nothing."
        )
    if found.stability > SURE:
        return (
            "Models of groups can pay: --preset recommended finds these groups as it trains, or "
            f"--algorithm ifca --clusters {found.n_groups}; how much groups conflict, a comparison "
            "with fedavg, fine-tuned, says."
        )
    return (
        "Who belongs together is not sure: more examples a client, or rounds, may tell; compare "
        "--preset recommended with fedavg, fine-tuned."
    )


def _names(found: Groups, labels: Sequence[str]) -> list[str]:
    if len(labels) == len(found.labels):
        return list(labels)
    return [f"stratum {number + 1}" for number in range(len(found.labels))]


def _draw(found: Groups, path: Path) -> None:
    from matplotlib.figure import Figure

    save_image(found_groups(found, figure=Figure()), path)
