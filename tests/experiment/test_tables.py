"""The tables of a configuration: what each option says of itself, and where it belongs."""

from itertools import product

import pytest

from demjax.experiment.experiment import with_defaults
from demjax.experiment.tables import TABLES, all_options
from demjax.registry import ALGORITHMS, DATASETS, PARTITIONS, Range


def test_every_option_explains_itself_and_numbers_have_a_range():
    for option in all_options(with_defaults({})).values():
        assert len(option.help) > 4
        if option.chooses is None and (option.single or option.several) in (int, float):
            assert isinstance(option.range, Range), option.name


def test_each_option_belongs_to_one_table():
    tables = {name: option.table for name, option in all_options(with_defaults({})).items()}
    assert tables["rounds"] == tables["seed"] == "run"
    assert tables["labels_per_client"] == tables["partition"] == tables["clients"] == "data"
    assert tables["dropout"] == "model"
    assert tables["lr"] == tables["cohort"] == "training"
    assert tables["mix"] == tables["algorithm"] == "algorithm"
    assert tables["levels"] == tables["metric"] == tables["linkage_backend"] == "clustering"
    assert all_options({"algorithm": "fedavg"})["server_optimizer"].table == "algorithm"
    assert set(tables.values()) == {*TABLES, "clustering"}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_options_follow_from_what_is_chosen(algorithm):
    """All combinations in one test of each system, for they are thousands that take no time."""
    several = ("labels", "planted", "fedprox_power_law", "niid_bench_labels", "pfllib_pat")
    for dataset, partition in product(DATASETS, PARTITIONS):
        found = all_options({"algorithm": algorithm, "dataset": dataset, "partition": partition})
        where = f"{dataset}, {partition}"
        assert ("levels" in found) == (algorithm in ("demlearn", "demlearn_rep")), where
        assert ("synthetic_alpha" in found) == (dataset == "synthetic"), where
        assert ("labels_per_client" in found) == (partition in several), where
        assert "noise" not in found, where
