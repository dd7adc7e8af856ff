"""What can be chosen by name, and the options that only some of it uses, with their defaults."""

from collections.abc import Mapping
from typing import Any

from demjax import clustering, data

PARTITIONS: Mapping[str, Mapping[str, Any]] = {
    "dirichlet": {"dirichlet_alpha": 0.5, "min_examples": 2, "test_fraction": 0.2},
    "file": {"partition_file": None},
    "iid": {"test_fraction": 0.2},
    "labels": {"labels_per_client": 2, "label_sigma": 1.0, "test_fraction": 0.2},
    "natural": {"test_fraction": 0.2},
    "planted": {"kinds": 4, "labels_per_client": 2, "label_sigma": 0.0, "test_fraction": 0.2},
    "published": {},
    "quantity": {"dirichlet_alpha": 0.5, "min_examples": 2, "test_fraction": 0.2},
}
"""The options that only some partitions use, and their defaults there."""

CONFLICTS: Mapping[str, Mapping[str, Any]] = {
    "noisy": {"kinds": 4, "noise": 0.5},
    "none": {},
    "permuted": {"kinds": 4},
    "relabelled": {"kinds": 4},
    "rotated": {"kinds": 4},
}
"""The options that only some conflicts use, and their defaults there."""

NATURAL = ("leaf", "synthetic", "synthetic_iid")
"""The data sets whose examples have owners, which are the clients unless another is asked for."""

PUBLISHED: Mapping[str, str] = {
    "cifar10": "published_cifar10",
    "cifar10_jpeg": "published_cifar10",
    "fashion_mnist": "published_fashion_mnist",
    "mnist": "published_mnist",
}
"""The rule of ``demjax.data`` that deals a data set as published."""

DEALING = frozenset(
    name for table in (PARTITIONS, CONFLICTS) for options in table.values() for name in options
)
"""All options that only some partitions or conflicts use."""

CONVOLUTIONAL: Mapping[str, int] = {"cifar_cnn": 8, "cnn": 4}
"""The models that take pictures and have dropout, and the least height and width they take."""

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "demlearn": {
        "levels": 3,
        "mix": 0.6,
        "prox": 0.002,
        "period": 1,
        "soft": 1.0,
        "amplification": 1.0,
        "amplified_rounds": 5,
        "beta": None,
        "beta_decay": 0.7,
        "beta_floor": 0.001,
        "start": "own",
        "weigh": "clients",
        "average_layers": None,
        "features": "weights",
        "feature_layers": None,
        "sketch": None,
        "metric": "euclidean",
        "linkage": "average",
        "linkage_backend": "xla",
        "groups": None,
        "heights": None,
        "slots": 32,
        "min_size": 1,
    },
    "fedavg": {"mix": None, "server_lr": None, "server_momentum": None},
    "fedprox": {"prox": 0.5},
    "local_only": {},
}
"""The options that only some algorithms use, and their defaults there."""

CHOICES: Mapping[str, tuple[str, ...]] = {
    "ALGORITHMS": tuple(DEFAULTS),
    "DATASETS": data.NAMES,
    "PARTITIONS": tuple(PARTITIONS),
    "CONFLICTS": tuple(CONFLICTS),
    "PIXELS": ("centred", "per_pixel", "published", "standardized", "unit"),
    "STORES": ("bytes", "floats"),
    "MODELS": ("cifar_cnn", "cnn", "linear", "mlp"),
    "PRECISIONS": ("bf16", "float32", "tf32"),
    "METRICS": ("correlation", "cosine", "euclidean", "sqeuclidean"),
    "LINKAGES": clustering.METHODS,
    "BACKENDS": clustering.BACKENDS,
    "FEATURES": ("gradients", "updates", "weights"),
    "STARTS": ("own", "parent", "root"),
    "WEIGHINGS": ("clients", "examples"),
}


SPECIAL = frozenset(name for options in DEFAULTS.values() for name in options)
"""All options that only some algorithms use."""
