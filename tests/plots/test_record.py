"""A run read from its folder and from its history is the same; damage is told in a sentence."""

import jax
import numpy as np
import pytest
from drawn_folders import REGROUPED, ROUNDS, made_history, made_run, write_run

from demjax.plots.record import Record, read, read_all
from demjax.runs import folder as run_folder
from demjax.runs.rows import DRAWN_CLIENTS, dendrogram_rows


@pytest.mark.parametrize("cut", [(5, 3), ()])
def test_a_folder_and_its_history_are_the_same_record(cut, tmp_path):
    history = made_history(cut=cut)
    options = {"groups": cut} if cut else {"algorithm": "fedavg"}
    folder = write_run(tmp_path / "one", history, **options)
    filed, told = read(folder), read(history)
    assert filed.name == "one"
    assert filed.levels == told.levels == len(cut)
    assert filed.options["clients"] == 12
    assert filed.summary["parameters"] == 650
    np.testing.assert_array_equal(filed.round, ROUNDS)
    assert set(filed.measures) - {"seconds"} == set(told.measures)
    for column, values in told.measures.items():
        np.testing.assert_allclose(filed.measures[column], values, atol=1e-6)
    for name in ("client_spe", "client_gen"):
        np.testing.assert_allclose(getattr(filed, name), getattr(told, name), atol=1e-6)
    np.testing.assert_array_equal(filed.groups, told.groups)
    assert filed.groups.shape == (len(ROUNDS), len(cut), 12)
    assert list(filed.dendrograms) == list(told.dendrograms) == ([1, 4, 6] if cut else [])
    for number, merges in filed.dendrograms.items():
        mine = history.measures.organization.merges[ROUNDS.index(number)]
        np.testing.assert_array_equal(merges.astype(np.float32), mine)
        np.testing.assert_array_equal(told.dendrograms[number].astype(np.float32), mine)
    assert read(filed) is filed
    assert read(filed, "other").name == "other"


def test_no_dendrogram_is_written_twice_and_none_of_very_many_clients():
    known = 0
    for place, number in enumerate(ROUNDS):
        organization = jax.tree.map(
            lambda leaf: leaf[place],  # noqa: B023
            made_history().measures.organization,
        )
        rows = dendrogram_rows(number, organization, known)
        assert len(rows) == (11 if REGROUPED.get(number, 0) > known else 0)
        known = REGROUPED.get(number, 0)
    many = organization._replace(before=np.zeros((2, DRAWN_CLIENTS + 1), int))
    assert dendrogram_rows(6, many, 0) == []
    organization.merges[3, 2] = np.inf
    assert dendrogram_rows(6, organization, 0) == []


def test_rows_of_a_round_that_was_not_finished_are_left_out(tmp_path):
    folder = write_run(tmp_path / "run", made_history(seed=1), summary=False, groups=(5, 3))
    whole = read(folder)
    for name, row in (
        (run_folder.CLIENTS, "8,0,0.5,0.5,0,0"),
        (run_folder.DENDROGRAMS, "8,0,1,0.5,2"),
    ):
        with (folder / name).open("a") as file:
            file.write(f"{row}\n{row}\n{row[:5]}")
    again = read(folder)
    assert list(again.dendrograms) == [1, 4, 6]
    np.testing.assert_array_equal(again.groups, whole.groups)


def test_a_run_that_has_not_ended_can_be_read(tmp_path):
    folder = write_run(tmp_path / "run", made_history(), summary=False, groups=(5, 3))
    assert read(folder).summary == {}
    (folder / run_folder.CLIENTS).unlink()
    (folder / run_folder.DENDROGRAMS).unlink()
    record = read(folder)
    assert (record.client_spe, record.groups, record.dendrograms) == (None, None, {})


def test_several_histories_are_told_apart_and_names_are_theirs():
    history = made_history()
    assert [one.name for one in read_all([history, history])] == ["run 1", "run 2"]
    assert [one.name for one in read_all([history, history], ["a", "b"])] == ["a", "b"]
    assert [one.name for one in read_all(history)] == ["run"]
    assert isinstance(read_all([read(history)])[0], Record)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (run_folder.METRICS, "round,c_spe\n0,many\n", "no table of numbers"),
        (run_folder.METRICS, "round,c_spe\n0\n", "no table of numbers"),
        (run_folder.METRICS, "", "no table of numbers"),
        (run_folder.METRICS, "round,c_spe\n", "no measurement"),
        (run_folder.CLIENTS, "round,client\n0,0\n", "lacks columns"),
        (run_folder.CLIENTS, "round,client,c_spe,c_gen\n0,0,1,1\n0,2,1,1\n", "every client once"),
        (run_folder.DENDROGRAMS, "round,left\n0,0\n", "lacks columns"),
        (run_folder.DENDROGRAMS, "round,left,right,distance,size\n1,0,1,0.5,3\n", "no dendrogram"),
        (run_folder.SUMMARY, "[]", "no summary"),
        (run_folder.SUMMARY, "{", "no summary"),
        (run_folder.CONFIG, "levels =", "not valid TOML"),
    ],
)
def test_a_damaged_file_is_named(name, text, words, tmp_path):
    folder = made_run(tmp_path / "run")
    (folder / name).write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        read(folder)
    assert name in str(error.value)


def test_what_is_no_run_is_told(tmp_path):
    with pytest.raises(ValueError, match="There is no run"):
        read(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"is no run folder"):
        read(str(tmp_path))
    with pytest.raises(ValueError, match="at least one run"):
        read_all([])
    with pytest.raises(ValueError, match="1 names were given for 2 runs"):
        read_all([made_history(), made_history()], ["a"])
    history = made_history()
    swept = history._replace(measures=jax.tree.map(lambda leaf: leaf[None], history.measures))
    with pytest.raises(ValueError, match="history of one experiment"):
        read(swept)
