"""The tables of run folders against rows written by hand: whole, cut short, shuffled, damaged."""

import csv

import numpy as np
import pytest

from demjax.runs.reader import are_whole, read_clients, read_columns, read_measures

HEADER = "round,client,c_spe,c_gen,group_l1,group_l2\n"
ROWS = [
    "0,0,0.1,0.2,-1,0\n",
    "0,1,,0.3,1,0\n",
    "5,0,0.5,inf,0,1\n",
    "5,1,0.6,0.7,0,-1\n",
]


def written(path, *lines):
    path.write_text("".join(lines))
    return path


def test_columns_are_those_that_csv_reads(tmp_path):
    path = written(tmp_path / "a.csv", HEADER, *ROWS)
    found = read_columns(path, ("round",), whole=True)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert list(found) == list(rows[0])
    for name, values in found.items():
        told = [float(row[name]) if row[name] not in ("", "inf") else np.nan for row in rows]
        np.testing.assert_array_equal(values, told)
    assert read_columns(tmp_path / "none.csv", ("round",), whole=True) == {}


def test_only_a_table_that_is_being_written_may_be_cut_short(tmp_path):
    path = written(tmp_path / "a.csv", HEADER, *ROWS, "6,0,0.")
    assert read_columns(path, (), whole=False)["round"].tolist() == [0, 0, 5, 5]
    with pytest.raises(ValueError, match="row 5 is not 6 numbers"):
        read_columns(path, (), whole=True)
    for short in ("6\n", "6,0,0.1,0.2,0\n", "6,0,0.1,0.2,0,0,0\n", "6,0,x,0.2,0,0\n"):
        written(path, HEADER, short)
        with pytest.raises(ValueError, match="row 1 is not 6 numbers"):
            read_columns(path, (), whole=False)
    written(path, HEADER[:9])
    assert read_columns(path, ("round", "client"), whole=False) == {}
    with pytest.raises(ValueError, match="no column 'client'"):
        read_columns(path, ("round", "client"), whole=True)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 0, 2, 1)])
def test_clients_are_found_in_whatever_order_their_rows_are(order, tmp_path):
    path = written(tmp_path / "a.csv", HEADER, *(ROWS[place] for place in order))
    found = read_clients(path, np.array([0.0, 5.0]), whole=True)
    assert found.rounds.tolist() == [0, 5]
    np.testing.assert_array_equal(found.spe, [[0.1, np.nan], [0.5, 0.6]])
    np.testing.assert_array_equal(found.gen, [[0.2, 0.3], [np.nan, 0.7]])
    assert found.groups.tolist() == [[[-1, 1], [0, 0]], [[0, 0], [1, -1]]]


def test_a_measurement_that_was_not_finished_is_left_out(tmp_path):
    path = written(tmp_path / "a.csv", HEADER, *ROWS)
    found = read_clients(path, np.array([0.0]), whole=False)
    assert found.rounds.tolist() == [0]
    assert found.spe.shape == (1, 2)
    assert read_clients(path, np.zeros(0), whole=False) is None
    # a full disk may end a run between the two files
    assert read_clients(path, np.array([0.0]), whole=True).rounds.tolist() == [0]
    with pytest.raises(ValueError, match="every client once"):
        read_clients(path, np.array([0.0, 5.0, 6.0]), whole=True)
    written(path, HEADER)
    with pytest.raises(ValueError, match="every client once"):
        read_clients(path, np.array([0.0]), whole=True)
    assert read_clients(path, np.array([0.0]), whole=False) is None


@pytest.mark.parametrize(
    "rows",
    [
        [*ROWS[:3], ROWS[2]],
        ROWS[:3],
        [*ROWS[:3], "5,1e15,0.6,0.7,0,0\n"],
        [*ROWS[:3], "5,,0.6,0.7,0,0\n"],
        [*ROWS[:3], "5,0.5,0.6,0.7,0,0\n"],
        [*ROWS[:3], "5,-1,0.6,0.7,0,0\n"],
    ],
)
def test_every_client_must_be_there_once(rows, tmp_path):
    path = written(tmp_path / "a.csv", HEADER, *rows)
    with pytest.raises(ValueError, match="every client once"):
        read_clients(path, np.array([0.0, 5.0]), whole=True)


@pytest.mark.parametrize("rounds", [("1", "1"), ("2", "1"), ("0", "0.5"), ("0", "")])
def test_rounds_count_upwards(rounds, tmp_path):
    path = tmp_path / "a.csv"
    written(path, "round,c_spe\n", *(f"{number},0.5\n" for number in rounds))
    with pytest.raises(ValueError, match="count upwards"):
        read_measures(path, (), whole=True)
    written(path, "round,c_spe\n", "0,0.5\n", "2,\n")
    found = read_measures(path, ("c_spe",), whole=True)
    np.testing.assert_array_equal(found["c_spe"], [0.5, np.nan])


def test_whole_numbers():
    values = np.array([0, -3, 2.5, np.nan, np.inf, 2.0**53, 2.0**53 - 1])
    assert are_whole(values).tolist() == [True, True, False, False, False, False, True]


def test_a_cell_without_end_and_a_head_without_end_take_no_memory(tmp_path):
    path = written(tmp_path / "a.csv", "round,a\n1,", "9" * 200_000, "\n")
    with pytest.raises(ValueError, match="no table of numbers"):
        read_columns(path, (), whole=True)
    written(path, "round", ",a" * 200_000, "\n", "1\n" * 200_000)  # 300 GB of numbers
    with pytest.raises(ValueError, match="row 1 is not 200001 numbers"):
        read_columns(path, (), whole=True)
