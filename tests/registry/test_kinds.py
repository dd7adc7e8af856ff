"""What every registered choice of every kind keeps to, so that help can be made of it."""

import pytest

import demjax  # noqa: F401 (registers them)
from demjax.experiment.experiment import with_defaults
from demjax.experiment.tables import TABLES, all_options
from demjax.registry import (
    ALGORITHMS,
    CONFLICTS,
    CUTS,
    DATASETS,
    DISTANCES,
    FEATURES,
    LINKAGES,
    MODELS,
    NORMALIZATIONS,
    OPTIMIZERS,
    PARTITIONS,
    REQUIRED,
    STARTS,
    Range,
    expand,
    slot_of,
)

KINDS = (
    *(ALGORITHMS, CONFLICTS, CUTS, DATASETS, DISTANCES, FEATURES, LINKAGES, MODELS),
    *(NORMALIZATIONS, OPTIMIZERS, PARTITIONS, STARTS),
)
AT_ONCE = (ALGORITHMS, DATASETS, PARTITIONS, CONFLICTS, NORMALIZATIONS, MODELS, OPTIMIZERS)
CHOICES = [(registry, name) for registry in KINDS for name in registry]
each_choice = pytest.mark.parametrize(
    ("registry", "name"), CHOICES, ids=lambda one: getattr(one, "kind", one)
)


def options_of(registry, name, values=()):
    return expand(registry[name].make, dict(values), given=registry.given, table=registry.table)


def under_every_choice(registry, name):
    """The options of a choice, under each of the choices that it offers itself."""
    found = options_of(registry, name)
    yield from found.values()
    for option in found.values():
        slot = slot_of(option)
        for inner in slot.registry if slot else ():
            yield from options_of(registry, name, {option.name: inner}).values()


@each_choice
def test_a_choice_says_what_it_is(registry, name):
    choice = registry[name]
    assert len(choice.summary) > 10
    assert choice.summary[0].isupper()
    assert choice.label
    assert name == name.lower()


@each_choice
def test_its_options_explain_themselves_and_numbers_have_a_range(registry, name):
    for option in under_every_choice(registry, name):
        assert len(option.help) > 3, option.name
        number = (option.single or option.several) in (int, float)
        assert not number or isinstance(option.range, Range), option.name
        if number and option.default not in (None, REQUIRED):
            several = option.default if isinstance(option.default, tuple) else (option.default,)
            assert all(value in option.range for value in several), option.name


def test_every_algorithm_tells_its_paper_and_family():
    for choice in ALGORITHMS.choices():
        assert len(choice.facts["paper"]) > 10
        assert choice.facts["family"] in choice.facts["module"]


def test_every_data_set_tells_what_its_table_shows():
    for choice in DATASETS.choices():
        told = ("examples", "shape", "classes", "licence", "source")
        assert all(choice.facts[name] for name in told), choice.name


def test_what_every_choice_needs_it_takes():
    from demjax.registry import accepts

    for registry in KINDS:
        assert set(registry.needed) <= set(registry.given)
        for choice in registry.choices():
            assert all(accepts(choice.make, name) for name in registry.needed), choice.name


def meaning(option):
    """What a name means, but for what a default or a help may say under one choice."""
    return (option.single, option.several, option.range, option.words, option.table)


def test_no_two_choices_that_can_be_active_together_give_one_name_two_meanings():
    """Options of different kinds meet in one command line; of one kind only one is chosen."""
    by_kind = {
        registry: {o.name: o for n in registry for o in options_of(registry, n).values()}
        for registry in AT_ONCE
    }
    fields = {name for table in TABLES.values() for name in table.__dataclass_fields__}
    kinds = list(by_kind)
    for place, one in enumerate(kinds):
        assert not fields & set(by_kind[one]), one
        for other in kinds[place + 1 :]:
            for name in set(by_kind[one]) & set(by_kind[other]):
                assert meaning(by_kind[one][name]) == meaning(by_kind[other][name]), name


@pytest.mark.parametrize(
    "given",
    [
        {"algorithm": algorithm, "dataset": dataset, "model": model}
        for algorithm in ALGORITHMS
        for dataset in ("digits", "synthetic", "leaf")
        for model in MODELS
    ],
    ids=lambda given: "-".join(given.values()),
)
def test_every_option_of_a_run_has_a_table_and_a_flag_of_its_own(given):
    options = all_options(with_defaults(given))
    flags = [option.flag for option in options.values()]
    assert len(set(flags)) == len(flags)
    assert all(option.table for option in options.values())
    assert not {"out", "config", "preset", "help", "devices"} & set(options)
