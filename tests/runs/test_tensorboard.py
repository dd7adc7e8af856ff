"""TensorBoard event files, read back with TensorBoard's own reader."""

import sys

import pytest

from demjax.cli import main
from demjax.runs import tensorboard

RUN = ["run", "--algorithm", "fedavg", "--model", "linear", "--clients", "4", "--epochs", "1"]
RUN += ["--rounds", "3", "--eval-every", "2", "--devices", "1", "--tensorboard", "--out"]
ROWS = [
    {"round": 0, "c_spe": 0.25, "g_spe_l1": None, "seconds": 0.5, "groups_l1": 0},
    {"round": 5, "c_spe": 0.75, "g_spe_l1": 0.5, "seconds": 1.5, "groups_l1": 4},
]


def scalars(out):
    """What TensorBoard shows of a folder: pairs of round and value by tag."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = reader.EventAccumulator(str(out)).Reload()
    tags = found.Tags()["scalars"]
    return {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in tags}


def test_tensorboard_reads_what_was_written_row_by_row(tmp_path):
    pytest.importorskip("tensorboardX")
    with tensorboard.event_file(tmp_path, wanted=True) as add:
        assert not any(tmp_path.iterdir())
        add(ROWS[0])
        assert scalars(tmp_path)["measures/c_spe"] == [(0, 0.25)]  # a run that is killed keeps it
        add(ROWS[1])
    assert scalars(tmp_path) == {
        "measures/c_spe": [(0, 0.25), (5, 0.75)],
        "measures/g_spe_l1": [(5, 0.5)],
        "seconds": [(0, 0.5), (5, 1.5)],
        "tree/groups_l1": [(0, 0), (5, 4)],
    }


def test_a_run_writes_its_measures_beside_metrics_csv(tmp_path):
    pytest.importorskip("tensorboardX")
    out = tmp_path / "run"
    assert main.main([*RUN, str(out)]) == 0
    header, *rows = [line.split(",") for line in (out / "metrics.csv").read_text().splitlines()]
    found = scalars(out)
    assert set(found) == {tensorboard.tag(name) for name in header[1:]}
    for place, name in enumerate(header[1:], 1):
        written = [(int(row[0]), float(row[place])) for row in rows if row[place]]
        assert [step for step, _ in found[tensorboard.tag(name)]] == [step for step, _ in written]
        values = [value for _, value in found[tensorboard.tag(name)]]
        assert values == pytest.approx([value for _, value in written], rel=1e-6)


def test_without_the_flag_there_is_no_file(tmp_path):
    with tensorboard.event_file(tmp_path, wanted=False) as add:
        add(ROWS[0])
    assert not any(tmp_path.iterdir())


def test_without_tensorboardx_it_is_refused_before_anything_is_written(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "tensorboardX.event_file_writer", None)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert main.main([*RUN, str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "demjax[tensorboard]" in said
    assert said.count("\n") == 1
    assert not any(tmp_path.iterdir())
