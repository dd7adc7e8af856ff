"""The digits of scikit-learn."""

import numpy as np

from demjax.data import digits


def test_digits_are_the_images_of_scikit_learn_in_its_order():
    from sklearn.datasets import load_digits

    data, source = digits(), load_digits()
    assert (data.x.shape, data.x.dtype) == ((1797, 8, 8, 1), np.float32)
    assert (data.y.shape, data.y.dtype) == ((1797,), np.int32)
    assert (data.classes, data.train_count, data.name) == (10, 1797, "digits")
    np.testing.assert_array_equal(data.x[..., 0] * 16, source.images)
    np.testing.assert_array_equal(data.y, source.target)
    assert (data.x.min(), data.x.max()) == (0, 1)
