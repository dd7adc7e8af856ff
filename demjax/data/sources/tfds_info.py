"""What a folder of TFDS says of itself, before TFDS believes it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from demjax.data.dataset import files_in, within

_NOT_AS_WRITTEN = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
_FEATURES = frozenset(
    f"tensorflow_datasets.core.features.{name}"
    for name in (
        *("features_dict.FeaturesDict", "image_feature.Image", "text_feature.Text"),
        *("class_label_feature.ClassLabel", "tensor_feature.Tensor", "scalar.Scalar"),
    )
)
"""Classes that features can be of."""


def check_info(folder: Path) -> None:
    """Refuse other formats, files outside the folder, and code that TFDS would import.

    Args:
        folder: Of one version of a data set.

    Raises:
        ValueError: One sentence.
    """
    path = folder / "dataset_info.json"
    try:
        info = json.loads(path.read_text("utf-8"))
        found = info["fileFormat"]
        templates = [str(split.get("filepathTemplate")) for split in info["splits"]]
    except (OSError, *_NOT_AS_WRITTEN) as error:
        raise ValueError(f"{path} cannot be read, or is not as TFDS writes it.") from error
    if found != "array_record":
        raise ValueError(
            f"{folder} is prepared in the format {found!r}, but only 'array_record' is read "
            "without TensorFlow; possible is to prepare it again with file_format='array_record'."
        )
    if any("/" in template or "\\" in template for template in templates):
        raise ValueError(f"{path} names files that are not in its folder, so it is not read.")
    for file in files_in(folder, "*"):
        within(folder, file)
    _check_features(folder / "features.json")


def _check_features(path: Path) -> None:
    """Refuse features of other kinds than TFDS's own, whose modules it would import."""
    try:
        classes = list(_classes(json.loads(path.read_text("utf-8"))))
    except FileNotFoundError:
        return  # of data sets that it knows TFDS knows the features
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read, or is not as TFDS writes it.") from error
    for name in classes:
        if not isinstance(name, str) or name not in _FEATURES:
            raise ValueError(
                f"{path} names {str(name)[:80]!r}, whose code TFDS would run, so it is not read; "
                "possible are the features that TFDS itself has for images and labels."
            )


def _classes(value: Any) -> Iterator[Any]:
    """All that names a class in what TFDS writes of features, in its forms new and old."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in ("jsonFeature", "json_feature"):  # more of it, as JSON in a text
                yield name
            elif name in ("pythonClassName", "python_class_name", "type"):
                yield inner
            yield from _classes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _classes(inner)
