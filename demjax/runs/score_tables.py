"""Tables of a comparison: mean and standard deviation over seeds, as CSV, Markdown and LaTeX."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from demjax.runs.scores import MEASURES, Scores

LAST = "last round"
"""What rows of the last round say of themselves; those of the best are named after its measure."""

FACTS = ("system", "at", "measured_at", "seeds")
"""The columns that are no measures."""


def best_round(by: str) -> str:
    """What rows of the best round say of themselves: ``best round by C-SPE``."""
    return f"best round by {MEASURES[by]}"


def rows(systems: Sequence[str], runs: Sequence[Sequence[Scores]], by: str) -> list[dict[str, Any]]:
    """A row for each system after the last round, and then one for each at the best round.

    Args:
        systems: The label of each system.
        runs: The runs of each, one a seed. One that diverged counts in no mean.
        by: The measure that the best round is best by.

    Returns:
        Rows of the same columns: ``system``, ``at``, ``measured_at``, ``seeds`` (runs that are in
        the means), and of each measure its mean and, as ``…_std``, its standard deviation over
        seeds (of a sample: ``n − 1``); NaN where there is none.
    """
    found = []
    for at, part in ((LAST, "last"), (best_round(by), "best")):
        for label, mine in zip(systems, runs, strict=True):
            values = [getattr(run, part) for run in mine if not run.diverged]
            moments = dict.fromkeys(str(run.summary.get("measured_at", "")) for run in mine)
            row: dict[str, Any] = {
                "system": label,
                "at": at,
                "measured_at": "/".join(filter(None, moments)),
            }
            row["seeds"] = len(values)
            for name in dict.fromkeys(name for run in mine for name in getattr(run, part)):
                several = np.array([one.get(name, np.nan) for one in values])
                several = several[~np.isnan(several)]
                row[name] = float(several.mean()) if several.size else np.nan
                row[f"{name}_std"] = float(several.std(ddof=1)) if several.size > 1 else np.nan
            found.append(row)
    names = _in_order(dict.fromkeys(name for row in found for name in row))
    return [{name: row.get(name, np.nan) for name in names} for row in found]


def _in_order(names: Mapping[str, Any]) -> list[str]:
    """Columns as tables show them, each followed by its deviation, further ones at the end."""
    known = ["round", *MEASURES]
    plain = [name for name in names if name not in FACTS and not name.endswith("_std")]
    plain.sort(key=lambda name: known.index(name) if name in known else len(known))
    return [*FACTS, *(part for name in plain for part in (name, f"{name}_std"))]


def as_csv(table: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV; blank is what has no value."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(table[0]), lineterminator="\n")
    writer.writeheader()
    for row in table:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def as_markdown(table: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> str:
    """A table for each of the last and the best rounds, and the notes below."""
    parts = []
    for at, head, body in _shown(table):
        lines = [f"## {_title(at)}", "", f"| {' | '.join(map(_plain, head))} |"]
        lines.append("|" + "---|" * len(head))
        lines += [f"| {' | '.join(map(_plain, row))} |" for row in body]
        parts.append("\n".join(lines))
    said = "\n".join(f"- {note}" for note in notes)
    return "\n\n".join([*parts, said]) + "\n"


def as_latex(table: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> str:
    """The same as ``tabular`` environments that need no package, notes as comments."""
    parts = [f"% {_escaped(note)}" for note in notes]
    for at, head, body in _shown(table):
        parts += [f"% {_escaped(_title(at))}", rf"\begin{{tabular}}{{ll{'r' * (len(head) - 2)}}}"]
        parts += [r"\hline", _latex_row(head), r"\hline", *map(_latex_row, body), r"\hline"]
        parts.append(r"\end{tabular}")
    return "\n".join(parts) + "\n"


def as_text(table: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> str:
    """The same for a terminal, columns aligned."""
    parts = []
    for at, head, body in _shown(table):
        lines = [head, *body]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        shown = [
            "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        parts.append("\n".join([f"{_title(at)}:", *shown]))
    return "\n\n".join([*parts, "\n".join(notes)])


def _shown(
    table: Sequence[Mapping[str, Any]],
) -> list[tuple[str, list[str], list[list[str]]]]:
    """Of each part the title, the heads, and the cells; without columns that nobody has."""
    found = []
    for at in dict.fromkeys(row["at"] for row in table):
        mine = [row for row in table if row["at"] == at]
        names = [
            name
            for name in table[0]
            if name in MEASURES or (name.startswith("bytes_") and not name.endswith("_std"))
        ]
        names = [name for name in names if any(not np.isnan(row[name]) for row in mine)]
        if at != LAST:
            names.insert(0, "round")
        unit = _unit(mine)
        head = ["system", "scored", "seeds", *(_head(name, unit) for name in names)]
        body = [
            [
                str(row["system"]),
                str(row["measured_at"]) or "–",
                str(row["seeds"]),
                *(_number(name, row, unit) for name in names),
            ]
            for row in mine
        ]
        found.append((str(at), head, body))
    return found


def _unit(table: Sequence[Mapping[str, Any]]) -> tuple[float, str]:
    """The unit of bytes in which the largest is below a thousand."""
    most = max((row.get("bytes_up", 0.0) for row in table), default=0.0)
    most = 0.0 if np.isnan(most) else most
    units = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
    return next(((size, name) for size, name in units if most >= size), (1.0, "B"))


def _head(name: str, unit: tuple[float, str]) -> str:
    if name.startswith("bytes_"):
        return f"{unit[1]} {name.removeprefix('bytes_').replace('_', ' ')}"
    return MEASURES.get(name, name)


def _number(name: str, row: Mapping[str, Any], unit: tuple[float, str]) -> str:
    value, deviation = row[name], row[f"{name}_std"]
    if np.isnan(value):
        return "–"
    if name.startswith("bytes_"):
        value, deviation = value / unit[0], deviation / unit[0]
    few = name in ("round_seconds", "round") or name.startswith("bytes_")
    form, spread = (".3g", ".2g") if few else (".3f", ".3f")
    exact = np.isnan(deviation) or (name.startswith("bytes_") and deviation == 0)
    return f"{value:{form}}" if exact else f"{value:{form}} ± {deviation:{spread}}"


def _title(at: str) -> str:
    return "After the last round" if at == LAST else f"At the {at} of each run"


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if np.isnan(value) else round(value, 6)
    return value


def _plain(text: str) -> str:
    return text.replace("|", "\\|")


_SIGNS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def _escaped(text: str) -> str:
    """A text as LaTeX shows it as it is."""
    return re.sub(r"[\\~^±–&%$#_{}]", lambda found: _SIGNS[found[0]], text)


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(_escaped, cells)) + r" \\"
