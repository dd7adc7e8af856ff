"""An experiment: its options by name, its paths absolute, and the choices that they make."""

import pytest
from experiments import experiment

from demjax.experiment.experiment import resolve


def test_paths_are_kept_absolute_so_that_a_run_can_be_repeated_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def mine(local, *, prox: float = 0.5):\n    return local\n")
    options = {"partition": "file", "partition_file": "p.npz", "data_dir": "d"}
    resolved = experiment(algorithm="mine.py:mine", **options)
    assert resolved.algorithm == str(tmp_path / "mine.py:mine")
    assert resolved.partition_file == str(tmp_path / "p.npz")
    assert resolved.data_dir == str(tmp_path / "d")
    assert resolve(resolved.values) == resolved


def test_an_experiment_has_its_options_and_no_others():
    resolved = experiment(algorithm="fedavg")
    assert resolved.clients == resolved.values["clients"] == 50
    assert resolved.tables["clients"] == "data"
    with pytest.raises(AttributeError, match="no option 'levels'"):
        _ = resolved.levels


def test_none_stands_for_the_default():
    assert experiment(rounds=None, cohort=None, conflict=None) == experiment()


def test_only_the_tables_that_count_are_looked_at():
    alone = resolve({"clients": 9}, tables=("run", "data"))
    assert set(alone.tables.values()) == {"run", "data"}
    assert "algorithm" not in alone.values
    with pytest.raises(ValueError, match="--levels is unknown"):
        resolve({"levels": 2}, tables=("run", "data"))


def test_a_choice_of_ones_own_is_checked_as_one_that_is_built_in(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def mine(local, *, prox: float = 0.5, more: int = 1):\n    return local\n"
    )
    word = f"{tmp_path / 'mine.py'}:mine"
    resolved = experiment(algorithm=word, prox=0.25)
    assert (resolved.prox, resolved.more) == (0.25, 1)
    for options, words in (
        ({"prox": "much"}, "--prox needs a number"),
        ({"cohort": 3}, "'mine' takes no argument 'cohort'"),
        ({"levels": 3}, "takes no --levels, which is for demlearn, .*; it takes --prox, --more"),
    ):
        with pytest.raises(ValueError, match=words):
            experiment(algorithm=word, **options)
