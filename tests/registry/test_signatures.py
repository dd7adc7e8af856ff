"""What a signature and a docstring say: types, defaults, ranges, words, help."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import flax.linen as nn
import pytest
from jaxtyping import Array, Float

from demjax.registry import DISTANCES, REQUIRED, Passes, Range, accepts, configurable, options_of
from demjax.registry.signatures import spelled_out


def inner(*, depth: Annotated[int, Range(0, 9)] = 2, only: Sequence[str] = ()):
    """Inner.

    Args:
        depth: How deep.
    """


def many(
    local,
    count: int,
    *,
    rate: Annotated[Float[Array, ""] | float, Range(0, 1)] = 0.5,
    rates: Annotated[float | Sequence[float], Range(0, 1)] = 0.5,
    sizes: Annotated[tuple[int, ...], Range(1)] = (3, 2),
    limit: Annotated[int | None, Range(1)] = None,
    side: Literal["left", "right"] = "left",
    sides: Literal["left", "right"] | tuple[Literal["left", "right"], ...] = "left",
    hook: Callable[[int], int] | None = None,
    loud: bool = False,
    metric: Annotated[Any, DISTANCES] = "euclidean",
    plain=3,
    nothing=None,
    **more: Annotated[Any, Passes(inner, table="deep")],
):
    """Many kinds of options.

    Args:
        local: How clients train.
        count: How many of them, ``N``,
            at least 1.
        rate, rates: Shares, 0 to 1.
        side: Which side.
    """
    return more


OPTIONS = {option.name: option for option in options_of(many, ("local",))}


@pytest.mark.parametrize(
    ("name", "single", "several", "optional", "default"),
    [
        ("count", int, None, False, REQUIRED),
        ("rate", float, None, False, 0.5),
        ("rates", float, float, False, 0.5),
        ("sizes", None, int, False, (3, 2)),
        ("limit", int, None, True, None),
        ("side", str, None, False, "left"),
        ("sides", str, str, False, "left"),
        ("loud", bool, None, False, False),
        ("metric", str, None, False, "euclidean"),
        ("plain", int, None, False, 3),
        ("depth", int, None, False, 2),
        ("only", None, str, False, ()),
    ],
)
def test_types_and_defaults(name, single, several, optional, default):
    option = OPTIONS[name]
    assert (option.single, option.several) == (single, several)
    assert (option.optional, option.default) == (optional, default)


def test_what_no_word_can_be_is_no_option():
    assert list(OPTIONS) == [
        *("count", "rate", "rates", "sizes", "limit", "side", "sides", "loud", "metric", "plain"),
        *("depth", "only"),
    ]


def test_ranges_words_and_registries():
    assert OPTIONS["rate"].range == OPTIONS["rates"].range == Range(0, 1)
    assert OPTIONS["limit"].range == OPTIONS["sizes"].range == Range(1)
    assert OPTIONS["loud"].range is None
    assert OPTIONS["side"].words == OPTIONS["sides"].words == ("left", "right")
    assert OPTIONS["metric"].chooses is DISTANCES
    assert OPTIONS["plain"].words is None


def test_help_is_what_the_docstring_says_in_one_line():
    assert OPTIONS["count"].help == "How many of them, N, at least 1"
    assert OPTIONS["rate"].help == OPTIONS["rates"].help == "Shares, 0 to 1"
    assert OPTIONS["depth"].help == "How deep"
    assert OPTIONS["loud"].help == ""


def test_flags_and_tables():
    assert OPTIONS["rates"].flag == "--rates"
    assert OPTIONS["depth"].table == "deep"
    assert OPTIONS["rate"].table == ""
    assert OPTIONS["rate"]._replace(name="a_long_name").flag == "--a-long-name"


def test_accepts_looks_through_what_is_passed_on_and_through_wrappers():
    assert all(accepts(many, name) for name in ("local", "hook", "depth", "nothing"))
    assert not accepts(many, "width")
    assert accepts(configurable(many), "depth")
    assert list(options_of(configurable(many), ("local",))) == list(OPTIONS.values())
    assert [o.name for o in options_of(functools.partial(inner, depth=3))] == ["depth", "only"]


def test_the_signature_is_spelled_out_with_what_is_passed_on():
    parameters = spelled_out(many).parameters
    assert list(parameters)[-2:] == ["depth", "only"]
    assert "more" not in parameters
    assert parameters["depth"].default == 2
    assert inspect.signature(configurable(many)) == spelled_out(many)


def test_dataclasses_and_modules_have_options_too():
    @dataclass
    class Table:
        """A table.

        Args:
            rounds: how many
        """

        rounds: Annotated[int, Range(1)] = 3

    (option,) = options_of(Table)
    assert (option.name, option.single, option.default) == ("rounds", int, 3)
    assert (option.range, option.help) == (Range(1), "how many")

    class Net(nn.Module):
        """A network.

        Attributes:
            classes: Number of labels.
            width: Of the hidden layer.
        """

        classes: int
        width: int = 8

    (option,) = options_of(Net, ("classes",))
    assert (option.name, option.default, option.help) == ("width", 8, "Of the hidden layer")
