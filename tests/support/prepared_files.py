"""TFDS's folders, written without TensorFlow, for the tests that read them.

A record is a serialized ``tf.train.Example``: protocol buffers, put together by hand here.
"""

import io
import json

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image


def field(number, content):
    """A field of bytes: its number and wire type, the length as a varint, the bytes."""
    length, size = b"", len(content)
    while size >= 128:
        length += bytes([size % 128 + 128])
        size //= 128
    return bytes([number * 8 + 2]) + length + bytes([size]) + content


def example(image, label):
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "PNG")
    image = field(1, field(1, file.getvalue()))  # Feature.bytes_list
    number = field(3, field(1, bytes([label])))  # Feature.int64_list, packed; below 128
    features = {b"image": image, b"label": number}
    return field(
        1, b"".join(field(1, field(1, name) + field(2, each)) for name, each in features.items())
    )


def images(count, shape, classes, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    return x, rng.integers(0, classes, count, dtype=np.uint8)


def write_prepared(root, builder, *, version, classes, shape=(28, 28, 1), counts=(7, 5)):
    """Write both parts; what they hold, joined."""
    folder = root / builder / version
    folder.mkdir(parents=True)
    name = builder.split("/")[0]
    splits, parts = [], []
    for split, count in zip(("train", "test"), counts, strict=True):
        x, y = images(count, shape, classes, seed=count)
        writer = ArrayRecordWriter(
            str(folder / f"{name}-{split}.array_record-00000-of-00001"), "group_size:1"
        )
        for image, label in zip(x, y, strict=True):
            writer.write(example(image, int(label)))
        writer.close()
        template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
        splits.append(
            {
                "filepathTemplate": template,
                "name": split,
                "numBytes": "1000",
                "shardLengths": [str(count)],
            }
        )
        parts.append((x, y))
    info = {
        "description": "Made up.",
        "fileFormat": "array_record",
        "moduleName": f"tensorflow_datasets.image_classification.{name}",
        "name": name,
        "splits": splits,
        "version": version,
    }
    if "/" in builder:
        info["configName"] = builder.split("/")[1]
    core = "tensorflow_datasets.core.features"
    image = {"dtype": "uint8", "shape": {"dimensions": [str(size) for size in shape]}}
    features = {
        "image": {"image": image, "pythonClassName": f"{core}.image_feature.Image"},
        "label": {
            "classLabel": {"numClasses": str(classes)},
            "pythonClassName": f"{core}.class_label_feature.ClassLabel",
        },
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))
    (folder / "features.json").write_text(
        json.dumps(
            {
                "featuresDict": {"features": features},
                "pythonClassName": f"{core}.features_dict.FeaturesDict",
            }
        )
    )
    return folder, *(np.concatenate(both) for both in zip(*parts, strict=True))
