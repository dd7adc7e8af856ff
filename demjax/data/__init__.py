"""Data sets, and who gets which of their examples.

``load`` reads all examples of a data set in file order, ``pixels`` normalises them; ``partition``
and ``published`` deal their indices to clients; ``client_data`` makes of both the ``ClientData``
that everything else takes.
"""

from demjax.data.catalogue import CATALOGUE, NAMES, Entry, find, load
from demjax.data.cifar10 import cifar10, cifar10_jpeg
from demjax.data.clients import Partition, client_data
from demjax.data.conflicts import planted_kinds, relabelled, rotated
from demjax.data.dataset import Dataset
from demjax.data.digits import digits
from demjax.data.idx import read_idx
from demjax.data.leaf import leaf
from demjax.data.mnist import fashion_mnist, mnist
from demjax.data.npz import npz
from demjax.data.partition import dirichlet, iid, labels
from demjax.data.pixels import scale_to_unit, standardize, standardize_pixels
from demjax.data.prepared import PREPARED, prepare, prepared
from demjax.data.published import published_mnist
from demjax.data.synthetic import synthetic

__all__ = [
    "CATALOGUE",
    "NAMES",
    "PREPARED",
    "Dataset",
    "Entry",
    "Partition",
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
    "mnist",
    "npz",
    "planted_kinds",
    "prepare",
    "prepared",
    "published_mnist",
    "read_idx",
    "relabelled",
    "rotated",
    "scale_to_unit",
    "standardize",
    "standardize_pixels",
    "synthetic",
]
