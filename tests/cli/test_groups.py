"""``demjax groups`` from the command line: words, JSON, a picture, and what is refused."""

import json

import pytest

from demjax.cli.main import main

FEW = ["--model", "linear", "--clients", "20", "--labels-per-client", "3", "--rounds", "1"]
TURNED = [*FEW, "--conflict", "rotated", "--true-clusters", "2"]


def test_groups_are_told_in_words_in_json_and_in_a_picture(tmp_path, capsys):
    image = tmp_path / "groups.png"
    assert main(["groups", *TURNED, "--image", str(image)]) == 0
    said = capsys.readouterr().out
    assert "20 clients have 2 groups" in said
    assert "--algorithm ifca --clusters 2" in said
    assert image.read_bytes()[:4] == b"\x89PNG"

    assert main(["groups", *TURNED, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n_groups"] == 2
    assert found["groups"] == [0] * 10 + [1] * 10
    assert 0.9 < found["stability"] <= 1
    assert len(found["client_stability"]) == 20
    assert set(found["labels"]) == set("0123456789")


def test_none_are_told_as_none(capsys):
    assert main(["groups", *FEW]) == 0
    said = capsys.readouterr().out
    assert "20 clients have no groups that conflict" in said
    assert "One model serves all" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--rounds", "-1"], "--rounds can be 0 or more"),
        (["--image", "x.gif"], "can end in"),
        (["--algorithm", "fedavg"], "--algorithm"),
        (["--clients", "2"], "3 clients or more"),
        (["--levels", "2"], "--levels"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_2(words, sentence, capsys):
    assert main(["groups", "--model", "linear", *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.strip().splitlines()[-1].endswith(".")
