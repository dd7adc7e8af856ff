"""Operations that are counted, against those counted by hand."""

import jax
import jax.numpy as jnp
from jax import lax

from demjax.simulation.operations import work_of

ONE, OTHER = jnp.zeros((3, 5)), jnp.zeros((5, 7))
PRODUCT = 2 * 3 * 5 * 7
MOVED = 4 * (3 * 5 + 5 * 7 + 3 * 7)


def work(function, *arguments, steps=1):
    return work_of(jax.make_jaxpr(function)(*arguments), steps=steps)


def test_a_product_is_a_multiplication_and_an_addition_for_each_pair():
    assert work(jnp.dot, ONE, OTHER) == (PRODUCT, MOVED)
    batched = work(jnp.matmul, jnp.zeros((4, 3, 5)), jnp.zeros((4, 5, 7)))
    assert batched == (4 * PRODUCT, 4 * MOVED)
    assert work(jnp.add, ONE, ONE) == (0, 0)


def test_a_convolution_sums_over_its_kernel():
    def convolve(x, kernel):
        form = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=form)

    found = work(convolve, jnp.zeros((2, 6, 6, 3)), jnp.zeros((3, 3, 3, 8)))
    assert found.operations == 2 * (2 * 4 * 4 * 8) * (3 * 3 * 3)


def test_loops_count_as_often_as_they_run_and_those_of_unknown_length_the_steps():
    def repeated(x, times):
        def batches(_, x):
            return lax.fori_loop(0, times, lambda _, x: jnp.dot(x, x), x)

        return lax.fori_loop(0, 4, batches, x)

    square = jnp.zeros((3, 3))
    once = work(jnp.dot, square, square).operations
    assert work(repeated, square, jnp.int32(9), steps=6).operations == 4 * 6 * once
    alone = work(lambda x: lax.while_loop(lambda x: x[0, 0] < 1, lambda x: x @ x, x), square)
    assert alone.operations == once


def test_inner_programs_are_counted_too():
    assert work(jax.jit(jnp.dot), ONE, OTHER) == (PRODUCT, MOVED)
    gradient = work(jax.grad(lambda w: jnp.sum(jnp.dot(ONE, w) ** 2)), OTHER)
    assert gradient.operations == 2 * PRODUCT
