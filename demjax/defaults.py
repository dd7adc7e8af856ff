"""The options that only some ways of dealing use, and their defaults there."""

from collections.abc import Mapping
from typing import Any

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
