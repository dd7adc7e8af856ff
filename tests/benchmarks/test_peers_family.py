from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS / "peers")
    monkeypatch.syspath_prepend(BENCHMARKS)


def test_each_system_is_made_with_the_options_of_its_row():
    from family_problem import CLASSES, FEATURES, HIDDEN
    from peers_family import SYSTEMS

    import demjax

    task = demjax.classification(
        demjax.models.MLP(classes=CLASSES, hidden=(HIDDEN,)), np.zeros(FEATURES, np.float32)
    )
    local = demjax.local_training(task, "sgd", lr=0.1)
    for name, system in SYSTEMS.items():
        getattr(demjax, system.name or name)(local, **system.options)


def test_arrays_carry_the_names_of_the_problem_and_begin_there():
    from family_problem import SIZES, problem
    from peers_family import SYSTEMS, demjax_models

    first = problem().network
    one, _ = demjax_models("fedper", SYSTEMS["fedper"])
    assert {name for name in one if not name.startswith("own_")} == set(first)
    share = np.array(SIZES) / sum(SIZES)
    for name, begun in first.items():
        own = one[f"own_{name}"]
        assert own.shape == (len(SIZES), *begun.shape)
        assert 0 < np.abs(own - begun).max() < 0.5
        if name.startswith("hidden"):
            np.testing.assert_allclose(one[name], np.tensordot(share, own, 1), atol=1e-6)


def test_layers_of_batch_normalization_have_names_of_their_own_and_begin_alike():
    from peers_family import SYSTEMS, beginning, demjax_models

    one, _ = demjax_models("fedbn", SYSTEMS["fedbn"])
    assert {name for name in one if not name.startswith("own_")} == set(beginning(SYSTEMS["fedbn"]))
    assert not np.array_equal(one["own_norm_scale"][0], one["own_norm_scale"][1])


def test_the_table_says_both_rounds_and_the_note():
    from peers_family import report

    row = {"peer": "fluke: moon.MOON", "model": "Network", "moved": 0.25, "global": [3e-8, 0.125]}
    systems = {"moon": row | {"personal": None, "why": ""}}
    systems["feddyn_flgo"] = row | {"peer": "flgo: feddyn", "personal": None, "why": ""}
    systems["ditto"] = row | {"model": "Linear", "personal": [0.5, 1.0], "why": "so"}
    about = {"machine": {"cpu": "some"}, "versions": {"jax": "0.10"}}
    text = report({"systems": systems} | about)
    assert "| moon | fluke `moon.MOON` | network | 0.25 | 3.0e-08 / 1.2e-01 | – | – |" in text
    assert "| feddyn | flgo `feddyn` | network |" in text
    assert "| linear | 0.25 | 3.0e-08 / 1.2e-01 | 5.0e-01 / 1.0e+00 | so |" in text
