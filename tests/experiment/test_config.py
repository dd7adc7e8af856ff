"""TOML out is TOML in, tables and options are checked, and files of demjax 0.1 are still read."""

import tomllib
from pathlib import Path

import pytest
from experiments import experiment
from hypothesis import given, settings
from hypothesis import strategies as st

from demjax.experiment.config import read_options, read_toml, to_toml
from demjax.experiment.experiment import resolve

OLD = sorted((Path(__file__).parents[1] / "support" / "configs_of_0.1").glob("*.toml"))


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(["demlearn", "fedavg", "fedprox"]),
    st.floats(0, 1),
    st.floats(0.001, 10),
    st.integers(0, 2**31 - 1),
)
def test_toml_out_is_toml_in(tmp_path_factory, algorithm, share, lr, seed):
    own = "prox" if algorithm == "fedprox" else "mix"
    resolved = experiment(algorithm=algorithm, lr=lr, seed=seed, **{own: share})
    path = tmp_path_factory.mktemp("toml") / "config.toml"
    path.write_text(to_toml(resolved), encoding="utf-8")
    assert resolve(read_toml(path)) == resolved


def test_what_has_no_use_in_a_run_is_not_written_down():
    plain = to_toml(experiment())
    for name in ("amplified_rounds", "beta_decay", "beta_floor", "nesterov", "average_layers"):
        assert f"\n{name} = " not in plain, name
    assert "\nlevels = 3" in plain
    assert "\nbeta_decay = 0.7" in to_toml(experiment(beta=1.0))
    assert "\nnesterov = false" in to_toml(experiment(momentum=0.9))
    assert "\namplified_rounds = 5" in to_toml(experiment(amplification=1.15))


def test_a_file_has_a_table_for_each_subject_and_no_default_is_implied():
    parsed = tomllib.loads(to_toml(experiment(mix=(0.6, 0.5, 0.4, 0.2), conflict="noisy")))
    assert list(parsed) == ["run", "data", "model", "training", "algorithm", "clustering"]
    every = {"measures": ["client", "group", "global"]}
    assert parsed["run"] == {"rounds": 100, "seed": 0, "eval_every": 1, **every}
    assert parsed["data"]["conflict"] == "noisy"
    assert parsed["data"]["true_clusters"] == 4
    assert parsed["training"]["optimizer"] == "sgd"
    assert parsed["algorithm"]["mix"] == [0.6, 0.5, 0.4, 0.2]
    assert parsed["clustering"]["levels"] == 3
    assert "cohort" not in parsed["training"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rounds = = 3", "not valid TOML"),
        ("ronds = 3", "perhaps '--rounds' was meant"),
        ("partition = 'iid'\nnoise = 1.0", "Without --conflict a run takes no --noise"),
        ("partition = [[1]]", "'partition' as .*; possible is a single value"),
        ("[run]\nronds = 3", "'ronds' in the table 'run'; perhaps 'rounds' was meant"),
        ("[runs]\nronds = 3", "unknown table 'runs'; perhaps 'run' was meant"),
        ("[model]\nrounds = 3", "'rounds' in the table 'model'; it belongs to 'run'"),
        ("[data.more]\nclients = 3", "'more' as .*possible is a single value"),
        ("clients = 3\n[run]\nrounds = 3", "'clients' outside of a table; possible are the tables"),
        ("[data]\ndataset = 'digit'", "perhaps 'digits' was meant"),
        (f"[run]\nrounds = 0x{'f' * 5000}", "'rounds' as a whole number of more than 64 bits"),
        ("[algorithm]\nalgorithm = 'fedavg'\nprox = 0.1", "'prox' in the table 'algorithm'"),
        ("[clustering]\nmetric = 'cosine'\nlevel = 3", "perhaps 'levels' was meant"),
        ("[run]\nrounds = 'ten'", r"config\.toml cannot be .* rounds needs a whole .* 'ten' was"),
        ("[run]\nrounds = 2.5", r"config\.toml cannot be .* rounds needs a whole .* 2\.5 was"),
        ("[training]\nlr = [1, 2]", r"config\.toml cannot be .* lr needs a number"),
        ("[data]\ndataset = 3", r"config\.toml cannot be .* dataset needs a word"),
        ("[algorithm]\nalgorithm = true", r"config\.toml cannot be .* algorithm needs a word"),
        ("[model]\nmodel = 'nnc'", r"config\.toml cannot be .* model 'nnc' is unknown"),
        ("rounds = 'ten'", r"config\.toml cannot be .* rounds needs a whole number"),
    ],
)
def test_a_damaged_or_foreign_config_is_one_sentence(text, words, tmp_path):
    path = tmp_path / "config.toml"
    with pytest.raises(ValueError, match="cannot be read"):
        read_toml(path)
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        read_toml(path)
    assert str(error.value).endswith(".")


def test_a_byte_order_mark_is_passed_over_and_other_encodings_are_told(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[run]\nrounds = 3\n", encoding="utf-8-sig")
    assert read_toml(path) == {"rounds": 3}
    path.write_text("[run]\nrounds = 3\n", encoding="utf-16")
    with pytest.raises(ValueError, match="it is not UTF-8; possible is to save it so"):
        read_toml(path)


@pytest.mark.parametrize("value", ["{a = 1}", '["iid", {a = 1}]', "[[1]]"])
def test_tables_and_lists_of_lists_are_no_options(value, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(f"[data]\npartition = {value}\n")
    with pytest.raises(ValueError, match=r"'partition' as .*; possible is a single value"):
        read_toml(path)


NOW = {"kinds": "true_clusters", "pixels": "normalization", "weigh": "weighting"}
UNUSED = ("synthetic_alpha", "synthetic_beta", "beta_decay", "beta_floor", "slots", "levels")


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_files_of_demjax_0_1_are_read_and_written_as_tables(path, tmp_path):
    resolved = resolve(read_toml(path))
    assert read_options(path) == read_toml(path)
    for name, value in tomllib.loads(path.read_text()).items():
        value = tuple(value) if isinstance(value, list) else value
        name = NOW.get(name, name)
        if name in ("data_dir", "partition_file"):
            assert Path(resolved.values[name]).is_absolute()
        elif resolved.values.get(name) is not None:
            assert resolved.values[name] == value
        else:  # what 0.1 wrote down though it meant nothing there
            assert name in UNUSED or (name, value) == ("conflict", "none")
    new = tmp_path / "config.toml"
    new.write_text(to_toml(resolved))
    assert resolve(read_toml(new)) == resolved


def test_there_are_files_of_0_1_of_every_algorithm_and_cut():
    held = [read_options(path) for path in OLD]
    assert {one["algorithm"] for one in held} == {"demlearn", "fedavg", "fedprox", "local_only"}
    assert {"groups", "heights", "beta", "server_momentum"} <= {n for one in held for n in one}


@pytest.mark.parametrize(
    ("lines", "pools"),
    [
        ('dataset = "mnist"\npartition = "labels"', True),
        ('dataset = "mnist"\npartition = "published"', False),
        ('dataset = "leaf"\npartition = "natural"', False),
        ('dataset = "digits"\npartition = "labels"', False),
        ('[data]\ndataset = "mnist"\npartition = "labels"', False),
    ],
)
def test_files_of_0_1_pool_a_test_part_as_they_did(lines, pools, tmp_path):
    path = tmp_path / "old.toml"
    path.write_text(lines)
    assert read_toml(path).get("pool_tests", False) is pools


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rounds = " + "[" * 10**5, "nested too deep"),
        ("rounds = " + "9" * 5000, "too long"),
        ("a." * 900 + "b = 1", "as {"),
        ('dataset = ["digits"]', "dataset needs"),
        ('[algorithm]\nclient_models = ["averaged"]', "measure_at"),
        ("[run]\nrounds = {a = 1}", "single value"),
    ],
)
def test_what_no_run_writes_is_told(text, words, tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        read_toml(path)
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 600
