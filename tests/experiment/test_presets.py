"""Presets: options that there are, and the runs that they stand for."""

import pytest
from experiments import experiment

from demjax.experiment.config import presets, read_preset
from demjax.experiment.experiment import resolve


@pytest.mark.parametrize("name", presets())
def test_a_preset_holds_options_that_its_algorithm_uses(name):
    asked = read_preset(name)
    resolved = resolve(asked)
    assert {option: resolved.values[option] for option in asked} == asked


def test_the_published_preset_is_the_published_run():
    resolved = resolve(read_preset("published"))
    assert resolved == experiment(dataset="mnist", partition="published")
    assert (resolved.clients, resolved.amplification) == (50, 1.0)


def test_the_recommended_preset_trains_within_as_many_groups_as_conflict_label_by_label():
    resolved = resolve(read_preset("recommended"))
    assert (resolved.features, resolved.cut) == ("label_gradients", "gap")
    assert (resolved.start, resolved.weighting) == ("parent", "examples")
    assert (resolved.mix, resolved.prox) == ((0.2, 0.0), 0.0)


def test_an_unknown_preset_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="perhaps 'published' was meant"):
        read_preset("publisht")


def test_the_published_femnist_preset_draws_fifty_owners_and_pools_nothing():
    resolved = resolve(read_preset("published_femnist"))
    assert (resolved.clients, resolved.partition, resolved.pool_tests) == (50, "natural", False)


def test_the_published_pfedme_preset_differs_from_the_published_one_in_the_algorithm_and_its_rate():
    resolved, other = (resolve(read_preset(name)) for name in ("published_pfedme", "published"))
    own = {
        "algorithm": "pfedme",
        "epochs": 1,
        "batches_per_epoch": 2,
        "lr": 0.08,
        "prox": 10.0,
        "personal_lr": 0.04,
    }
    own |= {"personal_steps": 2, "server_optimizer": "sgd", "server_lr": 2.0}
    assert {name: resolved.values[name] for name in own} == own
    shared = {"run", "data", "model", "training"}
    for name, table in other.tables.items():
        if table in shared and name not in own:
            assert resolved.values[name] == other.values[name]
