"""TOML out is TOML in, and damaged files are told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demjax.experiment.config import override, read_toml, to_toml
from demjax.experiment.defaults import CHOICES
from demjax.experiment.experiment import Experiment
from demjax.experiment.validation import resolve


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(CHOICES["ALGORITHMS"]),
    st.floats(0, 1),
    st.floats(0.001, 10),
    st.integers(0, 2**31 - 1),
)
def test_toml_out_is_toml_in(tmp_path_factory, algorithm, mix, lr, seed):
    resolved = resolve(Experiment(algorithm=algorithm, mix=mix, lr=lr, seed=seed))
    path = tmp_path_factory.mktemp("toml") / "config.toml"
    path.write_text(to_toml(resolved), encoding="utf-8")
    assert Experiment(**read_toml(path)) == resolved


def test_a_damaged_or_foreign_config_is_one_sentence(tmp_path):
    path = tmp_path / "config.toml"
    with pytest.raises(ValueError, match="cannot be read"):
        read_toml(path)
    path.write_text("rounds = = 3")
    with pytest.raises(ValueError, match="not valid TOML"):
        read_toml(path)
    path.write_text("ronds = 3")
    with pytest.raises(ValueError, match="perhaps 'rounds' was meant"):
        read_toml(path)


def test_options_given_by_hand_win_and_another_algorithm_inherits_nothing():
    options = {"algorithm": "demlearn", "mix": 0.6, "lr": 0.1, "pixels": "standardized"}
    assert override(options, {"mix": 0.5}) == {**options, "mix": 0.5}
    other = override(options, {"algorithm": "fedavg"})
    assert other == {"algorithm": "fedavg", "lr": 0.1, "pixels": "standardized"}
    assert "pixels" not in override(options, {"partition": "published"})


def test_another_partition_drops_the_options_of_the_one_before():
    filed = {"partition": "labels", "labels_per_client": 3, "label_sigma": 1.0, "clients": 9}
    filed |= {"test_fraction": 0.3, "conflict": "rotated", "kinds": 2}
    kept = override(filed, {"partition": "planted"})
    assert kept == {
        "partition": "planted",
        "clients": 9,
        "test_fraction": 0.3,
        "conflict": "rotated",
        "kinds": 2,
    }
    assert override(filed, {"conflict": "none"}) == {
        **{name: value for name, value in filed.items() if name != "kinds"},
        "conflict": "none",
    }
    assert "test_fraction" not in override(filed, {"partition": "published"})
    assert override(filed, {"seed": 1}) == filed | {"seed": 1}


def test_the_scale_is_kept_with_the_same_data_and_dropout_goes_with_its_model():
    options = {"dataset": "digits", "pixels": "unit", "model": "cnn", "dropout": 0.0}
    assert override(options, {"dataset": "digits", "partition": "labels"}) == {
        **options,
        "partition": "labels",
    }
    assert override(options, {"model": "mlp"}) == {
        "dataset": "digits",
        "pixels": "unit",
        "model": "mlp",
    }


@pytest.mark.parametrize("value", ["{a = 1}", '["iid", {a = 1}]', "[[1]]"])
def test_tables_and_lists_of_lists_are_no_options(value, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(f"partition = {value}\n")
    with pytest.raises(ValueError, match=r"'partition' as .*; possible is a single value"):
        read_toml(path)
