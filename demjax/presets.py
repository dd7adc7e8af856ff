"""Options of an experiment that go together, by name."""

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "published": {
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
"""Options that go together: the published run, and what serves best where clients conflict."""
