"""Answers in parts are those to all examples at once, and parts are as large as they may be."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from demjax.backend import policy
from demjax.metrics import scoring
from demjax.models import CNN, Linear
from demjax.tasks.classification import classification

COUNT, WIDTH = 13, 8


def asked(monkeypatch, score, params, x, y, *, largest):
    """The scores, and of how many examples a call that is traced is asked."""
    monkeypatch.setattr(policy, "CPU_ARRAY_BYTES", largest)
    monkeypatch.setattr(policy, "ACCELERATOR_ARRAY_BYTES", largest)
    sizes = []

    def noted(params, x, y):
        sizes.append(len(y))
        return score(params, x, y)

    found = jax.jit(lambda *given: scoring.scores(noted, *given))(params, x, y)
    return found, sizes[-1]


@pytest.fixture
def examples():
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.normal(size=(COUNT, 3)), jnp.float32), jnp.arange(COUNT)


@pytest.mark.parametrize(
    ("largest", "part"),
    [(COUNT * WIDTH * 4, COUNT), (COUNT * WIDTH * 4 - 1, 7), (5 * WIDTH * 4, 5), (WIDTH * 4, 1)],
)
def test_parts_are_as_large_as_their_largest_array_allows(monkeypatch, examples, largest, part):
    def score(params, x, y):
        wide = jnp.outer(x @ params, jnp.arange(WIDTH, dtype=jnp.float32))  # the largest array
        return jnp.sum(jnp.sin(wide), axis=1) + y

    params = jnp.asarray([1.0, -2.0, 0.5])
    found, size = asked(monkeypatch, score, params, *examples, largest=largest)
    assert size == part
    np.testing.assert_allclose(found, score(params, *examples), rtol=1e-5)


def test_arrays_inside_calls_and_loops_count(monkeypatch, examples):
    @jax.jit
    def inside(x):
        def step(total, weight):
            return total + jnp.sum(jnp.outer(x[:, 0], jnp.full(WIDTH, weight)), axis=1), None

        return jax.lax.scan(step, jnp.zeros(len(x)), jnp.arange(3.0))[0]

    found, size = asked(
        monkeypatch, lambda _, x, y: inside(x), (), *examples, largest=4 * WIDTH * 4
    )
    assert size == 4
    np.testing.assert_allclose(found, inside(examples[0]), rtol=1e-6)


def test_only_models_of_large_arrays_answer_in_parts():
    x, y = jnp.zeros((512, 28, 28, 1)), jnp.zeros(512, int)
    task = classification(CNN(classes=10), x[0])
    params = jax.eval_shape(task.init, jax.random.key(0))

    def shapes(score):
        program = jax.make_jaxpr(lambda params: scoring.scores(score, params, x, y))(params)
        return str(program)

    assert "f32[74,28,28,32]" in shapes(task.score)  # 7 parts of 7.4 MB
    assert "f32[512,28,28,32]" not in shapes(task.score)
    task = classification(Linear(classes=10), x[0])
    params = jax.eval_shape(task.init, jax.random.key(0))
    assert "f32[512,784]" in shapes(task.score)


def test_weights_that_are_converted_do_not_count(monkeypatch, examples):
    def score(params, x, y):
        return jnp.sum(x.astype(jnp.bfloat16) @ params.astype(jnp.bfloat16), axis=1) + 0.0 * y

    params = jnp.ones((3, 1000))
    _, size = asked(monkeypatch, score, params, *examples, largest=3 * 1000)
    assert size < COUNT  # the product is larger than the weights

    def narrow(params, x, y):
        return x[:, 0] * jnp.sum(params.astype(jnp.bfloat16)).astype(jnp.float32)

    _, size = asked(monkeypatch, narrow, params, *examples, largest=1000)
    assert size == COUNT


def test_models_side_by_side_share_what_is_allowed(monkeypatch, examples):
    def score(params, x, y):
        return jnp.sum(jnp.sin(jnp.outer(x @ params, jnp.ones(WIDTH))), axis=1)

    params = jnp.asarray([1.0, -2.0, 0.5])
    shared = partial(scoring.scores, models=4)
    monkeypatch.setattr(policy, "CPU_ARRAY_BYTES", 4 * COUNT * WIDTH * 4)
    monkeypatch.setattr(policy, "ACCELERATOR_ARRAY_BYTES", 4 * COUNT * WIDTH * 4)
    text = str(jax.make_jaxpr(partial(shared, score))(params, *examples))
    assert f"f32[{COUNT},{WIDTH}]" in text
    monkeypatch.setattr(policy, "CPU_ARRAY_BYTES", 4 * COUNT * WIDTH * 4 - 4)
    monkeypatch.setattr(policy, "ACCELERATOR_ARRAY_BYTES", 4 * COUNT * WIDTH * 4 - 4)
    text = str(jax.make_jaxpr(partial(shared, score))(params, *examples))
    assert f"f32[{COUNT},{WIDTH}]" not in text


class Wide:
    """A model of so many numbers, by its scores alone."""

    @staticmethod
    def score(params, x, y):
        return x[:, 0] * jnp.sum(params) + y


@pytest.mark.parametrize(
    ("numbers", "models"),
    [
        (1, 4),
        (policy.CPU_PARAMETERS_SCORED // 4, 4),
        (policy.CPU_PARAMETERS_SCORED // 3, 3),
        (policy.CPU_PARAMETERS_SCORED // 2 + 1, 1),
    ],
)
def test_small_models_are_scored_in_company_on_a_cpu(examples, numbers, models):
    params = jax.ShapeDtypeStruct((numbers,), jnp.float32)
    assert scoring.models_at_once(Wide.score, params, *examples) == models
    with policy.compiling_for("gpu"):
        assert scoring.models_at_once(Wide.score, params, *examples) == 16


def test_convolutions_are_scored_alone_on_a_cpu():
    task = classification(CNN(classes=2, filters=(2,), hidden=2), jnp.zeros((4, 4, 1)))
    params = jax.eval_shape(task.init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) < policy.CPU_PARAMETERS_SCORED // 4
    block = jnp.zeros((3, 4, 4, 1)), jnp.zeros(3, jnp.int32)
    assert scoring.models_at_once(task.score, params, *block) == 1
