"""The run folder: nothing overwritten, nothing lost, nothing half written."""

import csv
import json
import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from demjax.base import Hierarchy, Organization
from demjax.metrics import Measures
from demjax.metrics.tree import Structure
from demjax.runs import folder as run_folder
from demjax.runs.environment import environment
from demjax.runs.rows import clients_rows, dendrogram_rows, metrics_row
from demjax.runs.schema import CLIENTS, METRICS, ORGANIZED, SENT
from demjax.runs.schema import TOLD as MEANINGS

NAN = float("nan")


def _measures():
    return Measures(
        client_spe=jnp.array([0.5, NAN]),
        client_gen=jnp.array([0.25, 0.75]),
        group_spe=jnp.array([[0.4, NAN], [0.6, NAN]]),
        group_gen=jnp.array([[0.3, NAN], [0.7, NAN]]),
        c_spe=jnp.array(0.5),
        c_gen=jnp.array(0.5),
        g_spe=jnp.array([NAN, 0.6]),
        g_gen=jnp.array([0.3, 0.7]),
        global_score=jnp.array(0.7),
        diverged=jnp.array(0),
        hierarchy=Hierarchy(jnp.array([[0, -1], [0, 0]]), jnp.array([[1, 0], [2, 0]])),
        structure=Structure(
            groups=jnp.array([1]),
            largest=jnp.array([1]),
            smallest=jnp.array([1]),
            singletons=jnp.array([1.0]),
            rand_true=jnp.array([-0.25]),
            rand_before=jnp.array([NAN]),
            moved=jnp.array([0]),
        ),
        organization=Organization(
            jnp.array([[-1, -1], [0, 0]]),
            jnp.array([[0.0, 1.0, 0.5, 2.0]]),
            jnp.array(0.125),
            jnp.array(1),
        ),
    )


def test_rows_are_written_as_they_come_and_missing_values_are_blank(tmp_path):
    path = tmp_path / run_folder.METRICS
    for number in (0, 5):
        run_folder.append(path, [metrics_row(number, _measures(), 1.23456)])
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert rows[-1] == {
            "round": str(number),
            "c_spe": "0.5",
            "c_gen": "0.5",
            "global": "0.7",
            "g_spe_l1": "",
            "g_gen_l1": "0.3",
            "seconds": "1.235",
            "c_spe_by_client": "0.5",
            "groups_l1": "1",
            "largest_l1": "1",
            "smallest_l1": "1",
            "singletons_l1": "1.0",
            "rand_true_l1": "-0.25",
            "rand_before_l1": "",
            "moved_l1": "0",
            "cophenetic": "0.125",
        }
    assert [row["round"] for row in rows] == ["0", "5"]
    assert path.read_text().count("round") == 1


def test_the_pinned_columns_come_first_and_in_their_order():
    columns = list(metrics_row(0, _measures(), 0.0))
    pinned = ["round", "c_spe", "c_gen", "global", "g_spe_l1", "g_gen_l1", "seconds"]
    assert columns[: len(pinned)] == pinned
    assert columns[-1] == "cophenetic"
    without = metrics_row(0, _measures()._replace(organization=None), 0.0)
    assert list(without) == columns[:-1]


def test_every_client_is_written_with_its_groups(tmp_path):
    path = tmp_path / run_folder.CLIENTS
    run_folder.append(path, clients_rows(3, _measures()))
    assert list(csv.DictReader(path.read_text().splitlines())) == [
        {"round": "3", "client": "0", "c_spe": "0.5", "c_gen": "0.25", "group_l1": "0"},
        {"round": "3", "client": "1", "c_spe": "", "c_gen": "0.75", "group_l1": "-1"},
    ]


def test_a_dendrogram_is_written_once_and_keeps_every_digit(tmp_path):
    path, organization = tmp_path / run_folder.DENDROGRAMS, _measures().organization
    third = organization._replace(merges=jnp.array([[0.0, 1.0, 1 / 3, 2.0]]))
    run_folder.append(path, dendrogram_rows(3, third, 0))
    (row,) = csv.DictReader(path.read_text().splitlines())
    assert list(row) == ["round", "left", "right", "distance", "size"]
    assert (row["round"], row["left"], row["right"], row["size"]) == ("3", "0", "1", "2")
    assert jnp.float32(row["distance"]) == jnp.float32(1 / 3)
    assert dendrogram_rows(4, third, 1) == []  # clients have not regrouped since
    assert len(dendrogram_rows(4, third._replace(times=2), 1)) == 1


def test_a_run_that_measured_nothing_takes_back_all_its_files(tmp_path):
    run_folder.create(tmp_path / "run", "rounds = 1\n")
    run_folder.append(tmp_path / "run" / run_folder.DENDROGRAMS, [{"round": 0}])
    run_folder.append(tmp_path / "run" / run_folder.CLIENTS, [{"round": 0}])
    run_folder.discard(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_anything_is_refused_and_left_alone(tmp_path):
    run_folder.create(tmp_path / "new" / "run", "rounds = 1\n")
    assert (tmp_path / "new" / "run" / run_folder.CONFIG).read_text() == "rounds = 1\n"
    with pytest.raises(ValueError, match="another run"):
        run_folder.create(tmp_path / "new" / "run", "rounds = 2\n")
    assert (tmp_path / "new" / "run" / run_folder.CONFIG).read_text() == "rounds = 1\n"
    with pytest.raises(ValueError, match="other files"):
        run_folder.create(tmp_path / "new", "")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="is a file"):
        run_folder.create(tmp_path / "file", "")
    with pytest.raises(ValueError, match="cannot be written"):
        run_folder.create(tmp_path / "file" / "below", "")
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    run_folder.create(tmp_path / "empty", "")


def test_a_summary_is_whole_or_absent(tmp_path):
    with pytest.raises(ValueError, match="no finished run"):
        run_folder.read_summary(tmp_path)
    final = {"round": 1, "c_spe": 0.5, "c_gen": 0.5, "global": 0.5}
    run_folder.write_summary(tmp_path, {"final": final})
    assert run_folder.read_summary(tmp_path)["final"] == final
    assert [path.name for path in tmp_path.iterdir()] == [run_folder.SUMMARY]
    for damaged in ('{"final":', "[]", "{}", "3", '{"final": {"round": 1}}'):
        (tmp_path / run_folder.SUMMARY).write_text(damaged)
        with pytest.raises(ValueError, match="damaged"):
            run_folder.read_summary(tmp_path)


def test_the_environment_names_device_and_versions():
    told = json.loads(json.dumps(environment()))
    assert {"python", "demjax", "jax", "jaxlib", "flax", "optax", "numpy", "scipy"} == set(
        told["versions"]
    )
    assert told["device"]["platform"]


class Info(NamedTuple):
    loss: np.ndarray
    divergence: np.ndarray
    spread: np.ndarray  # of another shape: not recorded
    weight: jnp.ndarray
    bytes_up: np.ndarray
    note: str = "words are not recorded"


TOLD = Info(
    loss=np.array([0.5, np.nan], np.float32),
    divergence=np.float32(1.25),
    spread=np.zeros((2, 2)),
    weight=jnp.array([1.0, 2.0], jnp.bfloat16),
    bytes_up=np.int32(7),
)


def test_what_a_round_told_stands_behind_the_measures_under_its_own_name():
    row = metrics_row(3, _measures(), 1.0, TOLD, 100)
    plain = metrics_row(3, _measures(), 1.0)
    told = {"loss": 0.5, "divergence": 1.25, "weight": 1.5, "bytes_up": 7, "bytes_down": 100}
    assert row == {**plain, **told}
    assert list(row) == [*plain, *told]
    first = metrics_row(0, _measures(), 1.0, TOLD, 100)
    assert list(first) == list(row)
    assert {first[name] for name in told} == {None}
    everyone = metrics_row(3, _measures(), 1.0, None, 100)
    assert (everyone["bytes_up"], everyone["bytes_down"]) == (200, 200)


def test_each_client_is_told_of_by_itself():
    rows = clients_rows(3, _measures(), TOLD)
    assert [list(row)[4:] for row in rows] == [["group_l1", "loss", "weight"]] * 2
    assert [(row["loss"], row["weight"]) for row in rows] == [(0.5, 1.0), (None, 2.0)]
    assert [row["loss"] for row in clients_rows(0, _measures(), TOLD)] == [None, None]


def test_a_field_with_the_name_of_a_column_is_refused():
    with pytest.raises(ValueError, match="a field 'global', which is the name of another column"):
        metrics_row(3, _measures(), 1.0, {"global": np.float32(1)})


def test_every_column_that_is_written_has_a_meaning():
    named = {column.name: column.meaning for column in (*METRICS, ORGANIZED, *SENT, *CLIENTS)}
    row = metrics_row(3, _measures(), 1.0, TOLD, 100)
    for name in [*row, *clients_rows(3, _measures(), TOLD)[0]]:
        if name not in ("client", "weight"):
            assert (named | MEANINGS)[name.removesuffix("_l1")], name


def test_a_measure_that_was_not_taken_is_a_blank_that_a_summary_may_hold(tmp_path):
    some = _measures()._replace(c_spe=jnp.array(NAN), c_gen=jnp.array(NAN))
    run_folder.append(tmp_path / run_folder.METRICS, [metrics_row(0, some, 1.0)])
    (row,) = csv.DictReader((tmp_path / run_folder.METRICS).read_text().splitlines())
    assert (row["c_spe"], row["c_gen"], row["global"]) == ("", "", "0.7")
    final = {"round": 1, "c_spe": None, "c_gen": None, "global": 0.5}
    run_folder.write_summary(tmp_path, {"final": final})
    assert run_folder.read_summary(tmp_path)["final"] == final


@pytest.mark.parametrize(
    "said",
    [
        *("[]", "1", "[" * 10**5, '{"final": ' + "9" * 5000 + "}", '{"final": [1]}', "{}"),
        *(
            json.dumps({"final": dict.fromkeys(run_folder.PINNED, 1), **other})
            for other in (
                *({"status": 3}, {"score": ["a"]}, {"round_seconds": "fast"}, {"clients": 10**400}),
                *({"majority": 1}, {"majority": {"all": 0.9}}, {"sampled": {"clients": [1]}}),
                *({"sampled": {"clients": 3}}, {"true_clusters": {"count": "a"}}),
                {"final": {**dict.fromkeys(run_folder.PINNED, 1), "more": "a"}},
                {"final": {**dict.fromkeys(run_folder.PINNED, 1), "round": math.inf}},
            )
        ),
    ],
    ids=lambda said: said[:60],
)
def test_a_summary_that_no_run_writes_is_told(said, tmp_path):
    (tmp_path / "summary.json").write_text(said)
    with pytest.raises(ValueError, match=r"summary.json is damaged"):
        run_folder.read_summary(tmp_path)
