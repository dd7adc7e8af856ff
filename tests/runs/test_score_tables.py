"""Tables of a comparison: means and deviations by hand, and texts that say what they should."""

import csv
import io
import re

import numpy as np
import pytest

from demjax.runs import score_tables
from demjax.runs.scores import Scores


def scores(c_spe, best, *, status="done", moment="trained", **more):
    """A run of one value after its last round, and another at its best."""
    known = {"round_seconds": 0.5, "bytes_up": 20_800.0, **more}
    last, first = ({"round": 3.0, "c_spe": c_spe} | known, {"round": 1.0, "c_spe": best} | known)
    return Scores(np.arange(4), {}, last, first, {"status": status, "measured_at": moment})


@pytest.fixture
def table():
    lost = scores(0.1, 0.1, status="diverged")
    runs = [[scores(0.5, 0.7), scores(0.9, 0.9), lost], [scores(0.25, 0.25, jain=1.0)] * 3]
    return score_tables.rows(["100 % mine_1", r"a\b & {c}"], runs, "c_spe")


def test_rows_are_means_and_sample_deviations_of_runs_that_did_not_diverge(table):
    assert [(row["system"], row["at"], row["seeds"]) for row in table] == [
        ("100 % mine_1", "last round", 2),
        (r"a\b & {c}", "last round", 3),
        ("100 % mine_1", "best round by C-SPE", 2),
        (r"a\b & {c}", "best round by C-SPE", 3),
    ]
    assert (table[0]["c_spe"], table[2]["c_spe"]) == (pytest.approx(0.7), pytest.approx(0.8))
    assert table[0]["c_spe_std"] == pytest.approx(np.sqrt(2 * 0.2**2))
    assert (table[0]["round"], table[2]["round"]) == (3, 1)
    assert np.isnan(table[0]["jain"])
    assert (table[1]["jain"], table[1]["jain_std"]) == (1, 0)
    assert len({tuple(row) for row in table}) == 1


def test_a_single_seed_has_no_deviation():
    (row, _) = score_tables.rows(["mine"], [[scores(0.5, 0.5)]], "c_spe")
    assert np.isnan(row["c_spe_std"])
    assert "0.500 ±" not in score_tables.as_markdown([row], [])


def test_csv_holds_the_rows_and_blanks(table):
    found = list(csv.DictReader(io.StringIO(score_tables.as_csv(table))))
    assert [float(row["c_spe"]) for row in found] == pytest.approx([0.7, 0.25, 0.8, 0.25])
    assert (found[0]["jain"], found[1]["jain"], found[1]["system"]) == ("", "1.0", r"a\b & {c}")


def test_markdown_has_a_table_each_for_the_last_and_the_best_round(table):
    text = score_tables.as_markdown(table, ["what | is"])
    last, best = text.split("## ")[1:]
    assert last.startswith("After the last round\n")
    assert best.startswith("At the best round by C-SPE of each run\n")
    head, rule, first, second = (line for line in last.splitlines() if line.startswith("|"))
    assert [cell.strip() for cell in head.split("|")[1:-1]] == [
        "system",
        "scored",
        "seeds",
        "C-SPE",
        "Jain's index",
        "kB up",
        "seconds",
    ]
    assert head.count("|") == rule.count("|") == first.count("|") == second.count("|")
    assert first == "| 100 % mine_1 | trained | 2 | 0.700 ± 0.283 | – | 20.8 | 0.5 ± 0 |"
    assert "round |" in best
    assert "- what | is" in best


def test_latex_is_escaped_and_its_rows_have_as_many_columns_as_the_table(table):
    text = score_tables.as_latex(table, ["50 % & more"])
    assert r"% 50 \% \& more" in text
    assert r"100 \% mine\_1 & trained & 2 & 0.700 $\pm$ 0.283 & -- &" in text
    assert r"a\textbackslash{}b \& \{c\} & trained" in text
    columns = re.findall(r"\\begin\{tabular\}\{(l+r+)\}", text)
    assert len(columns) == text.count(r"\end{tabular}") == 2
    body, wide = [], []
    for line in text.splitlines():
        if line.startswith(r"\begin"):
            wide.append(len(columns[len(wide)]))
        elif line.endswith(r"\\"):
            cells = len(re.findall(r"(?<!\\)&", line)) + 1
            body.append((cells, wide[-1]))
            assert not re.search(r"(?<!\\)[%#_]|[±–]", line)
    assert len(body) == 6
    assert all(cells == width for cells, width in body)


def test_a_terminals_columns_are_aligned(table):
    lines = score_tables.as_text(table, ["a note"]).splitlines()
    assert lines[0] == "After the last round:"
    assert {line.index("seeds") for line in lines if "seeds" in line} == {lines[1].index("seeds")}
    assert lines[2][lines[1].index("C-SPE") :].startswith("0.700 ± 0.283")
    assert lines[-1] == "a note"
