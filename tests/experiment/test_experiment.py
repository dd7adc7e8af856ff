"""What each option says of itself, and what a word of the command line makes of it."""

import dataclasses

import pytest

from demjax.experiment.experiment import Experiment, parse


def test_every_option_explains_itself():
    for field in dataclasses.fields(Experiment):
        assert len(field.metadata["help"]) > 4


@pytest.mark.parametrize(
    ("name", "word", "wanted"),
    [
        ("mix", "0.6", 0.6),
        ("mix", "0.6,0.6, 0.4,0.2", (0.6, 0.6, 0.4, 0.2)),
        ("weigh", "examples", "examples"),
        ("weigh", "clients,examples", ("clients", "examples")),
        ("groups", "12,6,3", (12, 6, 3)),
        ("groups", "12", (12,)),
        ("heights", "1,2.5", (1.0, 2.5)),
        ("feature_layers", "Dense_0", ("Dense_0",)),
        ("sketch", "64", 64),
    ],
)
def test_commas_part_a_list_where_a_list_is_possible(name, word, wanted):
    field = next(field for field in dataclasses.fields(Experiment) if field.name == name)
    assert parse(field, word) == wanted
    assert type(parse(field, word)) is type(wanted)


@pytest.mark.parametrize(("name", "word"), [("groups", "6,x"), ("mix", "0.6,"), ("sketch", "1,2")])
def test_a_word_that_is_no_such_value_is_refused(name, word):
    field = next(field for field in dataclasses.fields(Experiment) if field.name == name)
    with pytest.raises(ValueError):  # noqa: PT011 - argparse makes the sentence
        parse(field, word)
