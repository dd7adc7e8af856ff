"""Functions of matrices: one by one on a CPU, where a batch could wait for ever."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from demjax.backend.lapack import matrix_by_matrix
from demjax.backend.policy import compiling_for
from demjax.clustering.gap import points_of
from demjax.clustering.subspaces import principal_angles, subspaces

MANY = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype(np.float32)
CLIENTS = tiny.clients((7, 5, 12, 5), (2, 2, 2, 2))


def ranks(function, *arguments):
    """Of how many dimensions is what LAPACK is given in a program."""
    program = jax.jit(function).lower(*arguments).as_text()
    calls = re.findall(r"@lapack_\w+\(.*?: \(tensor<([\dx]+)xf32>", program)
    return [len(shape.split("x")) for shape in calls]


def values(matrix):
    return jnp.linalg.svd(matrix, compute_uv=False)


def test_each_matrix_has_what_numpy_finds():
    found = jax.jit(jax.vmap(jax.vmap(matrix_by_matrix(values))))(MANY)
    np.testing.assert_allclose(found, np.linalg.svd(MANY, compute_uv=False), rtol=1e-5)


@pytest.mark.parametrize(
    ("function", "one"),
    [
        (matrix_by_matrix(values), MANY[0, 0]),
        (points_of, np.square(MANY[0, 0] @ MANY[0, 0].T)),
        (lambda bases: principal_angles(bases, "sum"), MANY[:, :1]),
        (lambda x: subspaces(CLIENTS._replace(x=x), 2), np.asarray(CLIENTS.x, np.float32)),
    ],
    ids=["values", "points", "angles", "subspaces"],
)
def test_lapack_is_given_no_batch(function, one):
    assert set(ranks(function, one)) == {2}
    assert set(ranks(jax.vmap(function), np.stack([one] * 3))) == {2}


def test_an_accelerator_takes_all_at_once():
    with compiling_for("gpu"):
        batched = jax.make_jaxpr(jax.vmap(matrix_by_matrix(values)))(MANY[0])
    assert batched.eqns[0].invars[0].aval.shape == (4, 5, 2)
    assert "scan" not in str(batched)
