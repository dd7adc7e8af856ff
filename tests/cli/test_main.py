"""The command line: pinned files, exit codes, one sentence for every mistake."""

import csv
import gzip
import json
import re
import signal
import subprocess
import sys
import time
import tomllib

import numpy as np
import pytest
from partitions_alike import same
from scipy.cluster.hierarchy import is_valid_linkage

from demjax import data
from demjax.cli import main
from demjax.runs import carry_out as carrying_out
from demjax.runs import folder as run_folder
from demjax.runs import writer

SMALLEST = ["--model", "linear", "--clients", "8", "--rounds", "4", "--epochs", "1"]
SMALL = [*SMALLEST, "--levels", "2"]
PLAIN = [*SMALLEST, "--algorithm", "fedavg"]  # compiles faster, where any algorithm will do


def run(*arguments):
    # Spread over two devices, programs take longer to compile than these runs to run.
    one = ["--devices", 1] if "run" in arguments[:1] and "--devices" not in arguments else []
    return main.main([str(argument) for argument in [*arguments, *one]])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One finished DemLearn run, measured every three rounds."""
    out = tmp_path_factory.mktemp("finished") / "run"
    assert run("run", *SMALL, "--eval-every", 3, "--out", out) == 0
    return out


def rows_of(out):
    return list(csv.DictReader((out / "metrics.csv").read_text().splitlines()))


def without_seconds(out):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows_of(out)]


def test_a_run_leaves_the_pinned_files(finished):
    rows = rows_of(finished)
    levels = ["g_spe_l1", "g_spe_l2", "g_gen_l1", "g_gen_l2"]
    tree = ["groups", "largest", "smallest", "singletons", "rand_true", "rand_before", "moved"]
    tree = [f"{name}_l{level}" for name in tree for level in (1, 2)]
    pinned = ["round", "c_spe", "c_gen", "global", *levels, "seconds", "c_spe_by_client"]
    assert list(rows[0]) == [*pinned, *tree, "cophenetic", "loss", "bytes_up", "bytes_down"]
    assert (rows[0]["loss"], rows[0]["bytes_up"]) == ("", "")
    assert float(rows[-1]["loss"]) < float(rows[1]["loss"])
    assert float(rows[-1]["bytes_up"]) == float(rows[-1]["bytes_down"]) == 8 * 4 * 650
    assert rows[0]["cophenetic"] == ""
    assert 0 < float(rows[-1]["cophenetic"]) <= 1
    assert [row["round"] for row in rows] == ["0", "3", "4"]
    assert float(rows[-1]["global"]) > float(rows[0]["global"])
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["status"] == "done"
    assert {name: str(v) for name, v in summary["final"].items() if v is not None} == {
        name: v for name, v in rows[-1].items() if v
    }
    for name in ("compile_seconds", "round_seconds", "measure_seconds"):
        assert summary[name] > 0
    assert summary["device"]["platform"]
    assert summary["versions"]["jax"]
    assert summary["parameters"] == 64 * 10 + 10
    clients = list(csv.DictReader((finished / "clients.csv").read_text().splitlines()))
    assert len(clients) == 3 * 8
    merges = list(csv.DictReader((finished / "dendrograms.csv").read_text().splitlines()))
    assert [row["round"] for row in merges] == ["3"] * 7 + ["4"] * 7
    assert [row["size"] for row in merges[6::7]] == ["8", "8"]
    assert is_valid_linkage([[float(value) for value in row.values()][1:] for row in merges[:7]])
    groups = ["group_l1", "group_l2"]
    assert list(clients[0]) == ["round", "client", "c_spe", "c_gen", *groups, "loss"]
    assert summary["measured_at"] == "mixed"
    assert summary["true_clusters"]["planted"] is False
    own = [float(row["c_spe"]) for row in clients if row["round"] == "4"]
    assert float(rows[-1]["c_spe_by_client"]) == pytest.approx(np.mean(own), abs=2e-6)
    assert (summary["measures"], summary["score"]) == (["client", "group", "global"], "accuracy")


def test_a_run_keeps_its_partition_which_another_run_can_take(finished, tmp_path):
    y = data.digits().y
    mine = data.load_partition(finished / "partition.npz", y=y)
    assert same(mine, data.labels(y, clients=8, seed=0))
    filed = ["--partition", "file", "--partition-file", finished / "partition.npz"]
    again = tmp_path / "again"
    assert run("run", *SMALL, "--eval-every", 3, *filed, "--seed", 0, "--out", again) == 0
    assert without_seconds(again) == without_seconds(finished)


def test_two_devices_give_the_same_numbers(finished, tmp_path, capsys):
    both = [*SMALL, "--eval-every", 3, "--devices", 2, "--out", tmp_path / "run"]
    assert run("run", *both) == 0
    assert "of memory" in capsys.readouterr().err
    for mine, theirs in zip(rows_of(tmp_path / "run"), rows_of(finished), strict=True):
        for name, value in theirs.items():
            if name != "seconds" and value:
                assert float(mine[name]) == pytest.approx(float(value), abs=2e-3)


def test_config_toml_reruns_the_experiment_exactly(finished, tmp_path):
    again = ["--config", finished / "config.toml", "--no-compile-cache"]
    assert run("run", *again, "--out", tmp_path / "again") == 0
    assert without_seconds(tmp_path / "again") == without_seconds(finished)
    same = (tmp_path / "again" / "clients.csv").read_text()
    assert same == (finished / "clients.csv").read_text()
    same = (tmp_path / "again" / "dendrograms.csv").read_text()
    assert same == (finished / "dendrograms.csv").read_text()
    other = ["--config", finished / "config.toml", "--seed", 1, "--out", tmp_path / "other"]
    assert run("run", *other) == 0
    assert without_seconds(tmp_path / "other") != without_seconds(finished)


@pytest.mark.parametrize("algorithm", ["fedavg", "fedprox", "local_only"])
def test_an_algorithm_without_groups_has_no_group_columns(algorithm, tmp_path):
    arguments = [*SMALLEST, "--rounds", 1, "--algorithm", algorithm, "--out", tmp_path / "run"]
    assert run("run", *arguments) == 0
    pinned = ["round", "c_spe", "c_gen", "global", "seconds", "c_spe_by_client"]
    rows = rows_of(tmp_path / "run")
    assert list(rows[0]) == [*pinned, "loss", "bytes_up", "bytes_down"]
    assert (float(rows[-1]["bytes_up"]) == 0) == (algorithm == "local_only")


ORGANIZED = {
    "--mix": "0.6,0.4,0.2",
    "--weighting": "clients,examples,clients",
    "--groups": "4,2",
    "--min-size": "2",
    "--features": "updates",
    "--feature-layers": "Dense_0/bias",
    "--sketch": "16",
    "--start": "parent",
    "--average-layers": "Dense_0/kernel",
    "--linkage-backend": "scipy",
}


def test_every_way_of_organizing_is_written_down_and_reruns_exactly(tmp_path):
    options = [word for pair in ORGANIZED.items() for word in pair]
    assert run("run", *SMALLEST, *options, "--rounds", 2, "--out", tmp_path / "one") == 0
    config = tomllib.loads((tmp_path / "one" / "config.toml").read_text())
    algorithm, clustering = config["algorithm"], config["clustering"]
    assert algorithm["mix"] == [0.6, 0.4, 0.2]
    assert algorithm["weighting"] == ["clients", "examples", "clients"]
    assert algorithm["average_layers"] == ["Dense_0/kernel"]
    assert algorithm["start"] == "parent"
    assert (clustering["cut"], clustering["groups"]) == ("counts", [4, 2])
    assert clustering["min_size"] == 2
    assert clustering["feature_layers"] == ["Dense_0/bias"]
    assert (clustering["features"], clustering["sketch"]) == ("updates", 16)
    assert clustering["linkage_backend"] == "scipy"
    assert "heights" not in clustering
    again = ["--config", tmp_path / "one" / "config.toml", "--out", tmp_path / "two"]
    assert run("run", *again) == 0
    assert without_seconds(tmp_path / "two") == without_seconds(tmp_path / "one")
    assert float(rows_of(tmp_path / "one")[-1]["smallest_l1"]) >= 2


def test_a_tree_may_be_cut_at_heights(tmp_path):
    cut = ["--heights", "0.1,1.5", "--slots", 6, "--rounds", 1]
    assert run("run", *SMALLEST, *cut, "--out", tmp_path / "run") == 0
    config = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    clustering = config["clustering"]
    assert (clustering["cut"], clustering["heights"]) == ("heights", [0.1, 1.5])
    assert clustering["slots"] == 6
    assert "g_spe_l2" in rows_of(tmp_path / "run")[0]
    assert int(rows_of(tmp_path / "run")[-1]["groups_l1"]) <= 6


def mistake(capsys, out, *arguments):
    """Run with a mistake; the sentence on stderr, with nothing written at all."""
    code = run("run", *arguments, "--out", out)
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert not out.exists()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("demjax: ")
    assert lines[0].endswith(".")
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset", "digit"], "perhaps 'digits' was meant"),
        (["--model", "nnc"], "possible are linear, mlp, cnn, cifar_cnn"),
        (["--algorithm", "fedAvg"], "perhaps 'fedavg' was meant"),
        (["--partition", "lables"], "perhaps 'labels' was meant"),
        (["--clients", 2000, "--partition", "iid"], "2,?000"),
        (["--labels-per-client", 11], "11"),
        (["--levels", 9], "0 to 5"),
        (["--rounds", 0], "1 to 1000000, but 0"),
        (["--batch-size", 0], "1 or more"),
        (["--mix", 1.5], "0 to 1, but 1.5"),
        (["--lr", -1], "--lr"),
        (["--rounds", "many"], "many"),
        (["--rouns", 3], "perhaps '--rounds' was meant"),
        (["--dataset", "mnist"], "data"),
        (["--dataset", "mnist", "--data-dir", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--config", "/nowhere/config.toml"], "cannot be read"),
        (["--partition", "dirichlet", "--dirichlet-alpha", 0], "--dirichlet-alpha"),
        (
            ["--dirichlet-alpha", 1],
            "'labels' takes no --dirichlet-alpha, which is for dirichlet, .*quantity",
        ),
        (["--algorithm", "fedavg", "--levels", 2], "'fedavg' takes no --levels.* it takes --mix"),
        (
            ["--algorithm", "local_only", "--prox", 2],
            "for .*fedprox, .*demlearn.*; it takes --measure-at",
        ),
        (["--rounds"], "--rounds needs a value, but none was given"),
        (["--rounds", 3, "now"], "'now' is no option"),
        (["--tensorbord"], "perhaps '--tensorboard' was meant"),
        (["--kinds", 4], "'--kinds' is unknown; --help lists all"),
        (["--mix", "0.6,0.4"], r"--mix was given 2 values, 0\.6,0\.4; possible is one value, or 4"),
        (["--mix", "0.6,much"], "--mix"),
        (["--mix", "0.6,0.5,1.5,0.1"], "1.5"),
        (["--weighting", "clients,models,clients,clients"], "'models' is unknown"),
        (["--groups", "3,6"], "does not nest .*possible is 6,3"),
        (["--groups", "6,0"], "1 or more"),
        (["--groups", "6,,3"], "--groups"),
        (["--heights", "2,1"], "does not nest .*possible is 1.0,2.0"),
        (
            ["--groups", "6,3", "--heights", "1,2"],
            "No cut takes --groups, --heights together; possible is depth with --levels",
        ),
        (["--groups", "6,3", "--levels", 3], "No cut takes --levels, --groups together"),
        (["--features", "weight"], "perhaps 'weights' was meant"),
        (["--start", "roots"], "perhaps 'root' was meant"),
        (["--linkage-backend", "host"], "possible are xla, scipy"),
        (["--sketch", 0], "1 or more"),
        (["--min-size", 0], "1 or more"),
        (["--model", "linear", "--feature-layers", "Conv_9"], "no layer 'Conv_9'; possible are"),
        (["--model", "linear", "--average-layers", "Dense_0,x"], "no layer 'x'"),
    ],
)
def test_a_mistake_is_one_sentence_exit_2_and_nothing_written(arguments, words, tmp_path, capsys):
    assert re.search(words, mistake(capsys, tmp_path / "out", *arguments))


def test_damaged_data_files_are_named_and_nothing_is_written(tmp_path, capsys):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part, count in (("train", 60), ("t10k", 10)):
        images = np.zeros((count, 28, 28), np.uint8).tobytes()
        header = np.array([2051, count, 28, 28], ">i4").tobytes()
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images)[:-20])
        labels = np.array([2049, count], ">i4").tobytes() + bytes(count)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    message = mistake(capsys, tmp_path / "out", "--dataset", "mnist", "--data-dir", folder)
    assert "train-images" in message


def test_a_folder_that_holds_another_run_is_left_alone(finished, capsys):
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    assert run("run", *SMALL, "--out", finished) == 2
    assert "already holds another run" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


def test_an_unwritable_folder_is_a_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run("run", *SMALL, "--out", tmp_path / "file" / "out") == 2
    assert "cannot be written" in capsys.readouterr().err


def test_no_command_and_no_out_are_sentences(capsys):
    assert run() == 2
    assert run("run") == 2
    assert run("walk") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 3
    assert all(line.startswith("demjax: ") and line.endswith(".") for line in lines)


def test_a_diverging_run_stops_tells_the_round_and_keeps_what_it_has(tmp_path, capsys):
    out = tmp_path / "run"
    arguments = [*SMALL, "--rounds", 30, "--eval-every", 2, "--lr", 1000, "--prox", 1000]
    assert run("run", *arguments, "--out", out) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    rows = rows_of(out)
    last = int(rows[-1]["round"])
    assert rows[0]["round"] == "0"
    assert f"after round {last + 2} the models of 8 of 8 clients are not finite" in error
    assert json.loads((out / "summary.json").read_text())["status"] == "diverged"


def test_a_full_disk_ends_the_run_with_what_was_written(tmp_path, capsys, monkeypatch):
    real = run_folder.append

    def full(path, rows):
        if path.name == "metrics.csv" and rows[0]["round"] == 2:
            raise OSError(28, "No space left on device")
        real(path, rows)

    monkeypatch.setattr(run_folder, "append", full)
    out = tmp_path / "run"
    assert run("run", *PLAIN, "--out", out) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert [row["round"] for row in rows_of(out)] == ["0", "1"]
    assert json.loads((out / "summary.json").read_text())["status"] == "failed"


def test_ctrl_c_keeps_what_was_measured(tmp_path):
    out = tmp_path / "run"
    # What is started in the background inherits an ignored SIGINT, so it is set as at a terminal.
    start = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    start += "from demjax.cli.main import entry; entry()"
    command = [sys.executable, "-c", start, "run", *PLAIN, "--rounds", "1000000"]
    process = subprocess.Popen(
        [*command, "--out", out], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while not (out / "metrics.csv").exists() or len(rows_of(out)) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert "Interrupted after" in error.splitlines()[-1]
    assert "Traceback" not in error
    summary = json.loads((out / "summary.json").read_text())
    rows = rows_of(out)
    assert summary["status"] == "interrupted"
    assert summary["final"]["round"] == int(rows[-1]["round"]) == len(rows) - 1


def test_compare_shows_runs_side_by_side(finished, tmp_path, capsys):
    assert run("compare", finished, finished) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 3
    assert table[1] == table[2]
    assert f"{float(rows_of(finished)[-1]['c_spe']):.4f}" in table[1]
    assert run("compare", tmp_path) == 2
    assert "is no run folder" in capsys.readouterr().err


def test_help_and_version_say_what_there_is(capsys):
    assert main.main(["run", "--help"]) == 0
    text = capsys.readouterr().out
    for flag in ("--algorithm", "--labels-per-client", "--levels", "--eval-every", "--out"):
        assert flag in text
    assert "--dirichlet-alpha" not in text
    assert "levels of groups under the root, K ≥ 0 [3]" in " ".join(text.split())
    assert main.main(["run", "--algorithm", "fedavg", "--partition", "dirichlet", "--help"]) == 0
    text = capsys.readouterr().out
    for flag in ("--mix", "--server-optimizer", "--dirichlet-alpha"):
        assert flag in text
    for flag in ("--levels", "--prox", "--metric", "--labels-per-client"):
        assert flag not in text
    for words in (["--version"], ["--help"], ["plot", "--help"]):
        with pytest.raises(SystemExit) as stop:
            run(*words)
        assert stop.value.code == 0
    assert "demjax " in capsys.readouterr().out


def test_help_of_an_unknown_choice_is_a_sentence(capsys):
    assert main.main(["run", "--algorithm", "fedavgg", "--help"]) == 2
    assert "perhaps 'fedavg' was meant" in capsys.readouterr().err


def test_a_conflict_of_a_file_can_be_taken_back(tmp_path):
    file = tmp_path / "options.toml"
    file.write_text('[data]\nconflict = "noisy"\nnoise = 0.2\n')
    words = ["--config", file, *PLAIN, "--rounds", 1, "--conflict", "none", "--cohort", "none"]
    assert run("run", *words, "--out", tmp_path / "run") == 0
    config = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert "conflict" not in config["data"]
    assert "noise" not in config["data"]
    assert "cohort" not in config["training"]


def test_another_algorithm_does_not_inherit_the_files_defaults(finished, tmp_path):
    arguments = ["--config", finished / "config.toml", "--algorithm", "fedavg", "--rounds", 1]
    assert run("run", *arguments, "--out", tmp_path / "run") == 0
    config = (tmp_path / "run" / "config.toml").read_text()
    assert 'algorithm = "fedavg"' in config
    assert "mix" not in config
    assert "levels" not in config


def test_a_failure_that_nobody_foresaw_still_leaves_a_summary(tmp_path, capsys, monkeypatch):
    def broken(*arguments):
        raise ZeroDivisionError("never seen before")

    monkeypatch.setattr(writer, "clients_rows", broken)
    assert run("run", *PLAIN, "--out", tmp_path / "run") == 1
    assert "never seen before" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "failed"


def test_an_interruption_before_the_first_measure_leaves_nothing(tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(carrying_out, "moments", interrupted)
    before = signal.getsignal(signal.SIGINT)
    try:
        assert run("run", *PLAIN, "--out", tmp_path / "run") == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "nothing is kept" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_interruption_of_the_compiler_leaves_nothing(tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(carrying_out, "programs", interrupted)
    assert run("run", *PLAIN, "--out", tmp_path / "run") == 130
    assert capsys.readouterr().err == "compiling\ndemjax: Interrupted.\n"
    assert not (tmp_path / "run").exists()


def test_a_run_that_cannot_fit_is_refused_before_anything_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(carrying_out.memory, "free", lambda: 1000)
    assert run("run", *SMALL, "--out", tmp_path / "run") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "of memory, but 0 MB are free; not even one client would fit." in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("devices", ["0", "99"])
def test_devices_that_are_not_there_are_a_sentence(tmp_path, capsys, devices):
    assert run("run", *SMALL, "--devices", devices, "--out", tmp_path / "run") == 2
    assert f"{devices}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_preset_gives_way_to_a_file_and_both_to_flags(tmp_path, capsys):
    file = tmp_path / "options.toml"
    file.write_text('linkage = "complete"\nmin_size = 2\n')
    out = tmp_path / "run"
    words = "run --preset recommended --model linear --clients 20 --rounds 1 --min-size 4"
    assert main.main([*words.split(), "--config", str(file), "--out", str(out)]) == 0
    config = tomllib.loads((out / "config.toml").read_text())
    assert config["clustering"]["linkage"] == "complete"
    assert config["clustering"]["min_size"] == 4
    assert config["clustering"]["cut"] == "gap"
    assert config["algorithm"]["start"] == "parent"
    assert config["algorithm"]["mix"] == [0.2, 0.0]


def test_an_unknown_preset_is_refused(tmp_path, capsys):
    assert main.main(["run", "--preset", "publisht", "--out", str(tmp_path / "run")]) == 2
    assert "perhaps 'published' was meant" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_cohorts_and_precision_reach_the_run(tmp_path, capsys):
    words = ["run", "--model", "linear", "--clients", "12", "--rounds", "3", "--seed", "1"]
    words += ["--algorithm", "fedavg", "--mix", "0.6"]
    scores = {}
    for name, more in {
        "plain": [],
        "cohort": ["--cohort", "4"],
        "short": ["--precision", "bf16"],
        "stored": ["--store-models", "bf16"],
    }.items():
        assert run(*words, *more, "--out", tmp_path / name) == 0
        scores[name] = json.loads((tmp_path / name / "summary.json").read_text())["final"]
    plain = scores["plain"]["c_gen"]
    assert abs(scores["cohort"]["c_gen"] - plain) > 1e-3
    assert 0 < abs(scores["short"]["c_gen"] - plain) < 0.05
    assert 0 < abs(scores["stored"]["c_gen"] - plain) < 0.05
    config = tomllib.loads((tmp_path / "stored" / "config.toml").read_text())
    assert config["training"]["store_models"] == "bf16"
    sent = [
        list(csv.DictReader((tmp_path / name / "metrics.csv").read_text().splitlines()))
        for name in scores
    ]
    assert sent[0][-1]["bytes_up"] == sent[3][-1]["bytes_up"] != "0"  # as it travels


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([7, 3, 42], "The labels of npz are numbered 0 to 2 in this order: 3, 7, 42."),
        (["cat", "ant", "bee"], "numbered 0 to 2 in this order: ant, bee, cat."),
        ([0, 1, 2], ""),
    ],
)
def test_labels_become_classes_by_a_table_that_is_said_and_kept(tmp_path, capsys, names, said):
    digits = data.digits()
    path = tmp_path / "mine.npz"
    np.savez(path, x=digits.x, y=np.array(names)[digits.y % 3])
    mine = ["--dataset", "npz", "--data-dir", path, "--partition", "iid"]
    assert run("partition", *mine, "--clients", 5) == 0
    notes = capsys.readouterr().err
    assert notes.rstrip().endswith(said)
    assert bool(notes) == bool(said)
    assert run("run", *PLAIN, *mine, "--out", tmp_path / "run") == 0
    assert said in capsys.readouterr().err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["labels"] == [str(name) for name in sorted(names)]
    assert summary["parameters"] == 3 * (64 + 1)


def test_a_data_set_with_names_for_numbers_lists_them(finished):
    labels = json.loads((finished / "summary.json").read_text())["labels"]
    assert labels == [str(label) for label in range(10)]
