"""The tables of a report: how runs ended, and their options. Everything in them is escaped."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from demjax.report.folder import Run
from demjax.runs.beside import commonest, extras
from demjax.runs.reader import UNFINISHED

LAST = (("C-SPE", "c_spe"), ("C-GEN", "c_gen"), ("Global", "global"))
"""The last measures, and their columns."""


def summary(runs: Sequence[Run]) -> str:
    """How each run ended: its last measures, times, device and versions, a column a run."""
    rows: list[tuple[str, list[str]]] = [
        ("how it ended", [_ended(run) for run in runs]),
        ("algorithm", [str(run.config.get("algorithm", "–")) for run in runs]),
        ("data", [_data(run) for run in runs]),
        ("rounds", [_rounds(run) for run in runs]),
    ]
    moments = [str(run.summary.get("measured_at") or "–") for run in runs]
    if set(moments) != {"–"}:
        rows.append(("clients' models scored when", moments))
    scores = [str(run.summary.get("score", "accuracy")) for run in runs]
    if set(scores) != {"accuracy"}:
        rows.append(("measures are means of", scores))
    rows += [(name, [_last(run, column) for run in runs]) for name, column in LAST]
    for extra in dict.fromkeys(name for run in runs for name in extras(run.metrics)):
        for name, column in LAST:
            shown = [_last(run, f"{extra}_{column}") for run in runs]
            rows.append((f"{extra.replace('_', ' ')}, {name}", shown))
    for name, said in (
        ("always the commonest label", [commonest(run.summary) for run in runs]),
        ("measured", [_sampled(run.summary.get("sampled")) for run in runs]),
    ):
        if any(said):
            rows.append((name, [one or "–" for one in said]))
    for name, key in (
        ("seconds in all", "total_seconds"),
        ("… of compiling", "compile_seconds"),
        ("… of a round", "round_seconds"),
        ("… of a measurement", "measure_seconds"),
    ):
        rows.append((name, [_seconds(run.summary.get(key)) for run in runs]))
    rows.append(("device", [_device(run.summary.get("device")) for run in runs]))
    rows.append(("versions", [_versions(run.summary.get("versions")) for run in runs]))
    return _table("How the runs ended" if len(runs) > 1 else "How the run ended", runs, rows)


def options(runs: Sequence[Run]) -> str:
    """All options of all runs, a column a run; those that differ come first."""
    names = list(dict.fromkeys(name for run in runs for name in run.config))
    rows = [(name, [_option(run.config.get(name)) for run in runs]) for name in names]
    differing = [row for row in rows if len(set(row[1])) > 1]
    same = [row for row in rows if len(set(row[1])) == 1]
    if not differing:
        return _table("Options", runs, rows, short=len(runs) == 1)
    return _table("Options that differ", runs, differing) + _table(
        "Options that are the same", runs[:1], same, heads=["all runs"], short=True
    )


def notes(runs: Sequence[Run]) -> str:
    """What is to be said of runs that did not end as they should have."""
    said: dict[str, list[str]] = {}
    for run in runs:
        if run.status == UNFINISHED:
            rounds = run.metrics.get("round")
            last = "nothing" if rounds is None else f"rounds up to {int(rounds[-1])}"
            what = f"not finished; here is what was measured when this page was made, {last}."
            said.setdefault(what, []).append(run.name)
        elif run.status != "done":
            said.setdefault(f"ended early: {run.status}.", []).append(run.name)
    sentences = [f"{', '.join(names)}: {what}" for what, names in said.items()]
    sentences += [run.missing for run in runs if run.missing]
    return "".join(f'<p class="note">{escape(sentence)}</p>' for sentence in sentences)


def _table(
    caption: str,
    runs: Sequence[Run],
    rows: Sequence[tuple[str, Sequence[str]]],
    heads: Sequence[str] | None = None,
    short: bool = False,
) -> str:
    """A table; where its cells are short, it goes into several columns of text."""
    heads = [run.name for run in runs] if heads is None else heads
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>' + _cells(cells[: len(heads)]) + "</tr>"
        for name, cells in rows
    )
    kind = "wide short" if short and len(rows) > 12 else "wide"
    return (
        f'<div class="{kind}"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(cells: Sequence[str]) -> str:
    """The cells of a row; one for all where they are equal."""
    if len(cells) > 1 and len(set(cells)) == 1:
        return f'<td colspan="{len(cells)}">{escape(cells[0])}</td>'
    return "".join(f"<td>{escape(cell)}</td>" for cell in cells)


def _ended(run: Run) -> str:
    return {"done": "done", UNFINISHED: "not finished"}.get(run.status, run.status)


def _data(run: Run) -> str:
    parts = [run.config.get("dataset"), run.config.get("partition")]
    clients = run.summary.get("clients", run.config.get("clients"))
    return ", ".join([str(part) for part in parts if part] + [f"{clients} clients"] * bool(clients))


def _rounds(run: Run) -> str:
    measured = run.metrics.get("round")
    done = run.summary.get("rounds_done", 0 if measured is None else int(measured[-1]))
    asked = run.config.get("rounds")
    return str(done) if asked in (None, done) else f"{done} of {asked}"


def _last(run: Run, column: str) -> str:
    values = run.metrics.get(column)
    if values is None or np.isnan(values[-1]):
        return "–"
    error = run.metrics.get(f"{column}_se")
    return f"{values[-1]:.4f}" + ("" if error is None else f" ± {error[-1]:.4f}")


def _sampled(sampled: Any) -> str:
    if not isinstance(sampled, dict):
        return ""
    return ", ".join(f"{some} of {there} {what}" for what, (some, there) in sampled.items())


def _seconds(value: Any) -> str:
    if not isinstance(value, int | float):
        return "–"
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _device(device: Any) -> str:
    if not isinstance(device, dict):
        return "–"
    kind, platform = str(device.get("kind", "")), str(device.get("platform", ""))
    name = kind if kind == platform else f"{kind} ({platform})"
    return f"{device.get('count', 1)} × {name}, {device.get('cores', '?')} cores of the host"


def _versions(versions: Any) -> str:
    if not isinstance(versions, dict):
        return "–"
    return ", ".join(f"{package} {version}" for package, version in versions.items())


def _option(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return "–" if value is None else str(value)
