"""IDX files in bytes, for the tests that read them."""

import gzip
import struct

import numpy as np
from hypothesis import HealthCheck, settings

FILES = {
    "train-images-idx3-ubyte": (7, 4, 3),
    "train-labels-idx1-ubyte": (7,),
    "t10k-images-idx3-ubyte": (5, 4, 3),
    "t10k-labels-idx1-ubyte": (5,),
}
IN_ONE_FOLDER = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def idx_bytes(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def arrays():
    rng = np.random.default_rng(5)
    return {
        name: rng.integers(0, 256 if len(shape) == 3 else 10, shape, dtype=np.uint8)
        for name, shape in FILES.items()
    }


IMAGES, LABELS = arrays()["train-images-idx3-ubyte"], arrays()["train-labels-idx1-ubyte"]


def write_all(folder, *, ending="", mark="-", **replaced):
    """Write the four files; ``replaced`` gives other bytes for ``train_images`` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays().items():
        content = idx_bytes(array)
        content = replaced.get("_".join(name.split("-")[:2]), content)
        if content is not None:
            name = name.replace("-idx", f"{mark}idx") + ending
            (folder / name).write_bytes(gzip.compress(content) if ending else content)
    return folder
