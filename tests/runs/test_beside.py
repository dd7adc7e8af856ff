"""What is told beside last measures: extra measures, samples, and what learns nothing."""

import jax
import numpy as np
import pytest
from measured import CLIENTS, ROWS, TASK, random_models

import demjax
from demjax.cli import main
from demjax.metrics import majority, measure
from demjax.plots import curve, extra_measures
from demjax.plots.record import read
from demjax.report import page
from demjax.report import read as read_for_report
from demjax.runs import beside
from demjax.runs.reader import read_columns
from demjax.runs.rows import clients_rows, metrics_row
from demjax.runs.schema import extra_of
from demjax.runs.tensorboard import tag

EXTRA = {"group_loss": "loss", "balanced_accuracy": "balanced_accuracy"}


@pytest.fixture(scope="module")
def history():
    take = measure(TASK, CLIENTS, extra=EXTRA, measure_examples=12)
    algorithm = demjax.fedavg(demjax.local_training(TASK, "sgd"))
    return demjax.simulate(
        algorithm, TASK, CLIENTS, rounds=2, key=jax.random.key(0), take_measures=take
    )


@pytest.fixture(scope="module")
def folder(history, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "mine"
    return demjax.save_run(history, out, clients=CLIENTS, options={"algorithm": "fedavg"})


def test_rows_have_a_column_for_each_extra_measure_and_each_error():
    measures = measure(TASK, CLIENTS, extra=EXTRA, measure_clients=4)(random_models())
    row, loss = metrics_row(0, measures, 0.0), measures.extra["group_loss"]
    np.testing.assert_allclose(row["group_loss_c_gen"], loss.c_gen, atol=1e-6)
    np.testing.assert_allclose(row["group_loss_g_spe_l1"], loss.g_spe[0], atol=1e-6)
    np.testing.assert_allclose(row["group_loss_c_spe_se"], loss.errors.c_spe, atol=1e-6)
    np.testing.assert_allclose(row["c_gen_se"], measures.errors.c_gen, atol=1e-6)
    np.testing.assert_allclose(row["g_gen_se_l1"], measures.errors.g_gen[0], atol=1e-6)
    assert row["group_loss_global_se"] == 0
    clients = clients_rows(0, measures)
    assert len(clients) == len(ROWS)
    assert sum(one["c_gen"] is None for one in clients) == len(ROWS) - 4
    measured = [one for one in clients if one["c_gen"] is not None]
    values = [one["group_loss_c_gen"] for one in measured]
    np.testing.assert_allclose(np.mean(values), loss.c_gen, atol=1e-5)


def test_without_them_no_column_is_there():
    row = metrics_row(0, measure(TASK, CLIENTS)(random_models()), 0.0)
    assert not [name for name in row if name.endswith("_se") or extra_of(name)[0]]


@pytest.mark.parametrize(
    ("column", "parts", "shown"),
    [
        ("loss_c_gen", ("loss", "c_gen"), "measures/loss_c_gen"),
        ("my_loss_g_spe_l2", ("my_loss", "g_spe_l2"), "measures/my_loss_g_spe_l2"),
        ("loss_global_se", ("loss", "global_se"), "measures/loss_global_se"),
        ("c_gen", ("", "c_gen"), "measures/c_gen"),
        ("g_gen_se_l1", ("", "g_gen_se_l1"), "measures/g_gen_se_l1"),
        ("groups_l1", ("", "groups_l1"), "tree/groups_l1"),
        ("loss", ("", "loss"), "round/loss"),
    ],
)
def test_columns_say_which_measure_they_are_of(column, parts, shown):
    assert extra_of(column) == parts
    assert tag(column) == shown


def test_folders_and_histories_are_drawn_alike(history, folder):
    both = [read(history), read(folder)]
    for name, values in both[0].measures.items():
        if extra_of(name)[0] or "_se" in name:
            np.testing.assert_allclose(both[1].measures[name], values, atol=1e-6, err_msg=name)
    assert both[1].levels == 0  # a measure that is called group_… is no group
    assert both[1].groups.shape[1] == 0
    axes = extra_measures(both, names=["a", "b"])
    titles = [ax.get_title().replace("\n", " ") for ax in axes]
    assert "balanced accuracy, Global" in titles
    assert "group loss, C-GEN" in titles
    line = axes[titles.index("group loss, C-GEN")].get_lines()[0]
    np.testing.assert_allclose(line.get_ydata(), history.measures.extra["group_loss"].c_gen)
    drawn = curve(history, measure="group_loss_c_spe").get_lines()[0].get_ydata()
    np.testing.assert_allclose(drawn, history.measures.extra["group_loss"].c_spe)
    with pytest.raises(ValueError, match="beside the score"):
        extra_measures(history._replace(measures=history.measures._replace(extra={})))


def test_the_majority_is_counted():
    y = np.asarray(CLIENTS.y)
    every = [y[row] for mine in ROWS for row in mine]
    own = sum(max(np.sum(y[mine] == label) for label in y) for mine in ROWS if len(mine))
    found = majority(CLIENTS)
    assert found.all == max(every.count(label) for label in every) / len(every)
    assert found.own == own / len(every)
    assert majority(CLIENTS._replace(y=CLIENTS.x[:, 0])) is None


def test_compare_and_report_tell_what_was_measured_beside(folder, capsys):
    assert main.main(["compare", str(folder)]) == 0
    said = capsys.readouterr().out
    last = {name: values[-1] for name, values in read(folder).measures.items()}
    assert f"group_loss: C-SPE {last['group_loss_c_spe']:.4f}, C-GEN " in said
    assert f"always the commonest label: {majority(CLIENTS).all:.4f}" in said
    shown = page([read_for_report(folder)])
    assert f"{last['c_gen']:.4f} ± {last['c_gen_se']:.4f}" in shown
    assert "group loss, Global" in shown
    assert "always the commonest label" in shown


def test_what_is_small_is_not_told():
    row = {"c_spe": 0.5, "c_gen": None, "global": float("nan")}
    assert beside.lines(row, {"majority": {"all": 0.1, "own": 0.6}}) == []
    sampled = {"sampled": {"examples": [10, 50]}}
    assert beside.lines(row | {"c_spe_se": 0.01}, sampled) == [
        "measured: 10 of 50 examples; standard errors: C-SPE 0.0100"
    ]
    assert beside.of_data(CLIENTS, "mean squared error") == {}


MINE = '''
import jax.numpy as jnp

def margin(outputs, y):
    """How far the label's logit is above the mean of all."""
    return outputs[jnp.arange(y.shape[0]), y] - outputs.mean(axis=-1)
'''


def test_the_shell_takes_extra_measures_and_samples(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    run = ["run", "--algorithm", "fedavg", "--model", "linear", "--clients", "4", "--epochs", "1"]
    run += ["--rounds", "1", "--devices", "1"]
    options = ["--extra", "loss,mine.py:margin", "--measure-examples", "50"]
    assert main.main([*run, *options, "--out", "a"]) == 0
    assert "measured: 50 of " in capsys.readouterr().out
    again = ["run", "--config", "a/config.toml", "--devices", "1", "--out", "b"]
    assert main.main(again) == 0
    assert main.main(["plot", "a", "--only", "extra"]) == 0
    assert (tmp_path / "a" / "plots" / "extra.png").exists()
    first, second = (
        read_columns(tmp_path / out / "metrics.csv", (), whole=True) for out in ("a", "b")
    )
    assert {"loss_c_gen", "margin_global", "margin_c_spe_se", "c_gen_se"} <= set(first)
    for name in set(first) - {"seconds"}:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    capsys.readouterr()
    assert main.main([*run, "--extra", "los", "--out", "c"]) == 2
    assert "perhaps 'loss' was meant" in capsys.readouterr().err
    assert main.main([*run, "--measure-clients", "1", "--out", "c"]) == 2
    assert main.main(["run", "--help"]) == 0
    assert "balanced_accuracy" in capsys.readouterr().out
