"""What is told of the data: their test part, their owners, and what is there twice."""

import json

import numpy as np
import pytest
from experiments import experiment
from partitions_alike import failure, same

from demjax import data
from demjax.cli.main import main
from demjax.experiment import load_data
from demjax.experiment.experiment import resolve, settled
from demjax.experiment.notes import notes

DIGITS = data.digits()
OWNER = np.arange(len(DIGITS.y)) % 90


def write(folder, **arrays):
    path = folder / "mine.npz"
    np.savez(path, **({"x": DIGITS.x, "y": DIGITS.y} | arrays))
    return str(path)


def read(path, **options):
    """The experiment as the data settle it, who has what, and what is told."""
    asked = experiment(dataset="npz", data_dir=path, model="linear", **options)
    dataset = load_data.load(asked)
    found = settled(asked, owners=dataset.owner is not None)
    partition = load_data.partitioned(found, dataset).partition
    return found, partition, notes(asked, found, dataset, partition)


@pytest.mark.parametrize("rule", ["iid", "labels", "dirichlet", "quantity", "planted"])
def test_no_rule_trains_on_the_test_part(rule, tmp_path):
    path = write(tmp_path, train_count=1500)
    _, partition, said = read(path, partition=rule, clients=10)
    assert np.concatenate(partition.train).max() < 1500 <= np.concatenate(partition.test).min()
    (line,) = said
    assert "297 of 1797" in line
    assert "none is trained on" in line
    assert "--pool-tests" in line


@pytest.mark.parametrize("rule", ["iid", "labels", "dirichlet", "quantity"])
def test_pooling_is_what_was_before(rule, tmp_path):
    path = write(tmp_path, train_count=1500)
    _, partition, said = read(path, partition=rule, clients=10, pool_tests=True)
    assert same(partition, getattr(data, rule)(DIGITS.y, clients=10, seed=0))
    trained = (np.concatenate(partition.train) >= 1500).sum()
    assert f"--pool-tests pools both parts, so that {trained} of these are trained on" in said[0]


def test_data_of_one_part_are_told_nothing_of_it(tmp_path):
    assert read(write(tmp_path), partition="iid", clients=10)[2] == []


def test_the_published_partition_pools_and_says_so():
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 7000))
    x = np.arange(len(y), dtype=np.float32)[:, np.newaxis]
    source = data.Dataset(x, y, 10, 60_000, "fashion_mnist")
    asked = experiment(dataset="fashion_mnist", partition="published")
    partition = load_data.partitioned(asked, source).partition
    assert same(partition, data.published_fashion_mnist(y))
    trained = (np.concatenate(partition.train) >= 60_000).sum()
    (line,) = notes(asked, asked, source, partition)
    assert f"--partition published pools both parts, so that {trained} of" in line
    assert f"tests are {sum(map(len, partition.test))} of the training part's." in line


def test_a_partition_of_a_file_says_what_it_does(tmp_path):
    path, file = write(tmp_path, train_count=1500), tmp_path / "p.npz"
    apart = data.iid(DIGITS.y, clients=12, seed=0, train_count=1500)
    data.save_partition(apart, file, y=DIGITS.y)
    found, partition, said = read(path, partition="file", partition_file=str(file))
    assert same(partition, apart)  # as many clients as it has, where no number is given
    assert found.clients is None
    assert "none is trained on" in said[0]


def test_the_same_examples_in_both_parts_are_told(tmp_path):
    path = write(
        tmp_path, x=np.tile(DIGITS.x, (2, 1, 1, 1)), y=np.tile(DIGITS.y, 2), train_count=1797
    )
    said = read(path, partition="iid", clients=10)[2]
    assert said[1].startswith("1797 of the 1797 examples of the data's test part are in their")


def leaf_folder(root, train, test):
    for part, names in (("train", train), ("test", test)):
        for file, users in enumerate(names):
            data_of = {
                user: {"x": [[float(i), file, len(user)] for i in range(6)], "y": [0, 1] * 3}
                for user in users
            }
            content = {"users": users, "num_samples": [6] * len(users), "user_data": data_of}
            path = root / part / f"{file}.json"
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(json.dumps(content))
    return str(root)


def partition_of(capsys, *words):
    code = main(["partition", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err.splitlines()


def test_a_file_twice_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DEMJAX_CACHE", "")
    folder = leaf_folder(tmp_path, [["a", "b"]], [["a", "b"]])
    (tmp_path / "train" / "copy.json").write_bytes((tmp_path / "train" / "0.json").read_bytes())
    code, out, said = partition_of(capsys, "--dataset", "leaf", "--data-dir", folder)
    assert code == 0
    assert "2 clients have" in out
    assert any("copy.json holds the same as" in line for line in said)


def test_leaf_by_user_gets_the_reason_and_the_remedy(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DEMJAX_CACHE", "")
    folder = leaf_folder(tmp_path, [["a", "b"]], [["c"]])
    words = ["--dataset", "leaf", "--data-dir", folder]
    code, _, (line,) = partition_of(capsys, *words)
    assert code == 2
    assert "the test part is of others (1 owners)" in line
    assert "by user" in line
    assert "--pool-tests" in line
    code, out, _ = partition_of(capsys, *words, "--pool-tests")
    assert code == 0
    assert "3 clients have 18 of 18 examples, 3 of them for tests" in out


def test_owners_in_an_npz_are_clients_unless_a_rule_is_given(tmp_path):
    path = write(tmp_path, owner=OWNER)
    found, partition, said = read(path)
    assert found.partition == "natural"
    assert found.clients is None
    assert same(partition, data.natural(DIGITS.y, OWNER, train_count=len(OWNER)))
    (line,) = said
    assert line.startswith("The data name 90 owners, so clients are owners, 90 of them (--partit")
    found, partition, said = read(path, clients=30)
    assert same(partition, data.natural(DIGITS.y, OWNER, train_count=len(OWNER), clients=30))
    assert "30 of them" in said[0]
    found, _, said = read(path, partition="labels")
    assert (found.partition, found.clients, said) == ("labels", 50, [])
    sentence = failure(lambda: read(path, labels_per_client=3), "takes no --labels-per-client")
    assert sentence.startswith("These data name owners, and no --partition was given.")
    found, _, said = read(write(tmp_path))
    assert (found.partition, found.clients, said) == ("labels", 50, [])
    assert read(write(tmp_path), labels_per_client=3)[0].partition == "labels"


def test_owners_of_a_function_of_one_s_own_are_clients(tmp_path, capsys):
    own = tmp_path / "own.py"
    own.write_text(
        "import numpy as np\nfrom demjax.data import Dataset\n"
        "def mine():\n    y = np.arange(60) % 3\n"
        "    return Dataset(np.ones((60, 4)), y, 3, 60, 'mine', np.arange(60) // 5)\n"
    )
    code, out, (line,) = partition_of(capsys, "--dataset", f"{own}:mine")
    assert code == 0
    assert "12 clients have" in out
    assert "12 owners" in line
    code, out, said = partition_of(
        capsys, "--dataset", f"{own}:mine", "--partition", "iid", "--clients", "5"
    )
    assert (code, said) == (0, [])
    assert "5 clients have" in out


def test_no_sentence_names_a_number_that_was_not_given(tmp_path, capsys):
    own = write(tmp_path, x=DIGITS.x[:60], y=DIGITS.y[:60])
    words = ["--dataset", "npz", "--data-dir", own, "--partition", "iid"]
    _, _, (line,) = partition_of(capsys, *words)
    assert line.endswith("not for 50; 50 is the default of --clients.")
    _, _, (line,) = partition_of(capsys, *words, "--clients", "40")
    assert line.endswith("not for 40.")
    owned = write(tmp_path, owner=OWNER % 3)
    _, _, (line,) = partition_of(capsys, "--dataset", "npz", "--data-dir", owned, "--clients", "4")
    assert "1 to 3 clients" in line
    failure(lambda: resolve({"clients": 3}), "3 levels, the default,", "--levels 0 to 1")
    failure(lambda: resolve({"clients": 5, "levels": 3}), "3 levels has")
    asked = {"clients": 3, "levels": 1, "conflict": "rotated"}
    failure(lambda: resolve(asked), "--true-clusters is by default 4")
    failure(lambda: resolve(asked | {"true_clusters": 5}), "--true-clusters was given as 5")
