"""Data sets, and who gets which of their examples.

``datasets`` reads all pictures of a data set in file order and normalises them; ``partition``,
``planted``, ``natural`` and ``published`` deal their indices to clients, ``saved`` keeps them in a
file; ``client_data`` makes of both the ``ClientData`` that everything else takes.
"""

from demjax.data.clients import Partition, client_data
from demjax.data.conflicts import noisy, permuted, planted_kinds, relabelled, rotated
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
from demjax.data.natural import natural
from demjax.data.normalization import Normalization, centred, overall, per_pixel, unit
from demjax.data.partition import dirichlet, iid, labels, quantity
from demjax.data.planted import Planted, planted
from demjax.data.published import published_cifar10, published_fashion_mnist, published_mnist
from demjax.data.saved import load_partition, save_partition

__all__ = [
    "NAMES",
    "Dataset",
    "Normalization",
    "Partition",
    "Planted",
    "centred",
    "client_data",
    "digits",
    "dirichlet",
    "iid",
    "labels",
    "load",
    "load_partition",
    "mnist",
    "natural",
    "noisy",
    "overall",
    "per_pixel",
    "permuted",
    "planted",
    "planted_kinds",
    "published_cifar10",
    "published_fashion_mnist",
    "published_mnist",
    "quantity",
    "read_idx",
    "relabelled",
    "rotated",
    "save_partition",
    "scale_to_unit",
    "standardize",
    "standardize_pixels",
    "unit",
]
