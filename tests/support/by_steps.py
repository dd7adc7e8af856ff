"""The batches that clients of ``tiny`` go through, for loops over algorithms' own steps."""

import jax
import numpy as np
import tiny

from demjax.clients import participation


def orders(key, clients, client, epochs=tiny.EPOCHS):
    """A client's training examples in the order of each epoch."""
    size = int(clients.train_size[client])
    rows = np.asarray(clients.train)[client, :size]
    for epoch in range(epochs):
        draw, _ = map(np.asarray, tiny._draws(key, client, epoch))
        yield rows[np.argsort(draw[:size], kind="stable")]


def batches(key, clients, client, epochs=tiny.EPOCHS, batch=tiny.BATCH):
    """Inputs and labels of each batch of a client, in float64, and whether its epoch is the last.

    Without dropout, a batch is all that a step depends on.
    """
    x, y = np.asarray(clients.x, np.float64), np.asarray(clients.y)
    for epoch, order in enumerate(orders(key, clients, client, epochs)):
        for start in range(0, len(order), batch):
            some = order[start : start + batch]
            yield x[some], y[some], epoch == epochs - 1


def members(key, clients, cohort):
    """Who trains in a round."""
    drawn = participation.draw(key, clients.n_clients, cohort)
    return list(range(clients.n_clients)) if drawn is None else np.asarray(drawn).tolist()


def rounds(algorithm, key, clients, count):
    """Each round's key, the models after it, and its info."""
    one_round, state = jax.jit(algorithm.round), algorithm.init(key, clients)
    for number in range(count):
        own = jax.random.fold_in(key, number)
        state, info = one_round(own, state, clients)
        yield own, algorithm.models(state), info


def global_model(models):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0, 0], tiny.plain(models.group))
