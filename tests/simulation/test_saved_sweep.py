"""A sweep that is stopped goes on behind the results that it saved, to the same bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demjax import grid, spread_over, sweep

EXPERIMENTS = grid(seed=[0, 1, 2, 3, 4], rate=[0.5])
SHARED = jnp.arange(3.0)


def drawn(experiment, shared):
    """Two results, of which one is a key."""
    key = jax.random.key(experiment["seed"])
    return jax.random.normal(key, (3,)) * experiment["rate"] + shared, key


def same(one, other):
    for mine, its in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        if jax.dtypes.issubdtype(mine.dtype, jax.dtypes.prng_key):
            mine, its = jax.random.key_data(mine), jax.random.key_data(its)
        np.testing.assert_array_equal(mine, its)


@pytest.mark.parametrize(("devices", "chunk"), [(1, None), (2, None), (1, 2), (2, 7)])
def test_saved_results_are_those_of_a_sweep_that_is_not_saved(devices, chunk, tmp_path):
    with spread_over(devices):
        wanted = sweep(drawn, EXPERIMENTS, SHARED, chunk=chunk)
        saved = sweep(drawn, EXPERIMENTS, SHARED, chunk=chunk, checkpoint=tmp_path / "s")
        again = sweep(drawn, EXPERIMENTS, SHARED, chunk=chunk, checkpoint=tmp_path / "s")
    same(wanted, saved)
    same(saved, again)


def test_what_was_saved_is_not_computed_again(tmp_path):
    calls = []

    def told(experiment, shared):
        jax.debug.callback(lambda seed: calls.append(int(seed)), experiment["seed"])
        return experiment["seed"] * shared

    wanted = sweep(told, EXPERIMENTS, SHARED, checkpoint=tmp_path)
    assert sorted(calls) == [0, 1, 2, 3, 4]
    for number in (2, 4):
        (tmp_path / f"round-{number}.json").unlink()
    calls.clear()
    same(sweep(told, EXPERIMENTS, SHARED, checkpoint=tmp_path), wanted)
    assert sorted(calls) == [2, 4]


def test_broken_results_are_found_again_and_that_is_said(tmp_path):
    wanted = sweep(drawn, EXPERIMENTS, SHARED, checkpoint=tmp_path)
    array = max((tmp_path / "round-3").rglob("0*"), key=lambda file: file.stat().st_size)
    array.write_bytes(array.read_bytes()[:-1])
    with pytest.warns(RuntimeWarning, match=r"Results 3 .* broken .* found again"):
        same(sweep(drawn, EXPERIMENTS, SHARED, checkpoint=tmp_path), wanted)


def test_warnings_name_the_line_that_swept(tmp_path):
    sweep(drawn, EXPERIMENTS, SHARED, checkpoint=tmp_path)
    (tmp_path / "round-3.json").write_text("")
    with pytest.warns(RuntimeWarning, match="Results 3") as told:
        sweep(drawn, EXPERIMENTS, SHARED, checkpoint=tmp_path)
    assert told[0].filename == __file__


@pytest.mark.parametrize("shared", [2.5, 3, True, [1.0, 2.0], np.arange(3.0)])
def test_what_is_shared_can_be_numbers_of_pythons(shared, tmp_path):
    def scaled(experiment, shared):
        return experiment["rate"] * jnp.asarray(shared)

    wanted = sweep(scaled, EXPERIMENTS, shared)
    same(wanted, sweep(scaled, EXPERIMENTS, shared, checkpoint=tmp_path))
    same(wanted, sweep(scaled, EXPERIMENTS, shared, checkpoint=tmp_path))


def test_results_of_another_sweep_are_refused(tmp_path):
    sweep(drawn, EXPERIMENTS, SHARED, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="of other experiments or data; possible is the same"):
        sweep(drawn, EXPERIMENTS, SHARED + 1, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="of other experiments or data"):
        sweep(drawn, grid(seed=[0, 1, 2, 3, 5], rate=[0.5]), SHARED, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="of another function, chunk"):
        sweep(lambda *given: (drawn(*given)[0] * 2, drawn(*given)[1]), EXPERIMENTS, SHARED,
              checkpoint=tmp_path)  # fmt: skip


def test_one_number_of_much_that_is_shared_counts(tmp_path):
    def summed(experiment, shared):
        return experiment["rate"] * shared.sum()

    much = np.zeros(2**24 + 1, np.float32)
    sweep(summed, EXPERIMENTS, much, checkpoint=tmp_path)
    much[5] = 7
    with pytest.raises(ValueError, match="of other experiments or data"):
        sweep(summed, EXPERIMENTS, much, checkpoint=tmp_path)


def test_a_folder_that_cannot_be_and_a_sweep_that_is_compiled_get_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written"):
        sweep(drawn, EXPERIMENTS, SHARED, checkpoint=tmp_path / "file")
    with pytest.raises(ValueError, match="possible is checkpoint=None"):
        jax.jit(lambda e: sweep(drawn, e, SHARED, checkpoint=tmp_path))(EXPERIMENTS)


def test_a_disk_that_is_full_is_told_once_and_the_sweep_goes_on(tmp_path, monkeypatch):
    wanted = sweep(drawn, EXPERIMENTS, SHARED)
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.warns(RuntimeWarning, match="cannot be saved in") as told:
            found = sweep(drawn, EXPERIMENTS, SHARED, checkpoint=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(told) == 1
    same(found, wanted)
