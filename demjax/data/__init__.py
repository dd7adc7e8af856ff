"""Data sets, and who gets which of their examples.

``datasets`` reads all pictures of a data set in file order and normalises them; ``partition`` and
``published`` deal their indices to clients; ``client_data`` makes of both the ``ClientData`` that
everything else takes.
"""

from demjax.data.clients import Partition, client_data
from demjax.data.conflicts import planted_kinds, relabelled, rotated
from demjax.data.datasets import (
    NAMES,
    Dataset,
    digits,
    load,
    mnist,
    scale_to_unit,
    standardize,
    standardize_pixels,
)
from demjax.data.idx import read_idx
from demjax.data.normalization import Normalization, centred, overall, per_pixel, unit
from demjax.data.partition import dirichlet, iid, labels
from demjax.data.published import published_mnist

__all__ = [
    "NAMES",
    "Dataset",
    "Normalization",
    "Partition",
    "centred",
    "client_data",
    "digits",
    "dirichlet",
    "iid",
    "labels",
    "load",
    "mnist",
    "overall",
    "per_pixel",
    "planted_kinds",
    "published_mnist",
    "read_idx",
    "relabelled",
    "rotated",
    "scale_to_unit",
    "standardize",
    "standardize_pixels",
    "unit",
]
