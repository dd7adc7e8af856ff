"""Data sets, and who gets which of their examples.

``load`` reads all examples of a data set in file order, ``normalization`` scales them;
``partition``, ``planted``, ``natural`` and ``published`` deal their indices to clients, ``saved``
keeps them in a file; ``client_data`` makes of both the ``ClientData`` that all else takes.
"""

from demjax.data.catalogue import CATALOGUE, NAMES, Entry, find, load
from demjax.data.cifar10 import cifar10, cifar10_jpeg
from demjax.data.clients import Partition, client_data
from demjax.data.conflicts import noisy, permuted, planted_kinds, relabelled, rotated
from demjax.data.dataset import Dataset
from demjax.data.digits import digits
from demjax.data.idx import read_idx
from demjax.data.leaf import leaf
from demjax.data.mnist import fashion_mnist, mnist
from demjax.data.natural import natural
from demjax.data.normalization import Normalization, centred, overall, per_pixel, unit
from demjax.data.npz import npz
from demjax.data.partition import dirichlet, iid, labels, quantity
from demjax.data.pixels import scale_to_unit, standardize, standardize_pixels
from demjax.data.planted import Planted, planted
from demjax.data.prepared import PREPARED, prepare, prepared
from demjax.data.published import published_cifar10, published_fashion_mnist, published_mnist
from demjax.data.saved import load_partition, save_partition
from demjax.data.synthetic import synthetic

__all__ = [
    "CATALOGUE",
    "NAMES",
    "PREPARED",
    "Dataset",
    "Entry",
    "Normalization",
    "Partition",
    "Planted",
    "centred",
    "cifar10",
    "cifar10_jpeg",
    "client_data",
    "digits",
    "dirichlet",
    "fashion_mnist",
    "find",
    "iid",
    "labels",
    "leaf",
    "load",
    "load_partition",
    "mnist",
    "natural",
    "noisy",
    "npz",
    "overall",
    "per_pixel",
    "permuted",
    "planted",
    "planted_kinds",
    "prepare",
    "prepared",
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
    "synthetic",
    "unit",
]
