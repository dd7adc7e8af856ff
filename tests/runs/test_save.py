"""A history becomes a folder that all commands read, with the numbers of the history."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_folders import ROUNDS, made_history, write_run
from partitions_alike import failure

import demjax
from demjax import report
from demjax.cli import main
from demjax.plots import read
from demjax.runs import folder as run_folder


def test_a_folder_holds_the_numbers_of_the_history(tmp_path):
    history = made_history()
    folder = demjax.save_run(history, tmp_path / "mine")
    rows = list(csv.DictReader((folder / run_folder.METRICS).read_text().splitlines()))
    assert [int(row["round"]) for row in rows] == list(ROUNDS)
    for column, values in (("c_gen", history.measures.c_gen), ("global", None)):
        values = history.measures.global_score if values is None else values
        np.testing.assert_allclose([float(row[column]) for row in rows], values, atol=1e-6)
    assert {row["seconds"] for row in rows} == {""}
    record, mine = read(folder), read(history)
    assert record.name == "mine"
    np.testing.assert_allclose(record.client_spe, mine.client_spe, atol=1e-6)
    np.testing.assert_array_equal(record.groups, mine.groups)
    assert list(record.dendrograms) == list(mine.dendrograms)


def test_it_holds_the_same_tables_as_the_folder_of_a_run(tmp_path):
    history = made_history()
    ours = demjax.save_run(history, tmp_path / "ours")
    theirs = write_run(tmp_path / "theirs", history, groups=(5, 3))
    for name in (run_folder.CLIENTS, run_folder.DENDROGRAMS):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()


def test_compare_and_report_read_it_beside_runs(tmp_path, capsys):
    ours = demjax.save_run(made_history(), tmp_path / "ours", options={"algorithm": "fedavg"})
    theirs = write_run(tmp_path / "theirs", made_history(seed=1), groups=(5, 3))
    assert main.main(["compare", str(ours), str(theirs)]) == 0
    assert f"{float(made_history().measures.c_gen[-1]):.4f}" in capsys.readouterr().out
    out = tmp_path / "both.html"
    assert main.main(["report", str(ours), str(theirs), "--no-figures", "--out", str(out)]) == 0
    assert report.read(ours).config == {"algorithm": "fedavg"}
    bare = demjax.save_run(made_history(), tmp_path / "bare")
    assert report.read(bare).config == {}


def test_labels_are_those_of_the_clients(tmp_path):
    clients = demjax.ClientData(
        x=jnp.zeros((6, 1)),
        y=jnp.array([0, 0, 1, 2, 1, 1]),
        train=jnp.array([[0, 1, 2], [3, 0, 0]]),
        train_size=jnp.array([3, 1]),
        test=jnp.array([[4], [5]]),
        test_size=jnp.array([1, 0]),
    )
    folder = demjax.save_run(made_history(clients=12), tmp_path / "run", clients=clients)
    assert (folder / run_folder.LABELS).read_text().splitlines() == [
        "client,label,train,test",
        "0,0,2,0",
        "0,1,1,1",
        "1,2,1,0",
    ]


def test_what_cannot_be_written_is_one_sentence(tmp_path):
    history = made_history()
    demjax.save_run(history, tmp_path / "run")
    failure(lambda: demjax.save_run(history, tmp_path / "run"), "already holds another run")
    options = {"lr": object()}
    with pytest.raises(ValueError, match="can be numbers, words and tuples of these"):
        demjax.save_run(history, tmp_path / "odd", options=options)
    clash = history._replace(info={"seconds": np.zeros(len(history.round))})
    with pytest.raises(ValueError, match="a field 'seconds', which is the name of another column"):
        demjax.save_run(clash, tmp_path / "clash")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    two = history._replace(
        measures=jax.tree.map(lambda leaf: np.stack([leaf, leaf]), history.measures)
    )
    with pytest.raises(ValueError, match="history of one experiment"):
        demjax.save_run(two, tmp_path / "two")
    assert not (tmp_path / "two").exists()
