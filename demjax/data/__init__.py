"""Data sets, and who gets which of their examples.

``load`` reads all examples of a data set in file order, ``normalization`` scales them;
``partition``, ``planted``, ``natural`` and ``published`` give their indices to clients, ``saved``
keeps them in a file; ``client_data`` makes of both the ``ClientData`` that all else takes.
"""

from demjax.data.classes import EncodedLabels, encode_labels
from demjax.data.client_data import Partition, client_data
from demjax.data.copies import each_its_own
from demjax.data.dataset import Dataset
from demjax.data.partitions.dirichlet import dirichlet
from demjax.data.partitions.fedprox_power_law import fedprox_power_law
from demjax.data.partitions.ifca import ifca
from demjax.data.partitions.iid import iid
from demjax.data.partitions.labels import labels
from demjax.data.partitions.natural import natural
from demjax.data.partitions.niid_bench import (
    niid_bench_iid,
    niid_bench_labeldir,
    niid_bench_labels,
)
from demjax.data.partitions.pfllib import pfllib_dir, pfllib_pat
from demjax.data.partitions.planted import Planted, planted
from demjax.data.partitions.published import (
    published_cifar10,
    published_fashion_mnist,
    published_mnist,
)
from demjax.data.partitions.quantity import quantity
from demjax.data.partitions.saved import load_partition, save_partition
from demjax.data.partitions.validation import held_out
from demjax.data.repeats import in_both_parts, same_files
from demjax.data.sources.catalogue import find, load
from demjax.data.sources.cifar10 import cifar10, cifar10_jpeg
from demjax.data.sources.digits import digits
from demjax.data.sources.idx import read_idx
from demjax.data.sources.leaf import leaf
from demjax.data.sources.mnist import emnist, emnist_balanced, fashion_mnist, mnist
from demjax.data.sources.npz import npz
from demjax.data.sources.synthetic import synthetic, synthetic_iid
from demjax.data.sources.tfds import PREPARED, prepare, prepared
from demjax.data.transforms.conflicts import noisy, permuted, planted_clusters, relabelled, rotated
from demjax.data.transforms.layout import images
from demjax.data.transforms.normalization import Normalization, centred, overall, per_pixel, unit

__all__ = [
    "PREPARED",
    "Dataset",
    "EncodedLabels",
    "Normalization",
    "Partition",
    "Planted",
    "centred",
    "cifar10",
    "cifar10_jpeg",
    "client_data",
    "digits",
    "dirichlet",
    "each_its_own",
    "emnist",
    "emnist_balanced",
    "encode_labels",
    "fashion_mnist",
    "fedprox_power_law",
    "find",
    "held_out",
    "ifca",
    "iid",
    "images",
    "in_both_parts",
    "labels",
    "leaf",
    "load",
    "load_partition",
    "mnist",
    "natural",
    "niid_bench_iid",
    "niid_bench_labeldir",
    "niid_bench_labels",
    "noisy",
    "npz",
    "overall",
    "per_pixel",
    "permuted",
    "pfllib_dir",
    "pfllib_pat",
    "planted",
    "planted_clusters",
    "prepare",
    "prepared",
    "published_cifar10",
    "published_fashion_mnist",
    "published_mnist",
    "quantity",
    "read_idx",
    "relabelled",
    "rotated",
    "same_files",
    "save_partition",
    "synthetic",
    "synthetic_iid",
    "unit",
]
