"""Which runs are one setting, what a setting is called, and that its look is its own."""

import numpy as np
import pytest
from drawn_folders import made_history, made_run

pytest.importorskip("matplotlib")
from matplotlib.colors import to_hex, to_rgb

from demjax.plots.palette import LIGHTEST
from demjax.plots.record import read
from demjax.plots.settings import COLOURS, looks, settings


def record(name="run", rounds=(0, 1, 2), seed=0, **options):
    """A record whose C-GEN is ten times the seed and the round."""
    rounds = np.array(rounds)
    options = {"algorithm": "demlearn", "rounds": 2, "seed": seed} | options
    return read(made_history())._replace(
        name=name, round=rounds, measures={"c_gen": 10.0 * seed + rounds}, options=options
    )


def test_runs_that_differ_by_seed_only_are_one_setting(tmp_path):
    folders = [
        made_run(tmp_path / "a", seed=0),
        made_run(tmp_path / "b", seed=1, algorithm="fedavg"),
        made_run(tmp_path / "c", seed=2),
        made_run(tmp_path / "d", seed=2, metric="cosine"),
    ]
    found = settings(folders)
    assert [[r.folder for r in one.records] for one in found] == [
        [folders[0], folders[2]],
        [folders[1]],
        [folders[3]],
    ]
    assert [one.label for one in found] == ["DemLearn, euclidean", "FedAvg", "DemLearn, cosine"]
    named = settings(folders, ["x", "y", "x", "x"])
    assert [(one.label, len(one.records)) for one in named] == [("x", 3), ("y", 1)]


@pytest.mark.parametrize(
    ("one", "other", "labels"),
    [
        ({"levels": 1}, {"levels": 3}, ["DemLearn, K = 1", "DemLearn, K = 3"]),
        ({"period": 1}, {"period": 2}, ["DemLearn, τ = 1", "DemLearn, fixed tree"]),
        ({"mix": 0.6}, {"mix": (0.6, 0.4)}, ["DemLearn, α = 0.6", "DemLearn, α = 0.6/0.4"]),
        ({"prox": 0.0}, {"prox": 0.002}, ["DemLearn, μ = 0", "DemLearn, μ = 0.002"]),
        (
            {"metric": "euclidean"},
            {"metric": "cosine"},
            ["DemLearn, euclidean", "DemLearn, cosine"],
        ),
        ({"lr": 0.1}, {"lr": 0.01}, ["DemLearn, lr = 0.1", "DemLearn, lr = 0.01"]),
        (
            {"linkage": "ward"},
            {"linkage": "single"},
            ["DemLearn, linkage = ward", "DemLearn, linkage = single"],
        ),
        ({"partition_file": "/x/a.npz"}, {}, ["DemLearn, partition file = a", "DemLearn"]),
        (
            {"algorithm": "fedavg"},
            {"algorithm": "fedavg", "mix": 0.6},
            ["FedAvg", "FedAvg, α = 0.6"],
        ),
        ({"algorithm": "fedavg", "mix": 0.6}, {"mix": 0.6}, ["FedAvg, α = 0.6", "DemLearn"]),
        ({"algorithm": "fedprox", "prox": 0.5}, {"prox": 0.1}, ["FedProx", "DemLearn"]),
        ({"algorithm": "local_only", "lr": 1.0}, {}, ["local only, lr = 1", "DemLearn"]),
        ({"seed": 1, "chunk": 2, "data_dir": "/x"}, {"eval_every": 2}, ["DemLearn"]),
    ],
)
def test_settings_are_called_by_the_options_in_which_they_differ(one, other, labels):
    found = settings([record("a", **one), record("b", **other)])
    assert [setting.label for setting in found] == labels


def test_histories_are_called_by_their_names_and_known_algorithms_recognised():
    history = made_history()
    found = settings([history, history], names=["FedAvg (ours)", "mine"])
    assert [one.label for one in found] == ["FedAvg (ours)", "mine"]
    assert [one.algorithm for one in found] == ["fedavg", "mine"]
    assert [one.label for one in settings([history, history])] == ["run 1", "run 2"]


def test_seeds_are_compared_over_the_rounds_that_all_have_measured():
    (one,) = settings([record(seed=0), record(seed=1, rounds=(0, 2, 4)), record(seed=2)])
    rounds, values = one.values("c_gen")
    assert rounds.tolist() == [0, 2]
    assert values.tolist() == [[0, 2], [10, 12], [20, 22]]
    assert one.values("g_gen_l1") is None


def test_each_algorithm_has_its_colour_and_no_two_lines_look_alike():
    for name in COLOURS:
        (look,) = looks(settings(record(algorithm=name)))
        assert to_rgb(look["color"]) == to_rgb(COLOURS[name])
    records = [record(algorithm=name) for name in COLOURS]
    records += [record(levels=count) for count in (1, 2)] + [record(algorithm="other")]
    several = settings(records)
    assert len(several) == len(records)
    drawn = looks(several)
    for name in ("fedavg", "fedprox", "local_only"):  # of which there is one each
        place = [one.algorithm for one in several].index(name)
        assert to_rgb(drawn[place]["color"]) == to_rgb(COLOURS[name])
    assert len({to_hex(look["color"]) for look in drawn}) == len(drawn)
    # Of more lines than there are dashes, two may share one, and then differ in their markers.
    assert len({(str(look["linestyle"]), look["marker"]) for look in drawn}) == len(drawn)
    assert "ditto" in COLOURS, "also those that are not of the paper have a colour of their own"
    many = looks(settings([record(levels=count, prox=p) for count in (1, 2, 3) for p in (0, 1, 2)]))
    assert len({(str(look["linestyle"]), look["marker"]) for look in many}) == 9


def test_colours_are_told_apart_in_grey_too():
    grey = sorted(
        float(np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722))) for colour in COLOURS.values()
    )
    # As far apart as so many can be, or nearly: some colours are those of the paper's figures.
    assert min(np.diff(grey)) > 0.75 * LIGHTEST / len(COLOURS)


def at(moment, **options):
    return record(**options)._replace(summary={"measured_at": moment})


def test_labels_say_when_clients_are_scored_where_that_differs():
    trained, mixed = at("trained", algorithm="fedavg"), at("mixed")
    assert [one.label for one in settings([trained, mixed])] == [
        "FedAvg (trained)",
        "DemLearn (mixed)",
    ]
    same = settings([trained, at("trained", algorithm="ditto")])
    assert [one.label for one in same] == ["FedAvg", "Ditto"]
    unknown = settings([trained, record(algorithm="ditto")])
    assert [one.label for one in unknown] == ["FedAvg", "Ditto"]
    said = settings([at("averaged", algorithm="fedavg", measure_at="averaged"), mixed])
    assert [one.label for one in said] == ["FedAvg, measure at = averaged", "DemLearn (mixed)"]
    assert [one.label for one in settings([trained, mixed], ["a", "b"])] == ["a", "b"]
