"""``demjax partition``: what it says, what it writes, and what it refuses."""

import sys

import pytest
from experiments import experiment
from partitions_alike import failure, same

from demjax import data
from demjax.cli import main, partition
from demjax.experiment.config import to_toml

FEW = ["--partition", "planted", "--clients", "12", "--true-clusters", "3"]


def test_it_says_who_has_what_and_writes_it(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out, image = tmp_path / "p.npz", tmp_path / "p.png"
    written = ["--out", str(out), "--image", str(image)]
    assert main.main(["partition", *FEW, *written]) == 0
    said = capsys.readouterr().out
    digits = data.digits()
    partition = data.planted(digits.y, clients=12, true_clusters=3, seed=0).partition
    assert same(data.load_partition(out, y=digits.y), partition)
    sizes = [len(train) + len(test) for train, test in zip(*partition, strict=True)]
    assert f"digits: 12 clients have {sum(sizes)} of 1797 examples" in said
    assert "6 of 10 labels" in said
    assert "planted clusters of clients: 3" in said
    (line,) = [line for line in said.splitlines() if line.startswith("examples")]
    assert line.split()[1::2] == [str(min(sizes)), str(max(sizes))]
    assert image.read_bytes().startswith(b"\x89PNG")
    assert main.main(["partition", *FEW, *written]) == 2
    assert "exists and would be overwritten" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "/nowhere/p.npz"], "/nowhere is no folder"),
        (["--image", "p.docx"], ".png"),
        (["--clients", "2000"], "1797 examples"),
        (["--conflict", "rotated", "--true-clusters", "5"], "1 to 4 true clusters"),
        (["--true-clusters", "60", *FEW[:2]], "--true-clusters was given as 60"),
        (["--partition", "file"], "--partition-file"),
        (["--partition", "natural"], "do not say whose"),
        (["--images", "x"], "perhaps '--image' was meant"),
        (["--rounds", "3"], "'--rounds' is unknown; --help lists all"),
        (["--epochs", "3"], "'--epochs' is unknown; --help lists all"),
        (["--labels-per-client", "2", "--partition", "iid"], "no --labels-per-client"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_nothing_is_written(
    arguments, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main.main(["partition", *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_of_a_file_what_is_trained_plays_no_part(tmp_path, capsys):
    file = tmp_path / "config.toml"
    file.write_text(to_toml(experiment(partition="iid", clients=3, levels=1, cohort=2)))
    assert main.main(["partition", "--config", str(file)]) == 0
    assert "3 clients have 1797" in capsys.readouterr().out
    assert main.main(["partition", "--preset", "recommended", "--clients", "5"]) == 0
    assert "5 clients have 1083" in capsys.readouterr().out


def test_help_shows_what_decides_who_has_what_and_nothing_else(capsys):
    assert main.main(["partition", "--partition", "dirichlet", "--help"]) == 0
    text = capsys.readouterr().out
    for flag in ("--clients", "--dirichlet-alpha", "--seed", "--out", "--image", "--config"):
        assert flag in text
    for flag in ("--rounds", "--lr", "--algorithm", "--labels-per-client"):
        assert flag not in text


def test_without_matplotlib_a_image_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    path = tmp_path / "p.png"
    failure(lambda: partition.show({"partition": "iid"}, image=path), "matplotlib")


def test_data_that_are_no_images_can_be_dealt(capsys):
    assert main.main(["partition", "--dataset", "synthetic", "--clients", "6"]) == 0
    assert "synthetic: 6 clients" in capsys.readouterr().out


def test_a_image_does_not_overwrite_the_partition(tmp_path, capsys):
    same_file = str(tmp_path / "p.png")
    assert main.main(["partition", *FEW, "--out", same_file, "--image", same_file]) == 2
    assert "possible are two files" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
