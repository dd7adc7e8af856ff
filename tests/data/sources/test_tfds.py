"""TFDS's folders, read by TFDS itself, without TensorFlow."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from experiments import experiment
from partitions_alike import failure
from prepared_files import write_prepared

from demjax import data
from demjax.data import load, prepare, prepared
from demjax.experiment import build

SETS = {
    "mnist": ("mnist", "3.0.1", 10, (28, 28, 1)),
    "fashion_mnist": ("fashion_mnist", "3.0.1", 10, (28, 28, 1)),
    "emnist": ("emnist/byclass", "3.1.0", 62, (28, 28, 1)),
    "emnist_balanced": ("emnist/balanced", "3.1.0", 47, (28, 28, 1)),
    "cifar10": ("cifar10", "3.0.2", 10, (32, 32, 3)),
}


def write(root, name, **options):
    builder, version, classes, shape = SETS[name]
    return write_prepared(root, builder, version=version, classes=classes, shape=shape, **options)


def test_these_are_all_the_data_sets_of_tfds():
    assert {name: each.builder for name, each in data.PREPARED.items()} == {
        name: each[0] for name, each in SETS.items()
    }


@pytest.mark.parametrize("below", ["", "tfds"])
@pytest.mark.parametrize("name", SETS)
def test_what_is_prepared_is_read(tmp_path, name, below):
    folder, x, y = write(tmp_path / below, name)
    read = load(name, data_dir=tmp_path)
    upright = x.transpose(0, 2, 1, 3) if name.startswith("emnist") else x
    np.testing.assert_array_equal(read.x, upright)
    np.testing.assert_array_equal(read.y, y)
    assert (read.x.dtype, read.y.dtype) == (np.uint8, np.int32)
    assert (read.classes, read.train_count, read.name) == (SETS[name][2], 7, name)
    assert "tensorflow" not in sys.modules
    found = data.find(name, tmp_path)
    assert sorted(found.files) == sorted(folder.iterdir())
    assert found.shuffled


def test_the_newest_version_is_read(tmp_path):
    write(tmp_path, "mnist", counts=(3, 2))
    write_prepared(tmp_path, "mnist", version="3.0.10", classes=10, counts=(9, 2))
    (tmp_path / "mnist" / "incomplete.4.0.0").mkdir()
    assert prepared("mnist", data_dir=tmp_path).train_count == 9


def test_original_files_win_over_prepared_ones(tmp_path):
    from idx_files import write_all

    write(tmp_path, "mnist")
    write_all(tmp_path)
    assert load("mnist", data_dir=tmp_path).x.shape == (12, 4, 3, 1)


def test_damaged_data_are_a_sentence(tmp_path):
    folder, _, _ = write(tmp_path, "mnist")
    file = folder / "mnist-train.array_record-00000-of-00001"
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"", bytes(len(whole))):
        file.write_bytes(content)
        failure(lambda: prepared("mnist", data_dir=tmp_path), folder)
    file.unlink()
    failure(lambda: prepared("mnist", data_dir=tmp_path), folder)


def test_other_formats_other_images_and_paths_that_lead_away_are_refused(tmp_path):
    folder, _, _ = write(tmp_path, "mnist")
    path = folder / "dataset_info.json"
    good = json.loads(path.read_text())
    for name in ("tfrecord", "parquet"):
        path.write_text(json.dumps(good | {"fileFormat": name}))
        failure(lambda: prepared("mnist", data_dir=tmp_path), folder, name, "array_record")
    splits = [split | {"filepathTemplate": "../{SPLIT}"} for split in good["splits"]]
    path.write_text(json.dumps(good | {"splits": splits}))
    failure(lambda: prepared("mnist", data_dir=tmp_path), path, "not in its folder")
    splits = [split | {"filepathTemplate": None} for split in good["splits"]]
    path.write_text(json.dumps(good | {"splits": splits}))
    assert len(prepared("mnist", data_dir=tmp_path).x)  # null is TFDS's own name for its files
    for text in ("{", "[]", "{}", '{"fileFormat": "array_record", "splits": [1]}'):
        path.write_text(text)
        failure(lambda: prepared("mnist", data_dir=tmp_path), path)
    write_prepared(tmp_path, "cifar10", version="3.0.2", classes=10, shape=(28, 28, 1))
    failure(lambda: prepared("cifar10", data_dir=tmp_path), "cifar10", "28")


def test_labels_beyond_the_data_set_are_refused(tmp_path):
    write_prepared(tmp_path, "mnist", version="3.0.1", classes=60, counts=(30, 5))
    failure(lambda: prepared("mnist", data_dir=tmp_path), "mnist", "0 to 9")


def test_data_that_tfds_shuffled_cannot_be_dealt_as_published(tmp_path):
    write(tmp_path, "mnist")
    options = {"dataset": "mnist", "data_dir": str(tmp_path), "partition": "published"}
    failure(lambda: build.build(experiment(**options)), tmp_path, "shuffles")


@pytest.mark.parametrize("name", SETS)
def test_without_tensorflow_preparing_says_what_to_install(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    folder = tmp_path / "not" / "there"
    for call in (
        lambda: prepare(name, data_dir=folder),
        lambda: load(name, data_dir=folder, download=True),
    ):
        failure(call, name, "demjax[prepare]", "http", folder)
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_preparing_says_what_to_fetch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    nobody = data.PREPARED["cifar10"]._replace(address="http://localhost:9/cifar-10.tar.gz")
    monkeypatch.setitem(data.PREPARED, "cifar10", nobody)
    folder = tmp_path / "not" / "there"
    sentence = failure(lambda: prepare("cifar10", data_dir=folder), "localhost:9", folder)
    assert "cannot be reached" in sentence
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_downloaded_again(tmp_path):
    folder, _, _ = write(tmp_path, "mnist")
    assert prepare("mnist", data_dir=tmp_path) == folder


def test_the_test_part_of_mnist_as_tfds_itself_prepared_it(tmp_path):
    root = Path(os.environ.get("DEMJAX_DATA_DIR", ""))
    source = root / "tfds" / "mnist" / "3.0.1"
    if not root.name or not source.is_dir() or not (root / "mnist").is_dir():
        pytest.skip("DEMJAX_DATA_DIR is not set, or holds no tfds/mnist/3.0.1 and mnist")
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    for part in ("train", "test"):  # the test part twice, for half a minute less
        ending = "array_record-00000-of-00001"
        (folder / f"mnist-{part}.{ending}").symlink_to(source / f"mnist-test.{ending}")
    info = (source / "dataset_info.json").read_text().replace('"60000"', '"10000"')
    (folder / "dataset_info.json").write_text(info)
    (folder / "features.json").write_bytes((source / "features.json").read_bytes())
    read, original = prepared("mnist", data_dir=tmp_path), data.mnist(data_dir=root)
    assert read.train_count == 10000

    def told_apart(x, y):  # in whatever order
        weights = np.random.default_rng(0).integers(1, 2**40, 784)
        return np.sort(x.reshape(-1, 784) @ weights * 10 + y)

    expected = told_apart(original.x[60000:], original.y[60000:])
    for part in (slice(10000), slice(10000, None)):
        np.testing.assert_array_equal(told_apart(read.x[part], read.y[part]), expected)


IMAGE = "tensorflow_datasets.core.features.image_feature.Image"


@pytest.mark.parametrize(
    ("good", "evil"),
    [
        (IMAGE, "evil_module.Feature"),
        (IMAGE, "tensorflow_datasets.core.features.image_feature_of_mine.Image"),
        ('"pythonClassName": "' + IMAGE, '"python_class_name": "evil_module.Feature'),
        ('"classLabel": {', '"jsonFeature": {"json": "{}"}, "classLabel": {'),
        ('"featuresDict": {', '"type": "evil_module.Feature", "content": {}, "featuresDict": {'),
        (f'"{IMAGE}"', "[]"),
    ],
)
def test_no_module_is_imported_that_a_folder_names(good, evil, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "evil_module.py").write_text("raise SystemExit('it ran')")
    folder, _, _ = write(tmp_path, "mnist")
    path = folder / "features.json"
    text = path.read_text()
    assert good in text
    path.write_text(text.replace(good, evil))
    failure(lambda: prepared("mnist", data_dir=tmp_path), path, "whose code TFDS would run")


def test_features_nested_without_end_and_links_out_are_refused(tmp_path):
    folder, _, _ = write(tmp_path / "in", "mnist")
    (folder / "features.json").write_text("[" * 10**5)
    failure(lambda: prepared("mnist", data_dir=tmp_path / "in"), "features.json", "cannot be read")
    (tmp_path / "out").write_text("{}")
    (folder / "features.json").unlink()
    (folder / "features.json").symlink_to(tmp_path / "out")
    failure(lambda: prepared("mnist", data_dir=tmp_path / "in"), "features.json", "leads out")
