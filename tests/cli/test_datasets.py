"""``demjax datasets``, and what ``demjax run`` says of bad data."""

import re
import sys

import numpy as np
import pytest
from experiments import experiment
from idx_files import write_all

from demjax.cli import main
from demjax.experiment import build
from demjax.registry import DATASETS
from tests.data.sources.test_catalogue import write_everything
from tests.data.sources.test_leaf import GOOD, some, write
from tests.data.sources.test_npz import WRONG, X, Y


def datasets(*arguments):
    return main.main(["datasets", *map(str, arguments)])


def here(output):
    """``{name: what the table says}``, and that the table is one."""
    head, *rows = output.splitlines()
    assert head.split() == [
        *("name", "here", "download", "examples", "shape", "classes", "licence", "source")
    ]
    cells = [re.split(r" {2,}", row) for row in rows]
    assert all(len(row) == 8 for row in cells)
    assert [row[0] for row in cells] == list(DATASETS)
    return {row[0]: row[1] for row in cells}


BUILT_IN = {"digits", "synthetic", "synthetic_iid"}


def test_the_table_says_which_data_sets_are_here(tmp_path, capsys):
    assert datasets() == 0
    table = here(capsys.readouterr().out)
    assert {name for name, what in table.items() if what == "built in"} == BUILT_IN
    assert {name for name, what in table.items() if what == "no"} == set(DATASETS) - BUILT_IN
    write_everything(tmp_path)
    assert datasets("--data-dir", tmp_path) == 0
    table = here(capsys.readouterr().out)
    assert {name for name, what in table.items() if what == "yes"} == set(DATASETS) - BUILT_IN


def sentence(capsys, code):
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("demjax: ")
    assert line.endswith(".")
    return line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fetch", "mnist"], "--data-dir"),
        (["--fetch", "minst", "--data-dir", "D"], "perhaps 'mnist' was meant"),
        (["--fetch", "leaf", "--data-dir", "D"], r"leaf\.cmu\.edu.* can be fetched are mnist"),
        (["--fetch", "digits", "--data-dir", "D"], "built in"),
        (["--fetch", "cifar10", "--data-dir", "D"], r"demjax\[prepare\].*cifar-10-binary"),
        (["--data-dir", "D"], "does not exist"),
        (["--ftech", "mnist"], "perhaps '--fetch' was meant"),
    ],
)
def test_what_cannot_be_fetched_is_a_sentence(arguments, words, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.chdir(tmp_path)
    assert re.search(words, sentence(capsys, datasets(*arguments)))
    assert list(tmp_path.iterdir()) == []


def test_what_is_here_is_not_fetched_again(tmp_path, capsys):
    write_all(tmp_path / "mnist")
    assert datasets("--fetch", "mnist", "--data-dir", tmp_path) == 0
    assert f"already in {tmp_path / 'mnist'}" in capsys.readouterr().out


def spoil_idx(folder):
    write_all(folder, train_images=b"\0\0\x08\3" + bytes(7))
    return "train-images-idx3-ubyte"


def spoil_magic(folder):
    write_all(folder, t10k_labels=b"<html>")
    return "t10k-labels-idx1-ubyte"


def spoil_leaf(folder):
    path = write(folder / "a.json", GOOD)
    path.write_text(path.read_text()[:-9])
    return "a.json"


def spoil_leaf_label(folder):
    write(folder / "a.json", {"u": (some(2)[0], [0, -1])})
    return "label -1"


def leave_leaf(folder):
    write(folder.parent / "outside.json", GOOD)
    (folder / "a.json").symlink_to(folder.parent / "outside.json")
    return "leads out"


def spoil_npz(wrong):
    def spoil(folder):
        arrays, found = WRONG[wrong]
        np.savez(folder / "mine.npz", **arrays)
        return found

    return spoil


def pickle_npz(folder):
    np.savez(folder / "mine.npz", x=X, y=Y, more=np.array([{}, None]))
    return "pickled objects"


SPOILED = {
    "an IDX file that is cut": ("mnist", spoil_idx),
    "another file under its name": ("fashion_mnist", spoil_magic),
    "JSON that breaks off": ("leaf", spoil_leaf),
    "a label out of range": ("leaf", spoil_leaf_label),
    "a link that leads out": ("leaf", leave_leaf),
    "NaN pixels": ("npz", spoil_npz("NaN")),
    "lengths that do not fit": ("npz", spoil_npz("lengths")),
    "pickled objects": ("npz", pickle_npz),
    "nothing": ("emnist", lambda folder: "--fetch emnist"),
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_bad_data_are_one_sentence_and_nothing_is_written(spoiled, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DEMJAX_CACHE", str(tmp_path / "cache"))
    folder, out = tmp_path / "data", tmp_path / "out"
    folder.mkdir()
    name, spoil = SPOILED[spoiled]
    found = spoil(folder)
    arguments = ["run", "--dataset", name, "--data-dir", folder, "--out", out, "--devices", 1]
    line = sentence(capsys, main.main(list(map(str, arguments))))
    assert found in line
    assert not out.exists()
    assert not (tmp_path / "cache").exists()


def test_a_convolution_of_vectors_is_refused(tmp_path, capsys):
    arguments = ["run", "--dataset", "synthetic", "--clients", 8, "--out", tmp_path / "out"]
    line = sentence(capsys, main.main([*map(str, arguments), "--devices", "1"]))
    assert "--model linear" in line
    assert not (tmp_path / "out").exists()


def test_one_file_of_vectors_can_be_run(tmp_path):
    rng = np.random.default_rng(0)
    path, out = tmp_path / "mine.npz", tmp_path / "out"
    y = rng.integers(0, 3, 200)
    np.savez(path, x=rng.normal(size=(200, 4)) + y[:, None], y=y)
    small = ["--algorithm", "fedavg", "--model", "linear", "--clients", 4, "--rounds", 1]
    arguments = ["run", "--dataset", "npz", "--data-dir", path, "--out", out, "--devices", 1]
    assert main.main([*map(str, [*arguments, *small])]) == 0
    assert "mine.npz" in (out / "config.toml").read_text()


def test_what_the_cache_gives_can_be_dealt_and_relabelled(tmp_path, monkeypatch):
    users = {f"u{number}": some(20, seed=number) for number in range(4)}
    write(tmp_path / "data" / "a.json", users)
    options = {"dataset": "leaf", "data_dir": str(tmp_path / "data"), "model": "linear"}
    options |= {
        "clients": 4,
        "partition": "iid",
        "levels": 1,
        "conflict": "relabelled",
        "true_clusters": 2,
    }
    built = []
    for cache in ("", str(tmp_path / "cache"), str(tmp_path / "cache")):
        monkeypatch.setenv("DEMJAX_CACHE", cache)
        built.append(build.build(experiment(**options)).clients)
    for clients in built[1:]:
        for one, other in zip(clients, built[0], strict=True):
            np.testing.assert_array_equal(one, other)
