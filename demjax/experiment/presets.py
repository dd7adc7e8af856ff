"""Options of an experiment that go together, by name."""

from collections.abc import Mapping
from typing import Any

_PUBLISHED: Mapping[str, Any] = {
    "algorithm": "demlearn",
    "dataset": "mnist",
    "partition": "published",
    "model": "cnn",
    "epochs": 2,
    "batch_size": 10,
    "lr": 0.05,
    "rounds": 100,
    "prox": 0.002,
    "mix": 0.6,
    "levels": 3,
    "features": "weights",
    "metric": "euclidean",
    "linkage": "average",
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "published": _PUBLISHED,
    "published_fashion_mnist": {**_PUBLISHED, "dataset": "fashion_mnist", "mix": 0.7},
    "published_cifar10": {
        **_PUBLISHED,
        "dataset": "cifar10",
        "model": "cifar_cnn",
        "mix": 0.7,
    },
    "published_femnist": {
        **_PUBLISHED,
        "dataset": "leaf",
        "partition": "natural",
        "pixels": "published",
        "dropout": 0.0,
        "mix": 0.7,
    },
    "recommended": {
        "algorithm": "demlearn",
        "prox": 0.002,
        "features": "updates",
        "metric": "cosine",
        "linkage": "ward",
        "groups": (8, 4),
        "min_size": 3,
        "start": "root",
        "weigh": "examples",
        "mix": (0.6, 0.3, 0.3),
    },
}
"""Options that go together: the published runs, and what serves best where clients conflict."""
