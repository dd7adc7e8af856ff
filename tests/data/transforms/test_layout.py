"""Axes of images against loops over single pixels."""

import json

import numpy as np
import pytest
from partitions_alike import failure

from demjax.data import images, load

RNG = np.random.default_rng(0)
HWC = RNG.integers(0, 256, (5, 9, 8, 3), dtype=np.uint8)


def channels_first(x):
    """One pixel after another."""
    found = np.zeros((len(x), x.shape[3], *x.shape[1:3]), x.dtype)
    for t, i, j, c in np.ndindex(x.shape):
        found[t, c, i, j] = x[t, i, j, c]
    return found


def test_channels_first_is_turned_when_it_is_said():
    turned = images(channels_first(HWC), "chw")
    np.testing.assert_array_equal(turned, HWC)
    assert turned.flags.c_contiguous


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_channels_first_is_refused_where_it_is_unmistakable(channels, dtype):
    x = np.zeros((5, channels, 9, 8), dtype)
    sentence = failure(lambda: images(x, whose="'mine'"), f"({channels}, 9, 8)", "channels first")
    assert f"(9, 8, {channels})" in sentence
    assert "--layout chw" in sentence
    assert images(x, "as_is") is x
    assert images(x, "hwc") is x


@pytest.mark.parametrize(
    "shape",
    [(9, 8, 3), (8, 8, 1), (2, 9, 9), (3, 4, 4), (5, 5, 13), (13, 9, 9), (7,), (4, 9, 9, 9)],
)
def test_what_may_be_in_order_is_left(shape):
    x = np.zeros((4, *shape), np.float32)
    assert images(x) is x


@pytest.mark.parametrize(
    ("shape", "dtype", "becomes"),
    [
        ((28, 28), np.float32, (28, 28, 1)),
        ((28, 28), np.uint8, (28, 28, 1)),
        ((20, 30), np.uint8, (20, 30, 1)),
        ((20, 30), np.float32, (20, 30)),  # perhaps steps of a series
        ((4, 4), np.float32, (4, 4)),
    ],
)
def test_a_missing_channel_axis_is_added_to_images(shape, dtype, becomes):
    x = RNG.integers(0, 2, (6, *shape)).astype(dtype)
    found = images(x)
    assert found.shape == (6, *becomes)
    np.testing.assert_array_equal(found.reshape(x.shape), x)
    assert images(x, "hw").shape == (6, *shape, 1)
    assert images(x, "as_is").shape == x.shape


def test_rows_of_pixels_are_images_of_the_layout_that_is_said():
    square = RNG.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(images(square.reshape(4, -1), "hwc"), square)
    np.testing.assert_array_equal(images(channels_first(square).reshape(4, -1), "chw"), square)
    grey = square[..., :1]
    for layout in ("hw", "hwc", "chw"):
        np.testing.assert_array_equal(images(grey.reshape(4, -1), layout), grey)
    assert images(grey.reshape(4, -1)).shape == (4, 64)  # rows stay rows unless it is said
    failure(lambda: images(square.reshape(4, -1), "hw"), "192 numbers", "hw")
    failure(lambda: images(np.zeros((4, 50)), "hwc"), "50 numbers")


@pytest.mark.parametrize(
    ("shape", "layout", "possible"),
    [
        ((28, 28), "hwc", "hw"),
        ((28, 28), "chw", "hw"),
        ((28, 28, 3), "chw", "hwc"),
        ((28, 28, 3), "hw", "hwc"),
        ((2, 3, 4, 5), "hwc", "as_is"),
    ],
)
def test_another_layout_than_the_inputs_have_is_refused(shape, layout, possible):
    x = np.zeros((4, *shape), np.uint8)
    failure(lambda: images(x, layout), str(shape), layout, f"--layout {possible}")


def test_grey_images_are_the_same_in_any_layout():
    x = np.zeros((4, 8, 8, 1))
    for layout in ("auto", "hwc", "chw", "hw", "as_is"):
        assert images(x, layout) is x


def test_every_reader_brings_images_so(tmp_path):
    x = RNG.integers(0, 256, (6, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", x=x, y=np.arange(6))
    assert load("npz", data_dir=tmp_path).x.shape == (6, 8, 8, 1)
    assert load("npz", data_dir=tmp_path, layout="as_is").x.shape == (6, 8, 8)
    own = tmp_path / "own.py"
    own.write_text(
        "import numpy as np\n"
        "def first():\n    return np.zeros((6, 3, 8, 8)), np.arange(6)\n"
        "def none():\n    return np.zeros((6, 8, 8)), np.arange(6)\n"
    )
    failure(lambda: load(f"{own}:first"), "(3, 8, 8)", "(8, 8, 3)")
    assert load(f"{own}:first", layout="chw").x.shape == (6, 8, 8, 3)
    assert load(f"{own}:none").x.shape == (6, 8, 8, 1)
    folder = tmp_path / "leaf"
    folder.mkdir()
    user = {"x": [[0.5] * 192] * 2, "y": [0, 1]}
    content = {"users": ["u"], "num_samples": [2], "user_data": {"u": user}}
    (folder / "a.json").write_text(json.dumps(content))
    assert load("leaf", data_dir=folder, cache_dir="").x.shape == (2, 192)
    assert load("leaf", data_dir=folder, cache_dir="", layout="chw").x.shape == (2, 8, 8, 3)
