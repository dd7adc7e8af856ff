"""The scaling benchmark: runs spread out agree with one device, and its model is what it says."""

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def scaling(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import scaling

    return scaling


def test_a_run_on_several_devices_has_less_on_each_and_the_same_models(scaling):
    strong = next(scaling.scalings(16, [2], [1]))
    assert (strong["devices"], strong["processes"], strong["clients"]) == (2, 1, 16)
    assert strong["difference"] < 1e-5
    assert 16 * 7850 * 4 / 2 < strong["state_bytes"] < 2e6  # half of the models, groups and rows
    assert strong["between_bytes"]["all-to-all"] > 0
    from machine import empty_result

    table = scaling.report(empty_result("any", 1) | {"points": [strong]}).splitlines()
    assert table[4].startswith("| strong | 16 | 2 | 1 |")
    assert table[-1].startswith("Machine: device cpu, devices 1, ")


def test_the_model_of_cost_is_the_sum_of_its_parts(scaling):
    model = {"a": 2.0, "s": 0.0, "c": 0.0, "g": 0.0, "l": 0.0, "k": 0.0, "parameters": 100.0}
    assert scaling.says(model, 10_000) == 20_000
    few = model | {"a": 0.0, "c": 1.0, "l": 3.0}
    assert scaling.says(few, 1_000) == 1_000**2 * (2039 + 3)
    many = model | {"a": 0.0, "s": 1.0, "g": 1.0, "k": 7.0}
    assert scaling.says(many, 10_000) == 10_000 * (100 + 2048 * 1021) + 7
