"""Systems of a comparison: how they are written, what each gets of the options, and mistakes."""

import pytest

from demjax.experiment.experiment import resolve
from demjax.experiment.grids import check_grid, combinations, read_grid
from demjax.experiment.systems import specified, systems, word_read


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("fedavg", [("fedavg", {})]),
        ("fedavg, ditto", [("fedavg", {}), ("ditto", {})]),
        ("fedavg:mix=0.6,fedavg", [("fedavg", {"mix": "0.6"}), ("fedavg", {})]),
        (
            "fedavg:mix=0.6:measure-at=fine-tuned,ditto:prox=2",
            [("fedavg", {"mix": "0.6", "measure_at": "fine-tuned"}), ("ditto", {"prox": "2"})],
        ),
        ("fedavg:mix=0.6,cohort=3", [("fedavg", {"mix": "0.6", "cohort": "3"})]),
        (
            "demlearn:mix=0.6,0.3:levels=1,fedavg",
            [("demlearn", {"mix": "0.6,0.3", "levels": "1"}), ("fedavg", {})],
        ),
    ],
)
def test_systems_are_parted_by_commas_and_their_options_follow(text, wanted):
    assert specified(text) == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fedavgg", "perhaps 'fedavg' was meant"),
        ("fedavg:mix=0.6,dito", "perhaps 'ditto' was meant"),
        ("mix=0.6", "holds 'mix=0.6'; possible are systems parted by commas"),
        ("fedavg,,ditto", "holds ''"),
        ("fedavg:mix", "holds 'fedavg:mix'"),
    ],
)
def test_what_is_no_system_is_a_sentence(text, words):
    with pytest.raises(ValueError, match=words):
        specified(text)


def test_labels_and_folders_say_the_options_of_their_own():
    text = (
        "fedavg,fedavg:mix=0.60:measure_at=averaged,demlearn:mix=0.6,0.3:levels=1,fedavg:mix=none"
    )
    found, said = systems(specified(text), {}, {"model": "linear"}, word_read)
    assert [one.label for one in found] == [
        "FedAvg",
        "FedAvg, mix 0.6, measure at averaged",
        "DemLearn, mix 0.6/0.3, levels 1",
        "FedAvg, no mix",
    ]
    assert [one.folder for one in found] == [
        "fedavg",
        "fedavg-mix-0.6-measure_at-averaged",
        "demlearn-mix-0.6-0.3-levels-1",
        "fedavg-mix-None",
    ]
    assert not said
    assert found[2].options["mix"] == (0.6, 0.3)


def test_each_system_gets_what_it_takes_and_who_does_not_is_said():
    given = {"prox": "0.25", "lr": "0.5", "model": "linear", "mix": "0.5"}
    filed = {"algorithm": "demlearn", "levels": 1, "epochs": 7}
    wanted = specified("demlearn,ditto,fedavg:mix=0.75,local_only")
    found, said = systems(wanted, filed, given, word_read)
    taken = [{n: one.options.get(n) for n in ("prox", "mix", "levels", "lr")} for one in found]
    assert taken == [
        {"prox": 0.25, "mix": 0.5, "levels": 1, "lr": 0.5},
        {"prox": 0.25, "mix": None, "levels": None, "lr": 0.5},
        {"prox": None, "mix": 0.75, "levels": None, "lr": 0.5},
        {"prox": None, "mix": None, "levels": None, "lr": 0.5},
    ]
    assert all(resolve(one.options).epochs == 7 for one in found)
    assert said == [
        "--prox is for DemLearn; Ditto, not for FedAvg, mix 0.75; local only.",
        "--mix is for DemLearn; FedAvg, mix 0.75, not for Ditto; local only.",
    ]


@pytest.mark.parametrize(
    ("text", "given", "words"),
    [
        (
            "fedavg,local_only",
            {"prox": "1"},
            "None of the systems takes --prox.* is for .*fedprox, demlearn",
        ),
        ("fedavg", {"rouns": "1"}, "'--rouns' is unknown; perhaps '--rounds' was meant"),
        ("fedavg,fedavg", {}, "'FedAvg' was given twice"),
        ("fedavg:prox=1", {}, "'fedavg' takes no --prox"),
        ("fedavg:rounds=3", {}, "'rounds' of its own, which all systems .* share"),
        ("fedavg:clients=3", {}, "'clients' of its own"),
        ("fedavg:mix=much", {}, "--mix needs a number, but 'much' was given"),
        ("fedavg", {"rounds": None}, "--rounds needs a value"),
    ],
)
def test_options_that_do_not_fit_are_a_sentence(text, given, words):
    with pytest.raises(ValueError, match=words):
        systems(specified(text), {}, given, word_read)


def test_a_grid_is_all_combinations_of_what_a_system_takes():
    grid = read_grid(["mix=0.2,0.6", "prox=1,2"])
    found, _ = systems(specified("fedavg,demlearn,ditto,fedavg:mix=0.1"), {}, {}, word_read)
    check_grid(grid, found)
    tried = [combinations(one, grid, word_read) for one in found]
    assert tried[0] == [{"mix": 0.2}, {"mix": 0.6}]
    assert tried[1] == [
        {"mix": 0.2, "prox": 1.0},
        {"mix": 0.2, "prox": 2.0},
        {"mix": 0.6, "prox": 1.0},
        {"mix": 0.6, "prox": 2.0},
    ]
    assert tried[2] == [{"prox": 1.0}, {"prox": 2.0}]
    assert tried[3] == []  # it was given one
    assert found[0].with_options({"mix": 0.2}).label == "FedAvg, mix 0.2 (tuned)"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mix"], "--grid was given as 'mix'; possible is an option with the values"),
        (["mix="], "--grid was given as 'mix='"),
        (["mix=1", "mix=0"], "the option 'mix' twice"),
        (["mix=1,1"], "a value of 'mix' twice"),
        (["mixx=1"], "'mixx', which is no option; perhaps 'mix' was meant"),
        (["prox=1"], "'prox', which is for .*fedprox, demlearn.*, ditto"),
        (["rounds=1,2"], "'rounds', which all systems of a comparison share"),
        (["mix=much"], "--mix needs a number, but 'much' was given"),
        (["mix=3"], "--grid mix needs 0 to 1, but 3.0 was given"),
    ],
)
def test_a_grid_that_cannot_be_tried_is_a_sentence(words, said):
    found, _ = systems(specified("fedavg"), {}, {}, word_read)

    def tried():
        grid = read_grid(words)
        check_grid(grid, found)
        combinations(found[0], grid, word_read)

    with pytest.raises(ValueError, match=said):
        tried()


def test_a_grid_over_what_every_system_was_given_is_a_sentence():
    found, _ = systems(specified("fedavg:mix=0.6"), {}, {}, word_read)
    with pytest.raises(ValueError, match="every system that takes it was given a value of its own"):
        check_grid({"mix": [0.1]}, found)
