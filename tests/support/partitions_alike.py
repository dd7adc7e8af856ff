"""Labels to deal, what a partition holds, and the sentence of a refusal."""

import hashlib

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

QUICK = settings(deadline=None, max_examples=40)
label_vectors = st.builds(
    lambda counts, seed: np.random.default_rng(seed).permutation(
        np.repeat(np.arange(len(counts)), counts)
    ),
    st.lists(st.integers(1, 60), min_size=1, max_size=8),
    st.integers(0, 1000),
)
seeds = st.integers(0, 2**32)


def everything(partition):
    return np.concatenate([*partition.train, *partition.test])


def per_client(partition):
    return [np.concatenate(both) for both in zip(partition.train, partition.test, strict=True)]


def sizes(partition):
    return np.array([len(mine) for mine in per_client(partition)])


def same(a, b):
    pairs = zip((*a.train, *a.test), (*b.train, *b.test), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


def digest(partition):
    """The beginning of a hash of who has what, the same on every machine."""
    found = hashlib.sha256()
    for part in (*partition.train, *partition.test):
        found.update(np.array([len(part), *part], "<i8").tobytes())
    return found.hexdigest()[:16]


def failure(call, *parts):
    """The sentence of the ValueError that the call raises, after checks of its form."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (what it says is checked here)
        call()
    sentence = str(caught.value)
    assert type(caught.value) is ValueError
    assert sentence.endswith(".")
    assert "\n" not in sentence
    for part in parts:
        assert str(part) in sentence, sentence
    return sentence
