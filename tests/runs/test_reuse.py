"""Whether a folder holds an experiment's run: whole, half, another one's, or none."""

import json

import pytest
from drawn_folders import made_run
from experiments import experiment

from demjax.experiment.config import to_toml
from demjax.runs.folder import alone, check_free
from demjax.runs.reuse import by_options, expanded, found_in, state_of

ASKED = {"model": "linear", "clients": 12, "rounds": 6, "seed": 0, "algorithm": "fedavg"}


def test_a_run_that_ended_is_whole_and_others_are_half(tmp_path):
    asked, out = experiment(**ASKED), tmp_path / "run"
    assert state_of(out, asked) == "missing"
    made_run(out, seed=0, algorithm="fedavg")
    states = {}
    for status in ("done", "diverged", "interrupted", "failed"):
        summary = json.loads((out / "summary.json").read_text())
        (out / "summary.json").write_text(json.dumps(summary | {"status": status}))
        states[status] = state_of(out, asked)
    assert states == {"done": "whole", "diverged": "whole", "interrupted": "half", "failed": "half"}
    (out / "summary.json").unlink()
    assert state_of(out, asked) == "half"


@pytest.mark.parametrize("left", [".partition.npz.7952.partial", ".7952.partial.toml"])
def test_the_beginning_of_a_file_that_a_killed_run_left_is_in_nobodys_way(left, tmp_path):
    asked, out = experiment(**ASKED), tmp_path / "run"
    out.mkdir()
    (out / left).write_text("beg")
    (out / "run.lock").write_text("")
    assert state_of(out, asked) == "missing"
    check_free(out)
    made_run(tmp_path / "other", seed=0, algorithm="fedavg")
    (tmp_path / "other" / "config.toml").rename(out / "config.toml")
    assert state_of(out, asked) == "half"
    with alone(out):
        assert {path.name for path in out.iterdir()} == {"config.toml", "run.lock"}
    (out / "partial.npz").write_text("")
    with pytest.raises(ValueError, match=r"partial\.npz, which would be in the way"):
        state_of(out, asked)


def test_a_run_of_other_options_is_refused_with_all_that_differs(tmp_path):
    out = made_run(tmp_path / "run", seed=0, algorithm="fedavg")
    other = experiment(**(ASKED | {"rounds": 9, "mix": 0.5}))
    with pytest.raises(ValueError, match=r"rounds is 6 there and 9 here, .*mix is not given there"):
        state_of(out, other)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file, where the folder of a run would be"):
        state_of(tmp_path / "file", other)


def test_a_partition_that_only_the_data_decide_is_taken_either_way(tmp_path):
    npz = {"dataset": "npz", "data_dir": "/x/mine.npz", "model": "linear", "rounds": 6}
    asked = experiment(**npz)
    for partition, more in (("natural", {}), ("labels", {"clients": 50})):
        out = tmp_path / partition
        out.mkdir()
        written = to_toml(experiment(**npz, partition=partition, **more))
        (out / "config.toml").write_text(written)
        assert state_of(out, asked) == "half"
    (out / "config.toml").write_text(to_toml(experiment(**npz, partition="iid")))
    with pytest.raises(ValueError, match="partition is iid there"):
        state_of(out, asked)


def test_runs_are_found_by_their_options_and_folders_stand_for_the_runs_in_them(tmp_path):
    one = made_run(tmp_path / "d" / "x" / "a", seed=0, algorithm="fedavg")
    other = made_run(tmp_path / "d" / "b", seed=1, algorithm="fedavg")
    made_run(tmp_path / "d" / "tuning" / "c" / "seed-0", seed=2)
    known = by_options(tmp_path / "d")
    assert found_in(known, experiment(**ASKED)) == one
    assert found_in(known, experiment(**(ASKED | {"seed": 1}))) == other
    assert found_in(known, experiment(**(ASKED | {"seed": 3}))) is None
    assert expanded([tmp_path / "d"]) == [other, one]
    assert expanded([other, tmp_path / "nowhere"]) == [other, tmp_path / "nowhere"]
