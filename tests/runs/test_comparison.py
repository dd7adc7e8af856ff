"""Tables of runs beside each other."""

import json

from demjax.runs.comparison import compare, table

ROW = {"round": 3, "c_spe": 0.5, "c_gen": 0.25, "global": 1.0}


def test_the_table_is_aligned_and_says_how_a_run_ended_unless_it_is_done():
    header, first, second = table([("a", ROW, "done"), ("longer", ROW, "diverged")]).splitlines()
    assert header.split() == ["run", "rounds", "C-SPE", "C-GEN", "Global"]
    assert first.split() == ["a", "3", "0.5000", "0.2500", "1.0000"]
    assert second.split() == ["longer", "3", "0.5000", "0.2500", "1.0000", "diverged"]
    assert first.index("0.5000") == second.index("0.5000")
    assert first.rstrip() == first


def test_scores_that_are_no_accuracy_are_named_below_the_table(tmp_path):
    final = {"round": 1, "c_spe": 0.25, "c_gen": 0.5, "global": 0.011}
    summary = {"final": final, "status": "done", "score": "mean squared error"}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    assert "measures: mean squared error" in compare([tmp_path]).splitlines()
