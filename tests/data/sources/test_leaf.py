"""LEAF's folders, held against a reader of plain lists; odd users load, bad files do not."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from partitions_alike import failure

from demjax.data import leaf, load


def write(path, users, /, **replaced):
    """One file of ``{user: (x, y)}``, as LEAF writes it."""
    content = {
        "users": list(users),
        "num_samples": [len(y) for _, y in users.values()],
        "user_data": {user: {"x": x, "y": y} for user, (x, y) in users.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content | replaced))
    return path


def some(count, *, width=5, labels=(0, 1, 2), seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, width)).round(3).tolist()
    return x, rng.choice(labels, count).tolist()


def in_lists(parts):
    """``[(x, y, user)]`` of the files of each part: users by name, files in order."""
    rows = []
    for files in parts:
        part = []
        for users in files:
            for user, (x, y) in users.items():
                part += [(user, *pair) for pair in zip(x, y, strict=True)]
        rows += sorted(part, key=lambda row: row[0])
    return rows


def check(read, parts):
    rows = in_lists(parts)
    names = sorted({user for user, _, _ in rows})
    np.testing.assert_array_equal(read.x, np.array([x for _, x, _ in rows], np.float32))
    stands_for = read.labels or range(read.classes)
    assert [int(stands_for[y]) for y in read.y] == [y for _, _, y in rows]
    assert read.owner.tolist() == [names.index(user) for user, _, _ in rows]
    assert read.train_count == len(in_lists(parts[:1]))
    assert (read.y.dtype, read.owner.dtype, read.name) == (np.int32, np.int32, "leaf")


ODD = {
    "f0002": some(4, seed=1),
    "one example": some(1, seed=2),
    "one label": (some(3, seed=3)[0], [2, 2, 2]),
    "f0001": some(2, seed=4),
}
MORE = {"f0002": some(2, seed=5), "another": some(3, seed=6), "nothing": ([], [])}
TESTS = {"f0002": some(1, seed=7), "f0001": some(2, seed=8), "only for tests": some(1, seed=9)}


@pytest.mark.parametrize("below", ["", "data", "leaf", "leaf/data"])
def test_odd_users_in_several_files_load(tmp_path, below):
    write(tmp_path / below / "train" / "a.json", ODD)
    write(tmp_path / below / "train" / "b.json", MORE)
    write(tmp_path / below / "test" / "a.json", TESTS)
    read = load("leaf", data_dir=tmp_path)
    check(read, [[ODD, MORE], [TESTS]])
    assert (read.classes, read.x.shape, read.x.dtype) == (3, (19, 5), np.float32)
    assert read.owner.max() == 5  # six users; who has nothing is none


@pytest.mark.parametrize("below", ["", "all_data", "data/all_data"])
def test_what_is_not_split_has_no_test_part(tmp_path, below):
    write(tmp_path / below / "a.json", ODD)
    write(tmp_path / below / "b.json", MORE)
    check(leaf(data_dir=str(tmp_path)), [[ODD, MORE]])


users = st.dictionaries(
    st.text("ab", max_size=3), st.tuples(st.integers(0, 4), st.integers(0, 99)), max_size=4
)


@settings(deadline=None, max_examples=15)
@given(files=st.lists(users, min_size=1, max_size=3), tests=st.lists(users, max_size=2))
def test_any_deal_of_users_to_files_is_read_as_lists_are(tmp_path_factory, files, tests):
    folder = tmp_path_factory.mktemp("leaf")
    parts = [
        [{user: some(count, seed=seed) for user, (count, seed) in each.items()} for each in part]
        for part in (files, tests)
    ]
    for name, part in zip(("train", "test"), parts, strict=True):
        for number, each in enumerate(part):
            write(folder / name / f"{number}.json", each)
    if in_lists(parts[:1]):
        check(leaf(data_dir=folder), parts)
    else:
        failure(lambda: leaf(data_dir=folder), folder / "train", "no example")


def test_labels_as_floats_are_whole(tmp_path):
    write(tmp_path / "a.json", {"u": (some(2)[0], [0.0, 4.0])})
    read = leaf(data_dir=tmp_path)
    assert (read.y.tolist(), read.classes, read.labels) == ([0, 1], 2, ("0", "4"))


@pytest.mark.parametrize(("width", "shape"), [(64, (8, 8, 1)), (784, (28, 28, 1)), (49, (49,))])
def test_squares_of_pixels_become_images(tmp_path, width, shape):
    pixels = np.random.default_rng(0).integers(0, 256, (3, width))
    write(tmp_path / "a.json", {"u": ((pixels / 255).tolist(), [0, 1, 2])})
    read = leaf(data_dir=tmp_path)
    assert read.x.shape == (3, *shape)
    if len(shape) == 3:  # whole 255ths are bytes
        assert read.x.dtype == np.uint8
        np.testing.assert_array_equal(read.x.reshape(3, -1), pixels)
    else:
        np.testing.assert_allclose(read.x, pixels / 255, rtol=1e-6)


def test_images_are_bytes_only_where_all_users_have_whole_255ths(tmp_path):
    whole, other = np.arange(64)[None] / 255, np.linspace(0, 0.9, 64)[None]
    write(tmp_path / "a.json", {"u": (whole.tolist(), [0]), "v": (other.tolist(), [1])})
    read = leaf(data_dir=tmp_path)
    assert read.x.dtype == np.float32
    np.testing.assert_allclose(read.x.reshape(2, -1), np.vstack([whole, other]), rtol=1e-6)


@pytest.mark.parametrize(("most", "classes"), [(9, 1), (10, 62), (40, 62), (61, 62), (62, 1)])
def test_letters_in_images_of_28_by_28_mean_all_62_labels(tmp_path, most, classes):
    write(tmp_path / "a.json", {"u": ([[0.0] * 784], [most])})
    assert leaf(data_dir=tmp_path).classes == classes


GOOD = {"u": some(3)}
X, Y = GOOD["u"]
WRONG = {
    "text": ({"u": (["to be", "or", "not"], ["t", "b", "e"])}, {}, "text"),
    "text labels": ({"u": (X, ["t", "b", "e"])}, {}, "text"),
    "ragged": ({"u": ([X[0], X[1][:4], X[2]], Y)}, {}, "user 'u'"),
    "NaN": ({"u": ([X[0], [float("nan")] * 5, X[2]], Y)}, {}, "example 1"),
    "null": ({"u": ([X[0], [None] * 5, X[2]], Y)}, {}, "user 'u'"),
    "null in x": (
        {"u": ([X[0], X[1], [1.0, None, 2.0, 3.0, 4.0]], Y)},
        {},
        "null in x of example 2",
    ),
    "null in y": ({"u": (X, [0, None, 1])}, {}, "null in y of example 1"),
    "true among numbers": ({"u": ([X[0], [1, True, 0, 0, 0], X[2]], Y)}, {}, "true in x of exam"),
    "false as a label": ({"u": (X, [0, 1, False])}, {}, "false in y of example 2"),
    "only truth values": ({"u": (X, [True, False, True])}, {}, "true in y of example 0"),
    "a huge number": ({"u": ([X[0], [10**30] * 5, X[2]], Y)}, {}, "in x of example 1"),
    "a huge number below 0": ({"u": (X, [0, -(10**30), 1])}, {}, "in y of example 1"),
    "a huge float": ({"u": ([X[0], X[1], [1e300] * 5], Y)}, {}, "example 2"),
    "no lists": ({"u": (X, Y)}, {"user_data": {"u": {"x": 3, "y": Y}}}, "user 'u'"),
    "single numbers": ({"u": (Y, Y)}, {}, "(3,)"),
    "nested": ({"u": ([[row] for row in X], Y)}, {}, "(3, 1, 5)"),
    "no pixels": ({"u": ([[], [], []], Y)}, {}, "(3, 0)"),
    "lengths": ({"u": (X, Y)}, {"user_data": {"u": {"x": X, "y": Y[:2]}}}, "3 inputs and 2 labels"),
    "num_samples": ({"u": (X, Y)}, {"num_samples": [4]}, "num_samples says 4"),
    "too many num_samples": ({"u": (X, Y)}, {"num_samples": [3, 3]}, "num_samples"),
    "a user twice": ({"u": (X, Y)}, {"users": ["u", "u"], "num_samples": [3, 3]}, "each once"),
    "users of numbers": ({"u": (X, Y)}, {"users": [1]}, "users"),
    "users unlisted": ({"u": (X, Y)}, {"users": [], "num_samples": []}, "user 'u'"),
    "users without data": ({"u": (X, Y)}, {"users": ["v"]}, "in only one of"),
    "no users": ({"u": (X, Y)}, {"users": None}, "users"),
    "no y": ({"u": (X, Y)}, {"user_data": {"u": {"x": X}}}, "x and y"),
    "labels below 0": ({"u": (X, [0, -1, 0])}, {}, "label -1 at position 1"),
    "half labels": ({"u": (X, [0, 0.5, 0])}, {}, "label 0.5"),
    "vast labels": ({"u": (X, [0, 10**9, 0])}, {}, "label 1000000000"),
    "labels in lists": ({"u": (X, [[0], [1], [0]])}, {}, "(3, 1)"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_bad_files_are_named(tmp_path, wrong):
    users, replaced, found = WRONG[wrong]
    path = write(tmp_path / "train" / "a.json", users, **replaced)
    write(tmp_path / "test" / "a.json", GOOD)
    failure(lambda: leaf(data_dir=tmp_path), path, found)


def test_a_user_twice_in_one_file_is_named(tmp_path):
    path = write(tmp_path / "a.json", GOOD | {"v": some(2)})
    path.write_text(path.read_text().replace('"v": {', '"u": {'))
    failure(lambda: leaf(data_dir=tmp_path), path, "'u' twice")
    write(tmp_path / "a.json", GOOD, users=["u", "u"], num_samples=[3, 3])
    failure(lambda: leaf(data_dir=tmp_path), path, "'u' twice")


def test_words_in_names_are_no_words_among_numbers(tmp_path):
    write(tmp_path / "a.json", {"null": some(3, seed=1), "true false": some(2, seed=2)})
    check(leaf(data_dir=tmp_path), [[{"null": some(3, seed=1), "true false": some(2, seed=2)}]])


def test_files_that_macos_adds_are_not_read(tmp_path):
    write(tmp_path / "train" / "a.json", ODD)
    write(tmp_path / "test" / "a.json", TESTS)
    for part in ("train", "test"):
        (tmp_path / part / "._a.json").write_bytes(b"\x00\x05\x16\x07\x00")
    check(leaf(data_dir=tmp_path), [[ODD], [TESTS]])


def test_json_that_breaks_off_or_is_something_else_is_named(tmp_path):
    path = write(tmp_path / "a.json", GOOD)
    whole = path.read_bytes()
    for content in (*(whole[:end] for end in range(0, len(whole), 29)), b"[" * 10**6, b"\xff{}"):
        path.write_bytes(content)
        failure(lambda: leaf(data_dir=tmp_path), path, "JSON")
    for content in (b"[]", b"3", b"{}"):
        path.write_bytes(content)
        failure(lambda: leaf(data_dir=tmp_path), path)


def test_inputs_of_two_lengths_are_named(tmp_path):
    write(tmp_path / "a.json", GOOD | {"v": some(2, width=6)})
    failure(lambda: leaf(data_dir=tmp_path), tmp_path, "'u'", "'v'", "5", "6")


def test_a_folder_without_files_and_one_of_tests_only_are_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        failure(lambda folder=folder: leaf(data_dir=folder), folder, "no JSON files")
    write(tmp_path / "test" / "a.json", GOOD)
    failure(lambda: leaf(data_dir=tmp_path), tmp_path, "none in train")


def test_links_that_leave_the_folder_are_refused_and_others_followed(tmp_path):
    root = tmp_path / "root"
    outside = write(tmp_path / "outside" / "a.json", GOOD)
    inside = write(root / "kept" / "a.json", GOOD)
    link = root / "train" / "a.json"
    link.parent.mkdir()
    link.symlink_to(inside)
    check(leaf(data_dir=root), [[GOOD]])
    link.unlink()
    link.symlink_to(outside)
    failure(lambda: leaf(data_dir=root), link, "leads out")
    link.unlink()
    link.parent.rmdir()
    link.parent.symlink_to(outside.parent)
    failure(lambda: leaf(data_dir=root), link, "leads out")
    elsewhere = tmp_path / "link to the root"
    elsewhere.symlink_to(outside.parent)
    check(leaf(data_dir=elsewhere), [[GOOD]])
