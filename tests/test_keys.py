"""Key streams keep the numbers that results were made with, and no two of them coincide."""

import re
from itertools import combinations
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import demjax
from demjax import keys

KEY = jax.random.key(3)
LAST = np.uint32(2**32 - 1)


def words(key):
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


def test_keys_are_those_that_results_were_made_with():
    fold_in = jax.random.fold_in
    for got, wanted in (
        (keys.for_initial_model(KEY), fold_in(KEY, LAST)),
        (keys.for_groups(KEY), fold_in(KEY, LAST)),
        (keys.for_round(KEY, 7), fold_in(KEY, 7)),
        (keys.for_cohort(KEY), fold_in(KEY, LAST)),
        (keys.for_faults(KEY), fold_in(KEY, LAST - 1)),
        (keys.for_noise(KEY), fold_in(KEY, LAST - 2)),
        (keys.for_second_stage(KEY), fold_in(KEY, LAST - 3)),
        (keys.for_client(KEY, 7), fold_in(KEY, 7)),
        (keys.for_epoch(KEY, 2), fold_in(KEY, 2)),
        (keys.for_shuffling(KEY), fold_in(KEY, 0)),
        (keys.for_batch(KEY, 4), fold_in(KEY, 5)),
        (keys.for_sketch(3), KEY),
        (keys.for_leaf(KEY, 6), fold_in(KEY, 6)),
        (keys.for_columns(KEY, 6), fold_in(KEY, 6)),
    ):
        assert words(got) == words(wanted)


def test_numbers_may_be_traced():
    traced = jax.jit(jax.vmap(lambda number: jax.random.key_data(keys.for_batch(KEY, number))))
    got = [tuple(row) for row in np.asarray(traced(jnp.arange(3))).tolist()]
    assert got == [words(keys.for_batch(KEY, number)) for number in range(3)]


def test_what_comes_of_one_key_never_coincides():
    of_run = [keys.for_initial_model(KEY), *(keys.for_round(KEY, r) for r in range(50))]
    streams = keys.for_cohort, keys.for_faults, keys.for_noise, keys.for_second_stage
    named = [stream(KEY) for stream in streams]
    of_round = [*named, *(keys.for_client(KEY, n) for n in (*range(50), 2**31 - 1))]
    of_epoch = [keys.for_shuffling(KEY), *(keys.for_batch(KEY, b) for b in range(50))]
    for siblings in (of_run, of_round, of_epoch):
        assert all(words(one) != words(other) for one, other in combinations(siblings, 2))


def test_no_other_module_derives_keys():
    package = Path(demjax.__file__).parent
    derives = re.compile(r"random\.(fold_in|split)\b")
    found = [
        str(file.relative_to(package))
        for file in sorted(package.rglob("*.py"))
        if derives.search(file.read_text(encoding="utf-8"))
    ]
    assert found == ["keys.py"]
