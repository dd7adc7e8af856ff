"""What a run shows of itself; how it ends is tested through the command line."""

import csv
import json
import signal
from types import SimpleNamespace

import jax
import optax
import pytest
import tiny

from demjax import demlearn, fedavg, local_training, measure, watch
from demjax.backend.processes import Together
from demjax.backend.signals import Terminated
from demjax.plots.record import read as record_of
from demjax.report.folder import read as report_of
from demjax.runs.exits import first_line
from demjax.runs.writer import Recorder, whole


def test_an_error_without_words_still_gives_a_line():
    assert first_line(ValueError()) == "no reason was given."
    assert first_line(ValueError("first\nsecond")) == "first"


@pytest.fixture
def heard():
    """Ctrl-C is heard, which a shell turns off for what it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_waits_until_a_measurement_is_written():
    steps = []

    def write():
        with whole():
            signal.raise_signal(signal.SIGINT)
            steps.append("written")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert steps == ["written"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)  # all is as it was
    with whole():
        steps.append("undisturbed")
    with pytest.raises(OSError, match="disk"), whole():
        raise OSError("disk")


@pytest.fixture
def recorded(tmp_path):
    """A function that runs an algorithm on four clients a round, and writes it down."""

    def run(make, **options):
        task, clients = tiny.task(), tiny.clients()
        local = local_training(task, optax.sgd(0.1), epochs=1, batch_size=4)
        take = measure(task, clients, measures=options.pop("measures"))
        moments = watch(
            make(local),
            task,
            clients,
            rounds=4,
            key=jax.random.key(0),
            take_measures=take,
            **options,
        )
        out = tmp_path / "run"
        out.mkdir()
        (out / "config.toml").write_text('algorithm = "fedavg"\nrounds = 4\n')
        resolved = SimpleNamespace(rounds=4, clients=len(tiny.SIZES), algorithm="fedavg")
        assert Recorder(out, resolved, 15, measures=take.measures).record(moments) == 0
        return out, list(csv.DictReader((out / "metrics.csv").read_text().splitlines()))

    return run


def test_a_run_of_the_global_measure_alone_says_nothing_of_clients(recorded, capsys):
    out, rows = recorded(lambda local: fedavg(local, cohort=3), measures=["global"])
    assert [row["round"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert {row[name] for row in rows for name in ("c_spe", "c_gen")} == {""}
    assert all(0 <= float(row["global"]) <= 1 for row in rows)
    assert all(float(row["loss"]) > 0 for row in rows[1:])
    assert [row["bytes_up"] for row in rows] == ["", *[f"{3 * 4 * 15}"] * 4]
    assert not (out / "clients.csv").exists()
    assert json.loads((out / "summary.json").read_text())["measures"] == ["global"]
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1].split()[-3:-1] == ["–", "–"]
    said = printed.err.splitlines()
    assert len(said) < len(rows)
    assert said[0].startswith("round 0/4  Global ")
    record = record_of(out)
    assert record.client_gen is None
    assert set(record.measures) >= {"loss", "bytes_down"}
    assert report_of(out).clients is None


def test_measures_with_intervals_leave_blanks_and_groups_are_kept(recorded):
    every = {"client": 4, "group": 2}
    out, rows = recorded(
        lambda local: demlearn(local, levels=1),
        measures=["client", "group", "global"],
        measures_every=every,
    )
    assert [row["round"] for row in rows if row["c_gen"]] == ["0", "4"]
    assert [row["round"] for row in rows if row["g_gen_l1"]] == ["2", "4"]
    assert all(row["global"] for row in rows)
    record = record_of(out)
    assert record.groups.shape == (5, 1, len(tiny.SIZES))
    clients = list(csv.DictReader((out / "clients.csv").read_text().splitlines()))
    assert {row["round"] for row in clients if row["c_gen"]} == {"0", "4"}
    assert {row["round"] for row in clients if row["loss"]} == {"1", "2", "3", "4"}


def test_a_run_that_is_stopped_is_measured_once_more_and_ends_with_130(tmp_path, capsys):
    task, clients = tiny.task(), tiny.clients()
    algorithm = fedavg(local_training(task, optax.sgd(0.1), epochs=1, batch_size=4))
    (tmp_path / "config.toml").write_text('algorithm = "fedavg"\nrounds = 9\n')
    resolved = SimpleNamespace(rounds=9, clients=len(tiny.SIZES), algorithm="fedavg")
    told = {"stop": iter([False, False, True, True]).__next__}
    before = signal.getsignal(signal.SIGINT)
    try:
        found = watch(
            algorithm, task, clients, rounds=9, key=jax.random.key(0), eval_every=9, **told
        )
        assert Recorder(tmp_path, resolved, **told).record(found) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert [row["round"] for row in rows] == ["0", "2"]
    assert json.loads((tmp_path / "summary.json").read_text())["status"] == "interrupted"
    assert "Interrupted after 2 rounds" in capsys.readouterr().err


@pytest.mark.parametrize("again", [False, True])
def test_who_is_interrupted_on_its_way_to_the_end_does_not_let_the_others_wait(again, tmp_path):
    task, clients, together = tiny.task(), tiny.clients(), Together(1, 2)
    algorithm = fedavg(local_training(task, optax.sgd(0.1), epochs=1, batch_size=4))
    resolved = SimpleNamespace(rounds=9, clients=len(tiny.SIZES), algorithm="fedavg")
    stop = {"stop": lambda: True}  # as all processes found together

    def moments():
        for moment in watch(algorithm, task, clients, rounds=9, key=jax.random.key(0), **stop):
            if again:
                raise Terminated
            yield moment

    before = signal.getsignal(signal.SIGINT)
    try:
        told = {**stop, "terminated": lambda: True, "together": together}
        assert Recorder(tmp_path, resolved, **told).record(moments()) == 143
    finally:
        signal.signal(signal.SIGINT, before)
    assert together.agreed is not again
