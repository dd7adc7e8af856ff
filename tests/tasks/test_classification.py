import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax

from demjax.data import Partition, client_data, per_pixel
from demjax.models import CNN, Linear
from demjax.tasks.classification import classification

FEATURES, CLASSES, BATCH = (2, 3), 4, 5
TASK = classification(Linear(CLASSES), np.zeros(FEATURES))
LOSS = jax.jit(TASK.loss)
GRADIENT = jax.jit(jax.grad(TASK.loss))
SCORE = jax.jit(TASK.score)
KEY = jax.random.key(0)
QUICK = settings(deadline=None, max_examples=30)
seeds = st.integers(0, 2**32 - 1)
weights = st.lists(st.sampled_from([0.0, 1.0]), min_size=BATCH, max_size=BATCH)


def model_and_batch(seed, scale=1.0):
    rng = np.random.default_rng(seed)
    kernel = scale * rng.normal(size=(6, CLASSES))
    bias = scale * rng.normal(size=CLASSES)
    x = rng.normal(size=(BATCH, *FEATURES))
    y = rng.integers(CLASSES, size=BATCH)
    params = {"Dense_0": {"Dense_0": {"kernel": np.float32(kernel), "bias": np.float32(bias)}}}
    logits = x.reshape(BATCH, 6) @ kernel + bias
    return params, np.float32(x), np.int32(y), logits


def layer(tree):
    return tree["Dense_0"]["Dense_0"]


def test_a_fresh_model_has_the_modules_shapes_and_follows_the_key():
    init = jax.jit(TASK.init)
    one, same, other = (init(jax.random.key(seed)) for seed in (0, 0, 1))
    assert jax.tree.map(jnp.shape, layer(one)) == {"kernel": (6, CLASSES), "bias": (CLASSES,)}
    for leaf, again, another in zip(*map(jax.tree.leaves, (one, same, other)), strict=True):
        np.testing.assert_array_equal(leaf, again)
        assert np.abs(leaf - another).max() > 1e-3


def test_the_example_may_be_of_bytes():
    drawn = jax.eval_shape(classification(Linear(3), np.zeros(FEATURES, np.uint8)).init, KEY)
    assert {leaf.dtype for leaf in jax.tree.leaves(drawn)} == {jnp.dtype("float32")}


@QUICK
@given(seed=seeds, weight=weights, scale=st.sampled_from([0.1, 1.0, 30.0]))
def test_loss_and_gradient_are_the_mean_cross_entropy_over_the_examples(seed, weight, scale):
    params, x, y, logits = model_and_batch(seed, scale)
    real = np.flatnonzero(weight)
    losses = logsumexp(logits, axis=1) - logits[np.arange(BATCH), y]
    loss = losses[real].mean() if real.size else 0.0
    got = LOSS(params, x, y, jnp.asarray(weight), KEY)
    np.testing.assert_allclose(got, loss, rtol=1e-5, atol=1e-5 * scale)
    wrong = (softmax(logits, axis=1) - np.eye(CLASSES)[y])[real] / max(real.size, 1)
    gradient = layer(GRADIENT(params, x, y, jnp.asarray(weight), KEY))
    flat = np.asarray(x, np.float64).reshape(BATCH, 6)[real]
    np.testing.assert_allclose(gradient["kernel"], flat.T @ wrong, atol=3e-5)
    np.testing.assert_allclose(gradient["bias"], wrong.sum(axis=0), atol=3e-5)


@QUICK
@given(seed=seeds, real=st.integers(0, BATCH))
def test_what_stands_in_padding_has_no_effect(seed, real):
    params, x, y, _ = model_and_batch(seed)
    _, other_x, other_y, _ = model_and_batch(seed + 1)
    weight = np.float32(np.arange(BATCH) < real)
    padded_x, padded_y = x.copy(), y.copy()
    padded_x[real:], padded_y[real:] = other_x[real:], other_y[real:]
    assert LOSS(params, x, y, weight, KEY) == LOSS(params, padded_x, padded_y, weight, KEY)
    one = GRADIENT(params, x, y, weight, KEY)
    other = GRADIENT(params, padded_x, padded_y, weight, KEY)
    jax.tree.map(np.testing.assert_array_equal, one, other)


@QUICK
@given(seed=seeds)
def test_score_is_one_where_the_largest_logit_is_the_labels(seed):
    params, x, y, logits = model_and_batch(seed)
    score = SCORE(params, x, y)
    assert score.dtype == jnp.float32
    np.testing.assert_array_equal(score, logits.argmax(axis=1) == y)


@pytest.mark.parametrize("where", ["kernel", "bias"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_model_that_is_not_finite_answers_nothing_right(where, bad):
    params, x, _, _ = model_and_batch(0)
    x = np.abs(x)
    broken = layer(params)[where].copy()
    broken[..., 2] = bad
    params["Dense_0"]["Dense_0"] = {**layer(params), where: broken}
    for label in range(CLASSES):
        assert not np.any(SCORE(params, x, np.full(BATCH, label)))


def test_bytes_are_learned_from_as_the_same_numbers():
    params, _, y, _ = model_and_batch(0, scale=0.01)
    x = np.random.default_rng(0).integers(0, 256, (BATCH, *FEATURES), np.uint8)
    as_bytes, as_floats = jnp.asarray(x), jnp.asarray(x, jnp.float32)
    ones = jnp.ones(BATCH)
    one, other = LOSS(params, as_bytes, y, ones, KEY), LOSS(params, as_floats, y, ones, KEY)
    np.testing.assert_allclose(one, other, rtol=1e-6)
    np.testing.assert_array_equal(SCORE(params, as_bytes, y), SCORE(params, as_floats, y))


def test_inputs_may_be_normalised_on_the_way_to_the_module():
    params, _, y, _ = model_and_batch(0)
    x = np.random.default_rng(0).integers(0, 256, (BATCH, *FEATURES), np.uint8)
    normalization = per_pixel(x)
    task = classification(Linear(CLASSES), x[0], inputs=normalization)
    ones = jnp.ones(BATCH)
    gradient = jax.jit(jax.grad(task.loss))(params, jnp.asarray(x), y, ones, KEY)
    wanted = GRADIENT(params, jnp.asarray(normalization(x)), y, ones, KEY)
    for name in ("kernel", "bias"):
        np.testing.assert_allclose(layer(gradient)[name], layer(wanted)[name], rtol=1e-5, atol=1e-6)
    beforehand = SCORE(params, jnp.asarray(normalization(x)), y)
    np.testing.assert_array_equal(jax.jit(task.score)(params, jnp.asarray(x), y), beforehand)


def test_the_key_decides_the_dropout_of_training_and_scores_know_none():
    task = classification(CNN(3, filters=(1,), hidden=4), np.zeros((4, 4, 1)))
    params = jax.jit(task.init)(KEY)
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(8, 4, 4, 1))), jnp.asarray(rng.integers(3, size=8))
    loss = jax.jit(lambda key: task.loss(params, x, y, jnp.ones(8), key))
    assert loss(jax.random.key(1)) == loss(jax.random.key(1))
    assert abs(loss(jax.random.key(1)) - loss(jax.random.key(2))) > 1e-4
    assert set(np.asarray(jax.jit(task.score)(params, x, y))) <= {0, 1}


@pytest.mark.parametrize(
    ("model", "most"),
    [(Linear(CLASSES), 0.02), (CNN(CLASSES, filters=(8,), hidden=64), 0.3)],  # some ReLUs flip
)
def test_computing_in_16_bits_rounds_but_leaves_weights_and_gradients_in_single(model, most):
    shape = (8, 8, 1)
    plain = classification(model, np.zeros(shape))
    short = classification(model, np.zeros(shape), compute=jnp.bfloat16)
    x = np.random.default_rng(0).normal(size=(BATCH, *shape)).astype(np.float32)
    params, args = jax.jit(plain.init)(KEY), (x, np.arange(BATCH) % CLASSES, np.ones(BATCH), KEY)
    (loss, slope), (wanted, exact) = (
        jax.jit(jax.value_and_grad(task.loss))(params, *args) for task in (short, plain)
    )
    assert loss.dtype == jnp.float32
    assert loss != wanted
    np.testing.assert_allclose(loss, wanted, rtol=2**-6)
    exact, difference = (
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
        for tree in (exact, jax.tree.map(lambda s, e: np.asarray(s) - np.asarray(e), slope, exact))
    )
    size, apart = np.linalg.norm(exact), np.linalg.norm(difference)
    assert {leaf.dtype for leaf in jax.tree.leaves(slope)} == {jnp.dtype("float32")}
    assert 0 < apart < most * size
    kinds = {str(eqn.invars[0].aval.dtype) for eqn in _products(short, params, args)}
    assert kinds == {"bfloat16"}
    assert jax.eval_shape(short.score, params, *args[:2]).dtype == jnp.float32


def _products(task, params, args):
    """All matrix products and convolutions of a step, forward and back."""

    def inside(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name in ("dot_general", "conv_general_dilated"):
                yield equation
            for value in jax.tree.leaves(tuple(equation.params.values())):
                if hasattr(value, "jaxpr"):
                    yield from inside(getattr(value.jaxpr, "jaxpr", value.jaxpr))

    found = list(inside(jax.make_jaxpr(jax.value_and_grad(task.loss))(params, *args).jaxpr))
    assert len(found) > 1
    return found


class Words(nn.Module):
    """Logits that a table holds, a row for each number of a word."""

    turned: bool = False

    @nn.compact
    def __call__(self, x):
        rows = x.astype(jnp.int32) if self.turned else x
        return nn.Embed(1300, 2)(rows).sum(axis=1)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", [np.int64, np.uint16, ">i4"])
def test_whole_numbers_reach_the_model_as_they_are_whatever_it_computes_with(turned, dtype):
    words = np.arange(300, 1300)
    x, y = words[:, None].astype(dtype), words % 2
    table = {"Embed_0": {"embedding": jnp.eye(2)[np.arange(1300) % 2]}}
    made = client_data(x, y, Partition((np.arange(1000),), ([],)))
    for compute in (jnp.float32, jnp.bfloat16):
        task = classification(Words(turned), x[0], compute=compute)
        assert jax.tree.map(jnp.shape, jax.eval_shape(task.init, KEY)) == {
            "Embed_0": {"embedding": (1300, 2)}
        }
        assert task.score(table, made.x, made.y).mean() == 1


def test_images_of_whole_numbers_are_learned_from_in_16_bits_too():
    x = np.random.default_rng(0).integers(0, 256, (BATCH, 8, 8, 1))
    task = classification(CNN(3, filters=(2,), hidden=4), x[0], compute=jnp.bfloat16)
    params, args = task.init(KEY), (jnp.arange(BATCH) % 3, jnp.ones(BATCH), KEY)
    losses = [task.loss(params, jnp.asarray(x, kind), *args) for kind in (np.uint8, np.int32)]
    assert losses[0] == losses[1]
