"""Registries, slots, and factories that check what they are given: by choices made up here."""

import inspect
from typing import Annotated, Any

import pytest

from demjax.registry import (
    REQUIRED,
    Passes,
    Range,
    Registry,
    Slot,
    call,
    code_in,
    configurable,
    expand,
    slot_of,
)

SHAPES = Registry("shape", __name__, table="shapes", given=("unit",))


@SHAPES.register(label="Circle", paper="Euclid")
def circle(unit: str = "cm", *, radius: Annotated[float, Range(0, 10)] = 1.0):
    """A circle.

    Args:
        unit: In which it is measured.
        radius: Its radius.
    """
    return ("circle", unit, radius)


@SHAPES.register("box")
def rectangle(*, width: Annotated[int, Range(1)] = 2, height: int = 3):
    """A box."""
    return ("box", width, height)


class Point:
    """A point."""


SHAPES.register("origin", itself=True)(Point)


@configurable
def border(*, dashes: Annotated[int, Range(0)] = 0):
    """A border."""
    return dashes


def drawing(
    *,
    shape: Annotated[Any, SHAPES] = "circle",
    second: Annotated[Any, Slot(SHAPES, prefix="second_", defaults={"radius": 5.0})] = None,
    fitted: Annotated[Any, Slot(SHAPES, prefix="fitted_", inferred=True, table="fits")] = None,
    copies: Annotated[int, Range(1)] = 1,
    **style: Annotated[Any, Passes(border, table="style")],
):
    """A drawing.

    Args:
        shape: What is drawn.
        copies: How many.
    """
    return shape, second, fitted, copies, border(**style)


made = configurable(drawing)


def circle_in(unit="cm", **options):
    return SHAPES["circle"].make(unit, **options)


def test_a_registry_knows_its_choices_in_order_by_name():
    assert list(SHAPES) == ["circle", "box", "origin"]
    assert len(SHAPES) == 3
    assert "box" in SHAPES
    assert "rectangle" not in SHAPES
    assert [choice.name for choice in SHAPES.choices()] == list(SHAPES)
    first = SHAPES["circle"]
    assert (first.label, first.summary) == ("Circle", "A circle.")
    assert first.facts["paper"] == "Euclid"
    assert SHAPES["box"].label == "box"
    assert SHAPES["origin"].make() is Point
    assert SHAPES["origin"].summary == "A point."
    assert repr(SHAPES) == "<one shape of circle, box, origin>"


def test_a_family_is_the_folder_of_the_module():
    assert circle.__module__.split(".")[-2:][0] == SHAPES["circle"].facts["family"]


def test_an_unknown_name_is_answered_with_the_nearest_and_all():
    with pytest.raises(ValueError, match="The shape 'circel' is unknown; perhaps 'circle' was"):
        SHAPES["circel"]
    with pytest.raises(ValueError, match="unknown; possible are circle, box, origin"):
        SHAPES.find("zzz")


def test_no_name_is_given_twice():
    with pytest.raises(ValueError, match="There is a shape named 'box' already"):
        SHAPES.register("box")(lambda: None)
    assert SHAPES["box"].make() == ("box", 2, 3)


def test_what_is_registered_checks_its_arguments():
    assert circle("cm", radius=2) == circle_in(radius=2) == ("circle", "cm", 2)
    with pytest.raises(ValueError, match="circle needs radius as 0 to 10, but 11 was given"):
        circle("cm", radius=11)
    with pytest.raises(ValueError, match=r"rectangle needs width as a whole number, but 1\.5"):
        rectangle(width=1.5)


def test_a_call_takes_of_all_options_those_that_are_its_own():
    everything = {"radius": 3.0, "width": 7, "colour": "red"}
    assert call(SHAPES["circle"], SHAPES, everything, unit="mm") == ("circle", "mm", 3.0)
    assert call(SHAPES["box"], SHAPES, everything, unit="mm") == ("box", 7, 3)


def test_names_become_what_they_stand_for_and_take_their_options():
    assert made(shape="origin")[:4] == (Point, None, None, 1)
    assert made(shape="box", width=4)[0] == ("box", 4, 3)
    assert made(shape=("mine",))[0] == ("mine",)
    assert made(second="box", second_width=9)[1] == ("box", 9, 3)
    assert made(copies=3, dashes=2) == (("circle", "cm", 1.0), None, None, 3, 2)


def test_a_slot_gives_its_options_another_name_default_and_table():
    options = expand(drawing, {"second": "circle", "fitted_width": 3})
    assert options["radius"].default == 1.0
    assert options["second_radius"].default == 5.0
    assert options["second_radius"].flag == "--second-radius"
    assert options["second_radius"].range == Range(0, 10)
    assert options["radius"].table == options["second_radius"].table == "shapes"
    assert options["fitted"].default == "box"
    assert options["fitted"].table == options["fitted_width"].table == "fits"
    assert "unit" not in options
    assert (options["copies"].table, options["dashes"].table) == ("", "style")
    assert expand(drawing, {}, table="mine")["copies"].table == "mine"


def test_a_slots_own_defaults_reach_what_it_makes():
    shapes = Registry("shape", __name__, table="shapes")
    shapes.register("circle")(lambda radius=1.0: radius)

    @configurable
    def one(*, round: Annotated[Any, Slot(shapes, prefix="r_", defaults={"radius": 5.0})] = None):
        return round

    assert one() is None
    assert one(round="circle") == 5.0
    assert one(round="circle", r_radius=2.0) == 2.0


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ({}, None),
        ({"fitted_radius": 2.0}, "circle"),
        ({"fitted_width": 2}, "box"),
        ({"fitted": "box"}, "box"),
        ({"radius": 2.0}, None),
        ({"fitted_radius": None}, None),
    ],
)
def test_an_inferred_choice_is_the_first_that_takes_what_is_given(given, chosen):
    assert expand(drawing, given)["fitted"].default == chosen


def test_an_inferred_choice_is_not_guessed_where_none_takes_all():
    option = expand(drawing, {})["fitted"]
    slot = slot_of(option)
    assert slot.chosen(option, {"fitted_radius": 1.0, "fitted_width": 2}) is None
    assert slot_of(expand(drawing, {})["copies"]) is None
    assert slot_of(expand(drawing, {})["shape"]).registry is SHAPES


def test_an_unknown_argument_is_a_type_error_with_the_nearest_name():
    with pytest.raises(TypeError, match="drawing takes no 'copys'; perhaps 'copies' was meant"):
        made(copys=2, shape="origin")
    with pytest.raises(TypeError, match=r"takes no 'width'; .*possible are .*radius"):
        made(shape="circle", width=2)
    with pytest.raises(ValueError, match="The shape 'bx' is unknown; perhaps 'box' was meant"):
        made(shape="bx")
    with pytest.raises(ValueError, match="drawing needs copies as 1 or more, but 0 was given"):
        made(copies=0)


def test_an_option_without_a_default_is_required():
    shapes = Registry("shape", __name__, table="shapes")

    @shapes.register()
    def line(*, length: Annotated[float, Range(0)]):
        """A line."""
        return length

    option = expand(line, {})["length"]
    assert option.default is REQUIRED
    assert line(length=3.0) == 3.0
    with pytest.raises(TypeError, match="length"):
        line()


def test_the_signature_is_spelled_out():
    assert list(inspect.signature(made).parameters) == [
        *("shape", "second", "fitted", "copies", "dashes")
    ]
    assert inspect.signature(made).parameters["dashes"].default == 0
    assert made.__doc__ == drawing.__doc__


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("mine.py:f", ["mine.py:f"]),
        (("fairness", "a/b.py:g"), ["a/b.py:g"]),
        (["x.py:h"], ["x.py:h"]),
        ("fedavg", []),
        (0.5, []),
        (None, []),
    ],
)
def test_code_is_found_in_words_and_lists_of_them(value, named):
    assert code_in(value) == named
