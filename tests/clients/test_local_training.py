"""Local training against plain NumPy in float64: loops over clients, epochs and batches.

The reference shares with demjax only the rule of the keys: client ``n`` draws from
``fold_in(key, n)``, its epoch ``e`` from ``fold_in(·, e)``, of which 0 orders the examples and
``1 + b`` goes to batch ``b``.
"""

import functools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demjax import spread_over
from demjax.base import Task
from demjax.clients.local_training import local_training
from demjax.clients.proximal import ProximalTerm
from demjax.pytrees import StackedModels

FEATURES, CLASSES, BATCH, EPOCHS = 3, 3, 4, 2
SIZES = (7, 3, 12, 5, 1, 9, 4, 10, 2)  # several end in a short batch, four have but one batch
COUNT = len(SIZES)
KEY = jax.random.key(5)


def noisy_softmax_regression():
    """Cross-entropy, and a random force on the biases that tells which key a batch was given."""

    def loss(params, x, y, weight, key):
        logits = x @ params["w"] + params["b"]
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
        noise = jax.random.normal(key, (CLASSES,)) @ params["b"]
        return jnp.sum(weight * losses) / jnp.maximum(jnp.sum(weight), 1) + 0.1 * noise

    return Task(init=None, loss=loss, score=None)


@functools.cache
def problem():
    """Pooled examples, the clients' lists of them, and a different start for each client."""
    rng = np.random.default_rng(0)
    total = sum(SIZES) + 6
    x = rng.normal(size=(total, FEATURES)).astype(np.float32)
    y = rng.integers(CLASSES, size=total)
    rows = np.split(rng.permutation(total)[: sum(SIZES)], np.cumsum(SIZES)[:-1])
    start = {
        "w": rng.normal(size=(COUNT, FEATURES, CLASSES)).astype(np.float32),
        "b": rng.normal(size=(COUNT, CLASSES)).astype(np.float32),
    }
    return x, y, [row.tolist() for row in rows], start


@jax.jit
def draws(key, client, epoch):
    """What orders up to 64 examples, and the noise of up to 16 batches."""
    key = jax.random.fold_in(jax.random.fold_in(key, client), epoch)
    of_batch = jax.vmap(lambda batch: jax.random.fold_in(key, 1 + batch))(jnp.arange(16))
    noise = jax.vmap(lambda key: jax.random.normal(key, (CLASSES,)))(of_batch)
    return jax.random.uniform(jax.random.fold_in(key, 0), (64,)), noise


def sgd(rate):
    def update(gradient, memory, step):
        return -rate * gradient, memory

    return update


def momentum(rate, decay=0.9):
    def update(gradient, memory, step):
        velocity = gradient + decay * memory.get("v", 0)
        return -rate * velocity, {"v": velocity}

    return update


def adam(rate, b1=0.9, b2=0.999):
    def update(gradient, memory, step):
        m = b1 * memory.get("m", 0) + (1 - b1) * gradient
        v = b2 * memory.get("v", 0) + (1 - b2) * gradient**2
        corrected = m / (1 - b1**step), v / (1 - b2**step)
        return -rate * corrected[0] / (np.sqrt(corrected[1]) + 1e-8), {"m": m, "v": v}

    return update


OPTIMIZERS = {
    "sgd": (optax.sgd(0.3), sgd(0.3)),
    "momentum": (optax.sgd(0.1, momentum=0.9), momentum(0.1)),
    "adam": (optax.adam(0.05), adam(0.05)),
}


def gradient_on_paper(model, x, y, noise):
    """The loss and its gradient, worked out by hand."""
    logits = x @ model["w"] + model["b"]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    loss = -np.mean(np.log(odds[np.arange(len(y)), y])) + 0.1 * noise @ model["b"]
    wrong = (odds - np.eye(CLASSES)[y]) / len(y)
    return loss, {"w": x.T @ wrong, "b": wrong.sum(axis=0) + 0.1 * noise}


def reference(update, proximal=None):
    """Every client's model and loss after local training, by loops."""
    return reference_with_gradients(update, proximal)[:2]


def reference_with_gradients(update, proximal=None, *, shrink=None, correction=None, trained=()):
    """The same, and the mean over the last epoch's examples of the gradients, without the term.

    An extra loss of ``shrink[n] / 2 ‖w‖²`` for client ``n``, a correction of every gradient, and
    the names of the leaves that train, if not all do.
    """
    x, y, rows, start = problem()
    models, losses, gathered = [], [], []
    for client, mine in enumerate(rows):
        model = {name: leaf[client].astype(np.float64) for name, leaf in start.items()}
        memory, step = {name: {} for name in model}, 0
        for epoch in range(EPOCHS):
            order, noise = (np.asarray(draw, np.float64) for draw in draws(KEY, client, epoch))
            shuffled = np.array(mine)[np.argsort(order[: len(mine)], kind="stable")]
            total, slopes = 0.0, dict.fromkeys(model, 0.0)
            for number, begin in enumerate(range(0, len(mine), BATCH)):
                some = shuffled[begin : begin + BATCH]
                loss, gradient = gradient_on_paper(model, x[some], y[some], noise[number])
                step += 1
                for name in model:
                    slope = gradient[name] + (0 if shrink is None else shrink[client] * model[name])
                    slopes[name] = slopes[name] + slope * len(some) / len(mine)
                    if proximal is not None and (proximal.chosen is None or proximal.chosen[name]):
                        for which, strength in zip(
                            proximal.which[client].tolist(),
                            proximal.weight[client].tolist(),
                            strict=True,
                        ):
                            anchor = np.asarray(proximal.anchors[name][which], np.float64)
                            slope = slope + strength * (model[name] - anchor)
                    slope = slope + (0 if correction is None else correction[name][client])
                    if trained and name not in trained:
                        continue
                    change, memory[name] = update(slope, memory[name], step)
                    model[name] = model[name] + change
                total += loss * len(some)
        models.append(model)
        losses.append(total / len(mine))
        gathered.append(slopes)
    stacked, gradients = (
        {name: np.stack([one[name] for one in all_of_them]) for name in start}
        for all_of_them in (models, gathered)
    )
    return stacked, np.array(losses), gradients


@pytest.fixture(scope="module")
def clients(ragged_clients):
    x, y, rows, _ = problem()
    return ragged_clients(x, y, rows, [[]] * COUNT)


@functools.cache
def trainer(optimizer, chunk):
    training = local_training(
        noisy_softmax_regression(),
        OPTIMIZERS[optimizer][0],
        epochs=EPOCHS,
        batch_size=BATCH,
        chunk=chunk,
    )
    return jax.jit(training.train)


def start():
    return jax.tree.map(jnp.asarray, problem()[3])


def assert_close(got, wanted, tolerance=1e-5):
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def assert_same_bits(got, wanted):
    jax.tree.map(np.testing.assert_array_equal, got, wanted)


@pytest.mark.parametrize(
    ("optimizer", "chunk"),
    [
        ("sgd", 1),
        ("sgd", 7),  # does not divide the nine clients
        ("sgd", 50),  # more than there are
        ("momentum", 4),  # steps on which a client is idle must not touch its momentum
        ("adam", 4),
    ],
)
def test_training_is_a_loop_over_clients_epochs_and_batches(clients, optimizer, chunk):
    got = trainer(optimizer, chunk)(KEY, start(), clients)
    assert_close(got, reference(OPTIMIZERS[optimizer][1]))


@pytest.mark.parametrize("chunk", [1, 7])
def test_a_proximal_term_adds_each_anchor_by_its_strength(clients, chunk):
    rng = np.random.default_rng(3)
    anchors = jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(size=(4, *leaf.shape[1:])), jnp.float32), start()
    )
    which = jnp.asarray(rng.integers(4, size=(COUNT, 2)), jnp.int32)
    proximal = ProximalTerm(anchors, which, jnp.asarray(rng.uniform(0, 1, (COUNT, 2)), jnp.float32))
    got = trainer("sgd", chunk)(KEY, start(), clients, proximal)
    assert_close(got, reference(sgd(0.3), proximal))
    assert np.abs(got[0]["w"] - reference(sgd(0.3))[0]["w"]).max() > 0.01


@pytest.mark.parametrize("chunk", [1, 7])
def test_padding_of_the_rows_has_no_effect_however_wide(clients, ragged_clients, chunk):
    x, y, rows, _ = problem()
    wanted = trainer("sgd", chunk)(KEY, start(), clients)
    wide = ragged_clients(x, y, rows, [[]] * COUNT, train_width=21, padding=len(x) - 1)
    assert_same_bits(trainer("sgd", chunk)(KEY, start(), wide), wanted)


def test_same_key_same_bits_and_another_key_another_order(clients):
    train = trainer("sgd", 7)
    one, same = train(KEY, start(), clients), train(KEY, start(), clients)
    assert_same_bits(one, same)
    other = train(jax.random.key(6), start(), clients)
    assert np.abs(one[0]["w"] - other[0]["w"]).max() > 1e-3


def test_a_client_that_diverges_harms_nobody_else(clients):
    train = trainer("sgd", 7)
    params, loss = train(KEY, start(), clients)
    broken = start()
    broken["w"] = broken["w"].at[3, 0, 0].set(jnp.nan)
    broken_params, broken_loss = train(KEY, broken, clients)
    others = np.arange(COUNT) != 3
    assert np.isnan(broken_params["w"][3]).any()
    assert np.isnan(broken_loss[3])
    for one, other in ((broken_params["w"], params["w"]), (broken_loss, loss)):
        np.testing.assert_array_equal(one[others], other[others])


def test_a_client_learns_the_same_whoever_comes_after(clients):
    few = clients._replace(train=clients.train[:4], train_size=clients.train_size[:4])
    got = trainer("sgd", 7)(KEY, jax.tree.map(lambda leaf: leaf[:4], start()), few)
    wanted, losses = reference(sgd(0.3))
    assert_close(got, ({name: leaf[:4] for name, leaf in wanted.items()}, losses[:4]))


def test_permuting_clients_permutes_the_outcome_where_nothing_is_random(clients):
    # One batch of everything: then the order of examples, all that the key decides, is lost.
    task = noisy_softmax_regression()

    def loss(params, x, y, weight, key):
        return task.loss(params, x, y, weight, jax.random.key(0))

    train = jax.jit(
        local_training(task._replace(loss=loss), optax.sgd(0.3), batch_size=12, chunk=4).train
    )
    order = np.random.default_rng(1).permutation(COUNT)
    mixed = clients._replace(train=clients.train[order], train_size=clients.train_size[order])
    got = train(KEY, jax.tree.map(lambda leaf: leaf[order], start()), mixed)
    wanted = train(KEY, start(), clients)
    assert_close(got, jax.tree.map(lambda leaf: leaf[order], wanted))


def test_learning_rates_are_swept_in_one_program(clients):
    def one_run(rate):
        training = local_training(
            noisy_softmax_regression(),
            optax.sgd(rate),
            epochs=EPOCHS,
            batch_size=BATCH,
            chunk=9,
        )
        return training.train(KEY, start(), clients)

    rates = (0.0, 0.3)
    params, losses = jax.jit(jax.vmap(one_run))(jnp.array(rates))
    for number, rate in enumerate(rates):
        got = jax.tree.map(lambda leaf, i=number: leaf[i], params), losses[number]
        assert_close(got, reference(sgd(rate)))


def halfway(weighted_mean):
    """Half the squared distance of one number from each example."""

    def loss(w, x, y, weight, key):
        return weighted_mean((w - x) ** 2 / 2, weight)

    return Task(init=None, loss=loss, score=None)


def guarded_mean(values, weight):
    return jnp.sum(values * weight) / jnp.maximum(jnp.sum(weight), 1)


def unguarded_mean(values, weight):
    return jnp.sum(values * weight) / jnp.sum(weight)


@pytest.mark.parametrize("drawn", [False, True])
def test_two_steps_worked_out_by_hand(ragged_clients, drawn):
    clients = ragged_clients(np.float32([1, 3]), np.zeros(2, int), [[0, 1]], [[]])
    training = local_training(halfway(guarded_mean), optax.sgd(0.5), epochs=2, batch_size=2)
    proximal = (
        ProximalTerm(jnp.array([9.0, 4.0]), jnp.array([[1]]), jnp.array([[1.0]])) if drawn else None
    )
    params, loss = training.train(KEY, jnp.zeros(1), clients, proximal)
    # Without the term: slope w − 2, so 0 → 1 → 1.5. With it: slope (w − 2) + (w − 4), so 0 → 3 → 3.
    # Loss of the second epoch, at 1: (0 + 4)/4; at 3: (4 + 0)/4, the term not counted.
    assert params.tolist() == [3.0 if drawn else 1.5]
    assert loss.tolist() == [1.0]


def test_an_idle_step_is_not_asked_for_its_loss(ragged_clients):
    # The mean over an empty batch is 0/0: what a client misses must not reach its loss.
    x = np.float32([1, 3, 1, 3, 5, 7])
    clients = ragged_clients(x, np.zeros(6, int), [[0, 1], [2, 3, 4, 5]], [[], []])
    training = local_training(
        halfway(unguarded_mean), optax.sgd(0.5), epochs=1, batch_size=2, chunk=2
    )
    params, loss = training.train(KEY, jnp.zeros(2), clients)
    assert params[0] == 1.0
    assert np.isfinite(params[1])
    assert loss[0] == 2.5
    assert np.isfinite(loss[1])


@pytest.mark.parametrize("chunk", [1, 2])
def test_a_proximal_term_alone_approaches_the_weighted_mean_of_its_anchors(ragged_clients, chunk):
    rng = np.random.default_rng(0)
    sizes = (5, 1, 2)
    clients = ragged_clients(
        np.zeros(8), np.zeros(8, int), np.split(np.arange(8), np.cumsum(sizes)[:-1]), [[]] * 3
    )
    nothing = Task(init=None, loss=lambda w, x, y, weight, key: 0 * jnp.sum(w), score=None)
    training = local_training(nothing, optax.sgd(0.2), epochs=3, batch_size=2, chunk=chunk)
    w, anchors = rng.normal(size=(3, 4)), rng.normal(size=(5, 4))
    which = rng.integers(5, size=(3, 3))
    strength = np.array([[0.5, 1.0, 0.0], [0.0, 0.0, 0.0], [0.1, 0.2, 0.3]])
    proximal = ProximalTerm(*map(jnp.asarray, (anchors, which, strength)))
    got, _ = jax.jit(training.train)(KEY, jnp.asarray(w), clients, proximal)
    for client, size in enumerate(sizes):
        total, steps = strength[client].sum(), 3 * -(-size // 2)
        goal = strength[client] @ anchors[which[client]] / total if total else 0
        left = (1 - 0.2 * total) ** steps
        np.testing.assert_allclose(got[client], goal + left * (w[client] - goal), atol=1e-6)


@pytest.mark.parametrize(("chunk", "batch", "epochs"), [(1, 4, 1), (3, 1, 1), (5, 20, 3)])
def test_every_example_is_visited_once_an_epoch_and_no_other(ragged_clients, chunk, batch, epochs):
    def loss(visits, x, y, weight, key):
        return -jnp.sum(weight * visits[x])

    training = local_training(
        Task(init=None, loss=loss, score=None),
        optax.sgd(1.0),
        epochs=epochs,
        batch_size=batch,
        chunk=chunk,
    )
    train = jax.jit(training.train)

    @settings(deadline=None, max_examples=15)
    @given(sizes=st.lists(st.integers(1, 9), min_size=5, max_size=5), seed=st.integers(0, 2**31))
    def check(sizes, seed):
        total = 50
        order = np.random.default_rng(seed).permutation(total)
        rows = [row[:size] for row, size in zip(np.split(order, 5), sizes, strict=True)]
        clients = ragged_clients(
            np.arange(total), np.zeros(total, int), rows, [[]] * 5, train_width=9
        )
        visits, _ = train(jax.random.key(seed), jnp.zeros((5, total)), clients)
        for mine, row in zip(visits, rows, strict=True):
            wanted = np.zeros(total)
            wanted[row] = epochs
            np.testing.assert_array_equal(mine, wanted)

    check()


@pytest.mark.parametrize("chunk", [1, 4])
def test_a_chunk_stops_after_its_largest_clients_last_step(clients, chunk):
    met = Counter()

    def loss(params, x, y, weight, key):
        jax.debug.callback(lambda share: met.update([int(share)]), jnp.sum(weight))
        return jnp.sum(params["w"]) * 0.0

    task = Task(init=None, loss=loss, score=None)
    training = local_training(task, optax.sgd(0.3), epochs=EPOCHS, batch_size=BATCH, chunk=chunk)
    jax.block_until_ready(jax.jit(training.train)(KEY, start(), clients))
    jax.effects_barrier()
    batches = [size for mine in SIZES for size in [4] * (mine // 4) + [mine % 4] * (mine % 4 > 0)]
    wanted = Counter(batches * EPOCHS)
    steps = sorted([-(-size // BATCH) for size in SIZES], reverse=True)
    chunks = [steps[begin : begin + chunk] for begin in range(0, COUNT, chunk)]
    taken = EPOCHS * sum(chunk * max(some) for some in chunks)
    assert met - Counter({0: met[0]}) == wanted
    assert met.total() == taken


@pytest.mark.parametrize("name", ["epochs", "batch_size", "chunk"])
@pytest.mark.parametrize("value", [0, -3])
def test_less_than_one_of_anything_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} of at least 1, but {value} was given"):
        local_training(halfway(guarded_mean), optax.sgd(0.1), **{name: value})


def test_a_fresh_model_is_the_tasks():
    task = halfway(guarded_mean)._replace(init=lambda key: "fresh")
    assert local_training(task, optax.sgd(0.1)).init(KEY) == "fresh"


def random_term(chosen=None):
    rng = np.random.default_rng(3)
    anchors = jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(size=(4, *leaf.shape[1:])), jnp.float32), start()
    )
    which = jnp.asarray(rng.integers(4, size=(COUNT, 2)), jnp.int32)
    weight = jnp.asarray(rng.uniform(0, 0.8, (COUNT, 2)), jnp.float32)
    return ProximalTerm(anchors, which, weight, chosen)


def train_plainly(chunk):
    return local_training(
        noisy_softmax_regression(), optax.sgd(0.3), epochs=EPOCHS, batch_size=BATCH, chunk=chunk
    ).train


@pytest.mark.parametrize("chunk", [1, 4])
@pytest.mark.parametrize("drawn", [False, True])
def test_gradients_are_the_means_of_the_last_epoch_without_the_term(clients, chunk, drawn):
    proximal, train = random_term() if drawn else None, train_plainly(chunk)
    both = jax.jit(
        lambda proximal: (train(KEY, start(), clients, proximal, gradients=True),
                      train(KEY, start(), clients, proximal))
    )  # fmt: skip
    got, without = both(proximal)
    assert_close(got, reference_with_gradients(sgd(0.3), proximal))
    assert_close(got[:2], without, 1e-6)


@pytest.mark.parametrize("chunk", [1, 4])
def test_leaves_that_are_not_chosen_are_not_drawn(clients, chunk):
    proximal, train = random_term({"w": True, "b": False}), train_plainly(chunk)
    got = jax.jit(lambda: train(KEY, start(), clients, proximal))()
    assert_close(got, reference(sgd(0.3), proximal))
    # In one epoch of one batch nothing else could move them apart.
    whole = local_training(noisy_softmax_regression(), optax.sgd(0.3), epochs=1, batch_size=12)
    free, some = jax.jit(
        lambda: [whole.train(KEY, start(), clients, p)[0] for p in (None, proximal)]
    )()
    assert_close(some["b"], free["b"], 1e-6)
    assert np.abs(some["w"] - free["w"]).max() > 0.01


def shrinking(strength):
    """An extra loss that knows its client, and reads an array that all share."""

    def extra(model, x, y, weight, key, client):
        assert x.shape[0] == y.shape[0] == weight.shape[0] == BATCH
        return strength[client] / 2 * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(model))

    return extra


@pytest.mark.parametrize(("chunk", "devices"), [(1, 1), (4, 1), (4, 2)])
def test_what_an_algorithm_adds_counts_all_at_once(clients, chunk, devices):
    rng = np.random.default_rng(8)
    shrink = rng.uniform(0, 0.5, COUNT)
    correction = {name: rng.normal(size=leaf.shape) for name, leaf in start().items()}
    term, train = random_term(), train_plainly(chunk)
    options = {"shrink": shrink, "correction": correction, "trained": ("w",)}
    wanted = reference_with_gradients(sgd(0.3), term, **options)

    def together(strength, correction, weight):
        return train(
            KEY,
            StackedModels.from_pytree(start()),
            clients,
            term,
            gradients=True,
            correction=StackedModels.from_pytree(correction),
            correction_weight=weight,
            trained={"w": True, "b": False},
            extra_loss=shrinking(strength),
        )

    with spread_over(devices):
        halves = {name: jnp.float32(leaf / 2) for name, leaf in correction.items()}
        models, loss, gradient = jax.jit(together)(jnp.float32(shrink), halves, 2.0)
    assert isinstance(models, StackedModels)
    assert isinstance(gradient, StackedModels)
    assert_close((models.as_pytree(), loss, gradient.as_pytree()), wanted)
    np.testing.assert_array_equal(models.as_pytree()["b"], start()["b"])


@pytest.mark.parametrize("chunk", [1, 4])
def test_a_correction_may_be_the_same_for_all_and_reaches_the_right_cohort(clients, chunk):
    train = train_plainly(chunk)
    one = {name: jnp.full(leaf.shape[1:], 0.3) for name, leaf in start().items()}
    rows = {
        name: jnp.arange(1.0, COUNT + 1).reshape(-1, *[1] * (leaf.ndim - 1)) * jnp.ones_like(leaf)
        for name, leaf in start().items()
    }
    who = jnp.array([1, 4, 6, COUNT])

    @jax.jit
    def both():
        return (
            train(KEY, start(), clients, correction=one),
            train(KEY, start(), clients, cohort=who, correction=rows),
        )

    for_all, for_some = both()
    same = {name: np.full(leaf.shape, 0.3) for name, leaf in start().items()}
    assert_close(for_all, reference_with_gradients(sgd(0.3), correction=same)[:2])
    wanted, losses, _ = reference_with_gradients(sgd(0.3), correction=in_float64(rows))
    members, others = [1, 4, 6], [0, 2, 3, 5, 7, 8]
    for name, leaf in start().items():
        np.testing.assert_allclose(
            for_some[0][name][jnp.array(members)], wanted[name][members], rtol=1e-5, atol=1e-5
        )
        np.testing.assert_array_equal(for_some[0][name][jnp.array(others)], leaf[jnp.array(others)])
    np.testing.assert_allclose(for_some[1][jnp.array(members)], losses[members], rtol=1e-5)
    assert np.isnan(for_some[1][jnp.array(others)]).all()


def in_float64(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def test_what_does_not_train_keeps_its_bits_whatever_the_optimizer(clients):
    decaying = local_training(
        noisy_softmax_regression(), optax.adamw(0.1, weight_decay=0.5), batch_size=BATCH, chunk=9
    )
    trained = {"w": False, "b": True}
    models, _ = jax.jit(lambda: decaying.train(KEY, start(), clients, trained=trained))()
    assert_same_bits(models["w"], start()["w"])
    assert (np.asarray(models["b"] != start()["b"])).all()


def test_a_correction_of_no_possible_form_is_told(clients):
    wrong = {"w": jnp.zeros(()), "b": jnp.zeros(())}
    with pytest.raises(ValueError, match=r"of one model, or of a model for each client"):
        train_plainly(1)(KEY, start(), clients, correction=wrong)
