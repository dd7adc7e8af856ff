"""Values of options: what a word of the command line makes of them, and which are refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from demjax.experiment.experiment import with_defaults
from demjax.experiment.tables import all_options
from demjax.registry import Range, check_value, read_word
from demjax.registry.signatures import Option

OPTIONS = all_options(with_defaults({"groups": (6, 3), "sketch": 1, "features": "updates"}))
OPTIONS |= all_options(with_defaults({"heights": (1.0,)}))


@pytest.mark.parametrize(
    ("name", "word", "wanted"),
    [
        ("mix", "0.6", 0.6),
        ("mix", "0.6,0.6, 0.4,0.2", (0.6, 0.6, 0.4, 0.2)),
        ("weighting", "examples", "examples"),
        ("weighting", "clients,examples", ("clients", "examples")),
        ("groups", "12,6,3", (12, 6, 3)),
        ("groups", "12", (12,)),
        ("heights", "1,2.5", (1.0, 2.5)),
        ("feature_layers", "Dense_0", ("Dense_0",)),
        ("sketch", "64", 64),
        ("rounds", "64", 64),
        ("nesterov", "true", True),
        ("nesterov", "False", False),
        ("dataset", "digits", "digits"),
    ],
)
def test_commas_part_a_list_where_a_list_is_possible(name, word, wanted):
    found = read_word(OPTIONS[name], word)
    assert found == wanted
    assert type(found) is type(wanted)
    check_value(OPTIONS[name], found, f"{name} needs")


@pytest.mark.parametrize(
    ("name", "word", "sentence"),
    [
        ("groups", "6,x", "--groups needs values parted by commas, each a whole number, but '6,x'"),
        ("mix", "0.6,", "--mix needs a number, but '0.6,' was given"),
        ("sketch", "1,2", "--sketch needs a whole number, but '1,2' was given"),
        ("rounds", "1.5", "--rounds needs a whole number, but '1.5' was given"),
        ("nesterov", "1", "--nesterov needs true or false, but '1' was given"),
    ],
)
def test_a_word_that_is_no_such_value_is_refused(name, word, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}.*\\.$"):
        read_word(OPTIONS[name], word)


def option(single, several=None, **more):
    return Option("some_thing", single, several, more.pop("optional", False), 1, **more)


@pytest.mark.parametrize(
    ("one", "value", "words"),
    [
        (option(int), 1.0, "X needs a whole number, but 1.0 was given."),
        (option(int), True, "X needs a whole number, but True was given."),
        (option(int), "1", "X needs a whole number, but '1' was given."),
        (option(int), None, "X needs a whole number, but None was given."),
        (option(int), (1, 2), "X needs a whole number, but (1, 2) was given."),
        (option(int), 2**31, "X needs at most 2147483647, but 2147483648 was given."),
        (option(int, range=Range(1)), 0, "X needs 1 or more, but 0 was given."),
        (option(float, range=Range(0, 1)), 2, "X needs 0 to 1, but 2 was given."),
        (option(float, range=Range(0, 1)), float("nan"), "X needs 0 to 1, but nan was given."),
        (option(float), "much", "X needs a number, but 'much' was given."),
        (option(float), False, "X needs a number, but False was given."),
        (option(bool), 1, "X needs true or false, but 1 was given."),
        (option(str), 1, "X needs a word, but 1 was given."),
        (
            option(str, words=("left", "right")),
            "rihgt",
            "The some thing 'rihgt' is unknown; perhaps 'right' was meant, and possible are left, "
            "right.",
        ),
        (option(None, int), 3, "X needs values parted by commas, each a whole number, but 3 was "),
        (option(None, int), (), "X needs values parted by commas, each a whole number, but () was"),
        (option(None, int), (1, 2.5), "X needs a whole number, but 2.5 was given."),
        (option(None, int, range=Range(1)), (1, 0), "X needs 1 or more, but 0 was given."),
        (option(float, float), (0.5, (1.0,)), "X needs a number, but (1.0,) was given."),
    ],
)
def test_a_wrong_value_is_one_sentence(one, value, words):
    with pytest.raises(ValueError) as error:  # noqa: PT011 (what it says is checked here)
        check_value(one, value, "X needs")
    assert str(error.value).startswith(words)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize(
    ("one", "value"),
    [
        (option(int), 3),
        (option(float), 3),
        (option(float), jnp.float32(7)),
        (option(float, range=Range(0, 1)), np.array([7.0])),
        (option(str), print),
        (option(int, optional=True), None),
        (option(float, float), (0.5, 1)),
        (option(float, float), [0.5, jnp.float32(1)]),
        (option(bool), True),
    ],
)
def test_right_values_and_what_was_made_in_python_pass(one, value):
    check_value(one, value, "X needs")
