"""Trees that are given: by numbers, drawn, listed or in a file."""

import jax
import numpy as np
import pytest
from partitions_alike import failure

from demjax.base import NO_GROUP
from demjax.hierarchy.given import given_tree, read_tree

KEY = jax.random.key(2)


def placed(groups, clients, **options):
    return given_tree("The tree", groups, usual=(3,), **options).place(KEY, clients)


@pytest.mark.parametrize("counts", [(), (1,), (5,), (7, 3), (12, 5, 5, 2)])
def test_equal_groups_are_as_equal_as_can_be_and_nest(counts):
    found = placed(counts, 23)
    assert found.groups.shape == (len(counts) + 1, 23)
    held = [range(23)] * 23
    for level, count in enumerate(counts):
        row, size = np.asarray(found.groups[level]), np.asarray(found.size[level])
        assert (np.diff(row) >= 0).all()
        assert set(row.tolist()) == set(range(count))
        assert (size[count:] == 0).all()
        below = 23 if level == 0 else counts[level - 1]
        of = {slot: {int(held[n][0]) for n in np.flatnonzero(row == slot)} for slot in range(count)}
        many = [len(of[slot]) if level else size[slot] for slot in range(count)]
        assert max(many) - min(many) <= 1
        assert sum(many) == below
        held = [(int(one),) for one in row]
    np.testing.assert_array_equal(found.groups[-1], np.zeros(23))


def test_drawn_groups_are_the_equal_ones_of_permuted_clients():
    plain, drawn = placed((4, 2), 10), placed((4, 2), 10, placement="random")
    np.testing.assert_array_equal(plain.size, drawn.size)
    columns = sorted(map(tuple, np.asarray(drawn.groups).T.tolist()))
    assert columns == sorted(map(tuple, np.asarray(plain.groups).T.tolist()))
    assert np.asarray(drawn.groups).tolist() != np.asarray(plain.groups).tolist()
    traced = jax.jit(
        lambda key: given_tree("It", (4, 2), usual=(), placement="random").place(key, 10)
    )
    np.testing.assert_array_equal(traced(KEY).groups, drawn.groups)


def test_the_usual_numbers_are_for_whoever_says_none():
    np.testing.assert_array_equal(placed(None, 6).groups, [[0, 0, 1, 1, 2, 2], [0] * 6])


def test_listed_groups_are_as_they_stand():
    groups = np.array([[2, NO_GROUP, 0], [1, 1, 0]])
    found = placed(None, 3, client_groups=groups)
    np.testing.assert_array_equal(found.groups, [*groups.tolist(), [0, 0, 0]])
    np.testing.assert_array_equal(found.size, [[1, 0, 1], [1, 2, 0], [3, 0, 0]])
    one = placed(None, 3, client_groups=np.array([0, 1, 0]), placement="true_clusters")
    np.testing.assert_array_equal(one.groups, [[0, 1, 0], [0, 0, 0]])


def test_a_file_names_groups_in_any_order_of_lines(tmp_path):
    path = tmp_path / "tree.csv"
    path.write_text("Client,edge,city\n1,west,Linz\n\n0, east ,Linz\n3,,Graz\n2,west,Linz\n")
    wanted = [[0, 1, 1, NO_GROUP], [0, 0, 0, 1]]
    np.testing.assert_array_equal(read_tree(path), wanted)
    found = placed(None, 4, tree_file=str(path))
    np.testing.assert_array_equal(found.groups, [*wanted, [0] * 4])
    failure(lambda: placed(None, 5, tree_file=str(path)), "4 clients", "there are 5")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["client,edge"]),
        ("client,edge\n", ["client,edge"]),
        ("client\n0\n", ["client,edge"]),
        ("edge,client\n0,0\n", ["client,edge"]),
        ("client,edge\n0,a\n0,b\n", ["'0,b'", "0 to 1"]),
        ("client,edge\n0,a\n2,b\n", ["'2,b'", "0 to 1"]),
        ("client,edge\nx,a\n", ["'x,a'"]),
        ("client,edge\n0\n", ["'0'", "2 values"]),
        (f"client,edge\n{'9' * 5000},a\n", ["'999", "0 to 0"]),
        ("client,edge\n0,a,b\n", ["'0,a,b'", "2 values"]),
    ],
)
def test_a_file_of_another_form_is_told_in_a_sentence(content, parts, tmp_path):
    path = tmp_path / "tree.csv"
    path.write_text(content)
    failure(lambda: read_tree(path), path, *parts)


def test_no_file_is_told_in_a_sentence(tmp_path):
    failure(lambda: read_tree(tmp_path / "nowhere.csv"), "nowhere.csv", "cannot be read")


@pytest.mark.parametrize(
    ("groups", "options", "parts"),
    [
        ((2, 3), {}, ["2, 3 groups", "possible is 3, 2"]),
        ((0,), {}, ["at least 1", "0 was given"]),
        ((2,), {"tree_file": "x"}, ["numbers and a file"]),
        (None, {"placement": "true_clusters"}, ["true clusters", "these data have none"]),
        (None, {"client_groups": np.zeros((1, 2, 3), int)}, ["(1, 2, 3)"]),
        (None, {"client_groups": np.array([0.5, 1])}, ["float64"]),
        (None, {"client_groups": np.array([0, -2])}, ["whole numbers from 0"]),
    ],
)
def test_what_is_no_tree_is_refused(groups, options, parts):
    failure(lambda: given_tree("The tree", groups, usual=(2,), **options), "The tree", *parts)


def test_more_groups_than_clients_are_refused():
    failure(lambda: placed((4,), 3), "4 groups", "3 clients", "1 to 3")
