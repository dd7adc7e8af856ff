"""``demjax plan``, as it is called from a shell."""

import json

import pytest

from demjax.cli import main

SMALL = ["--model", "linear", "--clients", "8", "--algorithm", "fedavg"]


def test_it_says_whether_a_round_fits_in_words_and_as_json(capsys):
    assert main.main(["plan", "--accelerator", "cpu", "--no-largest", *SMALL]) == 0
    words = capsys.readouterr().out.splitlines()
    assert words[0].startswith("8 clients on cpu: fits, ")
    assert [line.split()[0] for line in words[1:]] == ["models", "data", "arguments", "beside", "a"]
    assert main.main(["plan", "--accelerator", "cpu", "--json", *SMALL]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fits"]
    assert found["clients"] == 8
    assert found["largest_clients"] > 8
    needed = {"models_bytes", "arguments_bytes", "temp_bytes", "device_bytes"}
    assert all(found[name] > 0 for name in needed)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "The option --accelerator is needed: possible are cpu, h100, "),
        (["--accelerator", "h1000"], "perhaps 'h100' was meant"),
        (["--accelerator", "cpu", "--devices", "0"], "--devices can be 1 or more, but 0 was given"),
        (["--accelerator", "cpu", "--devices", "99"], "for this CPU can be for 1 to "),
        (["--accelerator", "cpu", "--levls", "3"], "'--levls' is unknown; perhaps '--levels'"),
    ],
)
def test_a_mistake_is_one_sentence(words, said, capsys):
    small = [] if "--levls" in words else SMALL
    assert main.main(["plan", *words, *small]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert line.endswith(".")


def test_pooled_examples_are_as_much_work_as_everyones(capsys):
    found = []
    for name in ("fedavg", "centralized"):
        asked = [*SMALL[:-1], name, "--batch-size", "10"]
        assert main.main(["plan", "--accelerator", "cpu", "--no-largest", "--json", *asked]) == 0
        found.append(json.loads(capsys.readouterr().out)["operations"])
    assert found[1] == pytest.approx(found[0], rel=0.05)  # a model each, or one for all examples


def test_help_lists_its_flags_and_those_of_a_run(capsys):
    assert main.main(["plan", "--help"]) == 0
    said = capsys.readouterr().out
    for flag in ("--accelerator", "--json", "--no-largest", "--levels", "--clients"):
        assert flag in said


def test_examples_in_parts_are_fewer_bytes_a_device(capsys):
    found = []
    for yes in ("yes", "no"):
        asked = ["--divide-examples", yes, "--accelerator", "cpu", "--devices", "2"]
        assert main.main(["plan", *asked, "--no-largest", "--json", *SMALL]) == 0
        found.append(json.loads(capsys.readouterr().out))
    parts, whole = found
    assert parts["data_bytes"] < 0.6 * whole["data_bytes"]
    saved = whole["arguments_bytes"] - parts["arguments_bytes"]
    assert saved == whole["data_bytes"] - parts["data_bytes"]


def test_models_in_16_bits_are_half_as_many_bytes(capsys):
    found = []
    for numbers in ("float32", "bf16"):
        asked = ["--store-models", numbers, "--accelerator", "cpu", "--no-largest", "--json"]
        assert main.main(["plan", *asked, *SMALL]) == 0
        found.append(json.loads(capsys.readouterr().out))
    whole, half = found
    assert half["models_bytes"] == whole["models_bytes"] / 2 > 0
    saved = whole["arguments_bytes"] - half["arguments_bytes"]
    assert saved == pytest.approx(half["models_bytes"], rel=0.01)  # the server's stays
