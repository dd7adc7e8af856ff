"""Write what all sides begin with: the published split of MNIST and the first models, as ``.npz``.

    python benchmarks/peers/export.py --data-dir DIR --out FOLDER --models linear mlp cnn

Run by ``benchmarks/peers.py``. Arrays are plain, named by the number of their layer, from the input
on, and its name in Flax, ``3/Dense_0/Dense_0/kernel``, so that names in order are layers in order;
kernels are ``[in, out]`` and ``[H, W, in, out]``.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from local_training import published_clients

import demjax

MODELS = {
    "linear": demjax.models.Linear,
    "mlp": demjax.models.MLP,
    "cnn": demjax.models.CNN,
}


def in_order(params: dict) -> dict[str, np.ndarray]:
    """A model's arrays by their numbered names; Flax numbers layers as they are made, not run."""
    leaves = jax.tree.leaves_with_path(params)
    named = {jax.tree_util.keystr(k, simple=True, separator="/"): np.asarray(v) for k, v in leaves}
    layers = {name.rpartition("/")[0]: value for name, value in named.items() if value.ndim > 1}
    convolutions = sorted(name for name, kernel in layers.items() if kernel.ndim > 2)
    dense = sorted(layers.keys() - convolutions, key=lambda name: -layers[name].shape[0])
    return {
        f"{number}/{layer}/{leaf}": named[f"{layer}/{leaf}"]
        for number, layer in enumerate([*convolutions, *dense])
        for leaf in ("kernel", "bias")
    }


def main() -> None:
    """Read the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="folder with MNIST's four IDX files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    asked = parser.parse_args()
    clients = published_clients(asked.data_dir)
    arrays = {name: np.asarray(value) for name, value in clients._asdict().items()}
    np.savez(asked.out / "split.npz", **arrays)
    for model in asked.models:
        task = demjax.classification(MODELS[model](classes=10), clients.x[0])
        np.savez(asked.out / f"{model}.npz", **in_order(task.init(jax.random.key(0))))


if __name__ == "__main__":
    main()
