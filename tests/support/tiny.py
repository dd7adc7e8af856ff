"""A problem small enough to recompute in plain NumPy: softmax regression on four features.

``task`` and ``clients`` are what demjax is given; ``learn`` trains one client in float64 and in
Python loops, sharing nothing with demjax but the rule that says which key draws what.
"""

import jax
import jax.numpy as jnp
import numpy as np

from demjax.base import NO_GROUP, ClientData, Task
from demjax.pytrees import StackedModels, as_pytree

FEATURES, CLASSES = 4, 3
SIZES = (7, 3, 12, 5, 9, 4, 10, 1)
TEST_SIZES = (3, 0, 2, 4, 1, 2, 3, 2)
RATE, EPOCHS, BATCH, KEEP = 0.3, 2, 4, 0.7


def task(dropout=True):
    """Cross-entropy; with dropout, a batch sees only some of the features, drawn by its key."""

    def init(key):
        return {"b": jnp.zeros(CLASSES), "w": 0.1 * jax.random.normal(key, (FEATURES, CLASSES))}

    def loss(params, x, y, weight, key):
        if dropout:
            x = x * jax.random.bernoulli(key, KEEP, (FEATURES,))
        logits = x @ params["w"] + params["b"]
        each = jax.nn.logsumexp(logits, axis=1) - jnp.take_along_axis(logits, y[:, None], 1)[:, 0]
        return jnp.sum(weight * each) / jnp.maximum(jnp.sum(weight), 1)

    def score(params, x, y):
        return (jnp.argmax(x @ params["w"] + params["b"], axis=1) == y).astype(jnp.float32)

    def loss_with_features(params, x, y, weight, key):
        return loss(params, x, y, weight, key), params, x @ params["w"]

    return Task(init, loss, score, loss_with_features=loss_with_features)


def clients(sizes=SIZES, test_sizes=TEST_SIZES, seed=0):
    """Clients of two kinds that label opposite ways, each with inputs around its own centre."""
    rng = np.random.default_rng(seed)
    count, used = len(sizes), [train + test for train, test in zip(sizes, test_sizes, strict=True)]
    owner = np.repeat(np.arange(count), used)
    x = rng.normal(size=(owner.size, FEATURES)) + rng.normal(size=(count, FEATURES))[owner]
    rule = rng.normal(size=(2, FEATURES, CLASSES))[owner % 2]
    y = np.argmax(np.einsum("tf,tfc->tc", x, rule) + rng.gumbel(size=(owner.size, CLASSES)), 1)
    place = rng.permutation(owner.size)  # where in the pool each example stands
    pool_x, pool_y = np.empty_like(x), np.empty_like(y)
    pool_x[place], pool_y[place] = x, y
    rows = np.split(place, np.cumsum(used)[:-1])
    train = [row[:size] for row, size in zip(rows, sizes, strict=True)]
    test = [row[size:] for row, size in zip(rows, sizes, strict=True)]
    return ClientData(
        x=jnp.asarray(pool_x, jnp.float32),
        y=jnp.asarray(pool_y, jnp.int32),
        train=padded(train, max(sizes)),
        train_size=jnp.asarray(sizes, jnp.int32),
        test=padded(test, max(test_sizes)),
        test_size=jnp.asarray(test_sizes, jnp.int32),
    )


def padded(rows, width, filling=0):
    return jnp.asarray(
        [[*map(int, row), *[filling] * (width - len(row))] for row in rows], jnp.int32
    )


def float64(tree):
    return jax.tree.map(lambda leaf: np.array(leaf, np.float64), tree)


def combine(*terms):
    """The sum of ``(weight, model)`` pairs."""
    return jax.tree.map(
        lambda *leaves: sum(w * leaf for (w, _), leaf in zip(terms, leaves, strict=True)),
        *[model for _, model in terms],
    )


def vector(model):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(model)])


def plain(tree):
    """The same with plain pytrees in the place of stacked models."""
    return jax.tree.map(as_pytree, tree, is_leaf=lambda part: isinstance(part, StackedModels))


def unstack(stacked):
    """The list of models of leaves ``[N, ...]``."""
    stacked = jax.tree.map(np.asarray, plain(stacked))
    count = len(jax.tree.leaves(stacked)[0])
    return [jax.tree.map(lambda leaf, n=n: leaf[n], stacked) for n in range(count)]


def close(got, wanted, tolerance=2e-5):
    """Hold models, or lists of them, against each other."""
    got_leaves, got_tree = jax.tree.flatten(plain(got))
    wanted_leaves, wanted_tree = jax.tree.flatten(plain(wanted))
    assert got_tree == wanted_tree
    for one, other in zip(got_leaves, wanted_leaves, strict=True):
        assert np.shape(one) == np.shape(other)
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def same_bits(got, wanted):
    got_leaves, got_tree = jax.tree.flatten(plain(got))
    wanted_leaves, wanted_tree = jax.tree.flatten(plain(wanted))
    assert got_tree == wanted_tree
    for one, other in zip(got_leaves, wanted_leaves, strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert (one.shape, one.dtype, one.tobytes()) == (other.shape, other.dtype, other.tobytes())


def differ(one, other, by=1e-3):
    """Whether models are further apart than rounding could bring them."""
    return max(np.max(np.abs(vector(a) - vector(b))) for a, b in zip(one, other, strict=True)) > by


def groups_of(models):
    """``{(level, members): model}`` of the groups that exist, whatever slots they are in."""
    groups, size = np.asarray(models.hierarchy.groups), np.asarray(models.hierarchy.size)
    group = jax.tree.map(np.asarray, plain(models.group))
    found = {}
    for level, row in enumerate(groups):
        for slot in set(row.tolist()) - {NO_GROUP}:
            members = frozenset(np.flatnonzero(row == slot).tolist())
            assert size[level, slot] == len(members)
            found[level, members] = jax.tree.map(lambda leaf, i=(level, slot): leaf[i], group)
    assert np.count_nonzero(size) == len(found)
    return found


@jax.jit
def _draws(key, client, epoch):
    """What decides the order of up to 64 examples, and the features of up to 64 batches."""
    key = jax.random.fold_in(jax.random.fold_in(key, client), epoch)
    steps = jax.vmap(lambda number: jax.random.fold_in(key, 1 + number))(jnp.arange(64))
    seen = jax.vmap(lambda step: jax.random.bernoulli(step, KEEP, (FEATURES,)))(steps)
    return jax.random.uniform(jax.random.fold_in(key, 0), (64,)), seen.astype(jnp.float32)


def gradient(model, x, y, seen=1):
    """Loss and gradient of softmax regression, worked out on paper."""
    x = x * seen
    logits = x @ model["w"] + model["b"]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    wrong = (odds - np.eye(CLASSES)[y]) / len(y)
    loss = -np.mean(np.log(odds[np.arange(len(y)), y]))
    return loss, {"b": wrong.sum(axis=0), "w": x.T @ wrong}


def learn(key, model, clients, client, **options):
    """The model and the loss of ``learn_and_slope``."""
    return learn_and_slope(key, model, clients, client, **options)[:2]


def learn_and_slope(
    key,
    model,
    clients,
    client,
    *,
    anchors=(),
    chosen=(),
    dropout=True,
    epochs=EPOCHS,
    batch=BATCH,
    rate=RATE,
    steps=10**6,
):
    """One client's local training; ``anchors`` are pairs of a strength and a model.

    A straggler makes only so many ``steps``; its last epoch is the one that it stops in. Only the
    leaves named in ``chosen`` are drawn, if there are any. Returns the model, and the
    means over the examples of the last epoch of the loss and of its gradient, without the term.
    """
    x, y = np.asarray(clients.x, np.float64), np.asarray(clients.y)
    size = int(clients.train_size[client])
    rows = np.asarray(clients.train)[client, :size]
    for epoch in range(epochs):
        draw, seen = map(np.asarray, _draws(key, client, epoch))
        if steps == 0:
            break
        order, total, met = rows[np.argsort(draw[:size], kind="stable")], 0.0, 0
        gathered = combine((0, model))
        for number, start in enumerate(range(0, size, batch)):
            if steps == 0:
                break
            some = order[start : start + batch]
            steps, met = steps - 1, met + len(some)
            loss, slope = gradient(model, x[some], y[some], seen[number] if dropout else 1)
            gathered = combine((1, gathered), (len(some), slope))
            for strength, anchor in anchors:
                drawn = combine((1, slope), (strength, model), (-strength, anchor))
                slope = {k: drawn[k] if not chosen or k in chosen else slope[k] for k in slope}
            model, total = combine((1, model), (-rate, slope)), total + loss * len(some)
    return model, total / met, combine((1 / met, gathered))


def answers(model, clients, rows):
    """Share of the examples that the model labels rightly, and how many there are."""
    x, y = np.asarray(clients.x, np.float64)[rows], np.asarray(clients.y)[rows]
    return np.mean(np.argmax(x @ model["w"] + model["b"], axis=1) == y)


def test_rows(clients):
    return [
        row[:size]
        for row, size in zip(np.asarray(clients.test), np.asarray(clients.test_size), strict=True)
    ]


test_rows.__test__ = False
