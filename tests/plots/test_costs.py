"""What a round takes is what the summaries say, and models up and down."""

import json

import pytest
from drawn_folders import made_history, made_run, write_run

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from demjax import plots
from demjax.plots.costs import cost_of
from demjax.plots.record import read
from demjax.runs import folder as run_folder


def change(folder, **values):
    summary = json.loads((folder / run_folder.SUMMARY).read_text())
    (folder / run_folder.SUMMARY).write_text(json.dumps(summary | values))


def test_bytes_are_those_of_the_participants_models_up_and_down(tmp_path):
    sent = {
        "all": (made_run(tmp_path / "all"), 2 * 4 * 650 * 12),
        "cohort": (made_run(tmp_path / "cohort", cohort=5), 2 * 4 * 650 * 5),
        "nobody": (made_run(tmp_path / "nobody", algorithm="local_only"), 0),
    }
    for folder, bytes_ in sent.values():
        assert cost_of(read(folder)) == (0.5, 0.25, bytes_)
    change(sent["all"][0], parameters=None)
    assert cost_of(read(sent["all"][0])).sent is None
    change(sent["all"][0], round_seconds=None)
    assert cost_of(read(sent["all"][0])) is None


def test_bars_are_the_means_of_the_seeds(tmp_path):
    folders = [made_run(tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    folders.append(made_run(tmp_path / "fedavg", algorithm="fedavg", cohort=6))
    change(folders[1], round_seconds=1.5)
    seconds, sent = plots.cost(folders, figure=Figure())
    assert [bar.get_width() for bar in seconds.patches] == [1.0, 0.5, 0.25, 0.25]
    assert [bar.get_x() for bar in seconds.patches] == [0, 0, 1.0, 0.5]
    assert [bar.get_width() for bar in sent.patches] == [0.0624, 0.0312]
    names = [tick.get_text() for tick in seconds.get_yticklabels()]
    assert [name.replace("\n", " ") for name in names] == ["DemLearn", "FedAvg, cohort = 6"]
    change(folders[1], parameters=None)
    assert len(plots.cost(folders, figure=Figure())) == 1


def test_a_run_without_times_is_told(tmp_path):
    folder = write_run(tmp_path / "run", made_history(), summary=False, groups=(5, 3))
    with pytest.raises(ValueError, match="has not ended"):
        plots.cost(folder, figure=Figure())
