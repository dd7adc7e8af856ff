"""The handwritten digits that come with scikit-learn."""

import numpy as np

from demjax.data.dataset import Dataset
from demjax.registry import DATASETS


@DATASETS.register(
    examples="1,797",
    shape="8×8×1",
    classes="10",
    licence="CC BY 4.0",
    source="UCI, in scikit-learn",
)
def digits() -> Dataset:
    """Read the 1,797 handwritten digits of 8×8 pixels that come with scikit-learn.

    Returns:
        float32 images ``[1797, 8, 8, 1]``, the 17 grey values scaled to 0…1; there is no
        test part.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI.
    """
    from sklearn.datasets import load_digits  # here, so that importing demjax stays light

    source = load_digits()
    x = (source.images / 16).astype(np.float32)[..., np.newaxis]
    y = source.target.astype(np.int32)
    return Dataset(x, y, classes=10, train_count=len(y), name="digits")
