"""What a run needs, against the bytes of its arrays, and the sentence of one that cannot fit."""

import jax
import numpy as np
import optax
import pytest
import tiny

from demjax import local_training
from demjax.algorithms import demlearn, fedavg
from demjax.backend import memory
from demjax.backend.sharding import spread_over
from demjax.simulation.run import programs


def compiled(algorithm, count=8):
    return programs(algorithm, tiny.task(), tiny.clients(), key=jax.random.key(0))


def bytes_of(tree):
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree) if hasattr(leaf, "nbytes"))


@pytest.mark.parametrize("algorithm", [demlearn, fedavg])
def test_a_run_needs_its_data_and_its_state_and_some_work(algorithm):
    local = local_training(tiny.task(), optax.sgd(0.1), batch_size=4)
    made = algorithm(local) if algorithm is fedavg else algorithm(local, levels=1)
    parts = compiled(made)
    state = jax.jit(made.init)(jax.random.key(0), tiny.clients())
    least = bytes_of(state) + bytes_of(tiny.clients())
    assert least <= memory.needed(*parts[:3]) < 20 * least + 100_000
    with spread_over(2):
        assert memory.needed(*compiled(made)[:3]) > bytes_of(tiny.clients()) * 2


def test_more_clients_need_more():
    needs = []
    for copies in (1, 50):
        clients = tiny.clients()
        clients = clients._replace(
            **{
                name: np.concatenate([getattr(clients, name)] * copies)
                for name in ("train", "train_size", "test", "test_size")
            }
        )
        local = local_training(tiny.task(), optax.sgd(0.1), batch_size=4)
        parts = programs(fedavg(local), tiny.task(), clients, key=jax.random.key(0))
        needs.append(memory.needed(*parts[:3]))
    assert needs[1] > needs[0]


def test_what_is_free_is_told_here():
    assert memory.free() is None or memory.free() > 1_000_000


def test_a_run_that_fits_passes_and_so_does_one_where_nobody_tells():
    memory.check_fits(1000, 1000, clients=10, examples=0)
    memory.check_fits(1000, None, clients=10, examples=0)


@pytest.mark.parametrize(
    ("present", "possible"),
    [(20e9, "about 1,900 clients would fit"), (1e9, "not even one client would fit")],
)
def test_a_run_that_cannot_fit_is_refused_with_how_many_would(present, possible):
    with pytest.raises(
        ValueError, match=rf"^A run of 10,000 clients needs 101\.0 GB .* {possible}\.$"
    ):
        memory.check_fits(int(101e9), int(present), clients=10_000, examples=int(1e9))


@pytest.mark.parametrize(("size", "said"), [(2_500_000_000, "2.5 GB"), (34_000_000, "34 MB")])
def test_bytes_are_said_in_a_fitting_unit(size, said):
    assert memory.gigabytes(size) == said
