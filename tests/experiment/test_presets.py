"""Presets: options that there are, and the runs that they stand for."""

import dataclasses

import pytest

from demjax.experiment.presets import PRESETS
from demjax.experiment.validation import resolve, unused_options


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_holds_options_that_its_algorithm_uses(name):
    asked = Experiment(**PRESETS[name])
    assert unused_options(asked) == []
    resolved = dataclasses.asdict(resolve(asked))
    assert {option: resolved[option] for option in PRESETS[name]} == PRESETS[name]


def test_the_published_preset_is_the_published_run():
    resolved = experiment(**PRESETS["published"])
    assert resolved == experiment(dataset="mnist", partition="published")
    assert (resolved.clients, resolved.amplification) == (50, 1.0)


def test_the_recommended_preset_trains_from_the_root_in_groups_of_updates():
    resolved = experiment(**PRESETS["recommended"])
    assert (resolved.features, resolved.metric, resolved.linkage) == ("updates", "cosine", "ward")
    assert (resolved.levels, resolved.groups, resolved.min_size) == (2, (8, 4), 3)
    assert (resolved.start, resolved.weigh) == ("root", "examples")
